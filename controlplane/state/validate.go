package state

import (
	"fmt"
	"strings"
	"unicode/utf8"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

// InvalidError says what is wrong with a command, a key or a batch. Nothing was done.
type InvalidError struct{ message string }

// Error returns what is wrong.
func (e *InvalidError) Error() string { return e.message }

func invalid(format string, args ...any) error { return &InvalidError{fmt.Sprintf(format, args...)} }

// ValidateBatch checks everything about a batch that can be checked without the state. The edge calls it, so that a malformed
// batch costs no entry of the log; Apply checks again, because the log may be older than the edge.
func ValidateBatch(b *mobulav1.Batch) error {
	if err := validateBatchHead(b); err != nil {
		return err
	}
	if n := b.SizeVT(); n > MaxBatchBytes {
		return invalid("a batch has %d bytes, the most is %d", n, MaxBatchBytes)
	}
	for i, c := range b.GetCommands() {
		if err := validateCommand(c); err != nil {
			return invalid("command %d: %v", i, err)
		}
	}
	return nil
}

func validateBatchHead(b *mobulav1.Batch) error {
	if err := checkID("client_id", b.GetClientId()); err != nil {
		return err
	}
	if n := len(b.GetCommands()); n > MaxBatch {
		return invalid("a batch has %d commands, the most is %d", n, MaxBatch)
	}
	return nil
}

// validateCommand checks one command; an unknown one is an error here and a halt in Apply.
func validateCommand(c *mobulav1.Command) error {
	if c.GetSequence() == 0 {
		return invalid("sequence is 0, it starts at 1")
	}
	switch k := c.GetKind().(type) {
	case *mobulav1.Command_RegisterNode:
		return validateRegisterNode(k.RegisterNode)
	case *mobulav1.Command_DrainNode:
		return first(checkNode(k.DrainNode.GetRef()), checkMessage("reason", k.DrainNode.GetReason()))
	case *mobulav1.Command_MarkNodeDead:
		return first(checkLife(k.MarkNodeDead.GetRef()), checkCause(k.MarkNodeDead.GetCause()))
	case *mobulav1.Command_StartJob:
		return validateStartJob(k.StartJob)
	case *mobulav1.Command_FinishJob:
		return validateFinishJob(k.FinishJob)
	case *mobulav1.Command_CreateActor:
		return validateCreateActor(k.CreateActor)
	case *mobulav1.Command_MarkActorAlive:
		m := k.MarkActorAlive
		return first(checkID("actor_id", m.GetActorId()), checkIncarnation(m.GetIncarnation()), checkLife(m.GetNode()), checkID("worker_id", m.GetWorkerId()))
	case *mobulav1.Command_MarkActorDead:
		m := k.MarkActorDead
		return first(checkID("actor_id", m.GetActorId()), checkIncarnation(m.GetIncarnation()), checkCause(m.GetCause()))
	case *mobulav1.Command_EndActor:
		return first(checkID("actor_id", k.EndActor.GetActorId()), checkMessage("reason", k.EndActor.GetReason()))
	case *mobulav1.Command_PutFunctions:
		return validatePutFunctions(k.PutFunctions)
	case *mobulav1.Command_PutKey:
		return validatePutKey(k.PutKey)
	case *mobulav1.Command_DeleteKey:
		return first(checkNamespace(k.DeleteKey.GetNamespace()), checkName("key", k.DeleteKey.GetKey()))
	case *mobulav1.Command_PutLineage:
		return validatePutLineage(k.PutLineage)
	case *mobulav1.Command_DeleteLineage:
		return validateDeleteLineage(k.DeleteLineage)
	case *mobulav1.Command_AckEffects:
		return checkLife(k.AckEffects.GetNode())
	case *mobulav1.Command_SetLimits:
		return validateLimits(k.SetLimits.GetLimits())
	default:
		return invalid("unknown command")
	}
}

func validateRegisterNode(c *mobulav1.RegisterNode) error {
	if err := first(checkNode(c.GetRef()), checkText("address", c.GetAddress()), checkText("hostname", c.GetHostname()), checkText("build", c.GetBuild())); err != nil {
		return err
	}
	if c.GetRef().GetEpoch() > MaxEpoch {
		return invalid("epoch is %d, the most is %d", c.GetRef().GetEpoch(), uint64(MaxEpoch))
	}
	if len(c.GetResources()) > MaxLabels || len(c.GetLabels()) > MaxLabels {
		return invalid("a node has at most %d resources and %d labels", MaxLabels, MaxLabels)
	}
	previous := ""
	for _, q := range c.GetResources() {
		if err := first(checkName("resource", q.GetName()), checkOrder("resource", previous, q.GetName())); err != nil {
			return err
		}
		if q.GetUnits() < 0 {
			return invalid("resource %q has %d units", q.GetName(), q.GetUnits())
		}
		previous = q.GetName()
	}
	previous = ""
	for _, l := range c.GetLabels() {
		if err := first(checkName("label", l.GetName()), checkOrder("label", previous, l.GetName()), checkText("label value", l.GetValue())); err != nil {
			return err
		}
		previous = l.GetName()
	}
	return nil
}

func validateStartJob(c *mobulav1.StartJob) error {
	return first(checkID("job_id", c.GetJobId()), checkNamespace(c.GetNamespace()), checkText("program", c.GetProgram()), checkLife(c.GetNode()))
}

func validateFinishJob(c *mobulav1.FinishJob) error {
	switch c.GetStatus() {
	case mobulav1.JobStatus_JOB_STATUS_SUCCEEDED, mobulav1.JobStatus_JOB_STATUS_FAILED, mobulav1.JobStatus_JOB_STATUS_STOPPED:
		return first(checkID("job_id", c.GetJobId()), checkCause(c.GetCause()))
	default:
		return invalid("status %v does not end a job", c.GetStatus())
	}
}

func validateCreateActor(c *mobulav1.CreateActor) error {
	if err := first(checkID("actor_id", c.GetActorId()), checkID("job_id", c.GetJobId()), checkName("class", c.GetClass()), checkLife(c.GetNode())); err != nil {
		return err
	}
	switch {
	case len(c.GetSpec()) > MaxActorSpec:
		return invalid("spec has %d bytes, the most is %d", len(c.GetSpec()), MaxActorSpec)
	case c.GetMaxRestarts() < -1:
		return invalid("max_restarts is %d", c.GetMaxRestarts())
	case c.GetName() != "":
		return first(checkNamespace(c.GetNamespace()), checkName("name", c.GetName()))
	case c.GetNamespace() != "" || c.GetGetIfExists():
		return invalid("namespace and get_if_exists need a name")
	}
	return nil
}

func validatePutFunctions(c *mobulav1.PutFunctions) error {
	fs := c.GetFunctions()
	if len(fs) == 0 || len(fs) > MaxBatch {
		return invalid("%d functions, want 1 to %d", len(fs), MaxBatch)
	}
	for _, f := range fs {
		if err := first(checkID("job_id", f.GetJobId()), checkName("function", f.GetName())); err != nil {
			return err
		}
		if string(f.GetJobId()) != string(fs[0].GetJobId()) {
			return invalid("functions of more than one job")
		}
	}
	return nil
}

func validatePutKey(c *mobulav1.PutKey) error {
	switch {
	case len(c.GetValue()) > MaxValue:
		return invalid("value has %d bytes, the most is %d", len(c.GetValue()), MaxValue)
	case c.GetCondition() < 0 || c.GetCondition() > mobulav1.PutKey_CONDITION_VERSION:
		return invalid("unknown condition %d", c.GetCondition())
	case (c.GetCondition() == mobulav1.PutKey_CONDITION_VERSION) != (c.GetVersion() != 0):
		return invalid("a version goes with CONDITION_VERSION and is not 0")
	}
	return first(checkNamespace(c.GetNamespace()), checkName("key", c.GetKey()))
}

func validatePutLineage(c *mobulav1.PutLineage) error {
	if n := len(c.GetRecords()); n == 0 || n > MaxBatch {
		return invalid("%d lineage records, want 1 to %d", n, MaxBatch)
	}
	for _, r := range c.GetRecords() {
		if err := first(checkID("task_id", r.GetTaskId()), checkID("job_id", r.GetJobId())); err != nil {
			return err
		}
		if len(r.GetSpec()) > MaxLineageSpec {
			return invalid("lineage spec has %d bytes, the most is %d", len(r.GetSpec()), MaxLineageSpec)
		}
	}
	return nil
}

func validateDeleteLineage(c *mobulav1.DeleteLineage) error {
	n := len(c.GetTaskIds())
	if n == 0 || n%idSize != 0 || n/idSize > MaxBatch {
		return invalid("task_ids has %d bytes, want a multiple of %d for 1 to %d tasks", n, idSize, MaxBatch)
	}
	return nil
}

// first returns the first error.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func checkID(field string, id []byte) error {
	if len(id) != idSize {
		return invalid("%s has %d bytes, want %d", field, len(id), idSize)
	}
	return nil
}

// checkNode checks a reference whose epoch may be 0.
func checkNode(n *mobulav1.NodeRef) error { return checkID("node_id", n.GetNodeId()) }

// checkLife checks a reference to one life of a node.
func checkLife(n *mobulav1.NodeRef) error {
	if n.GetEpoch() == 0 {
		return first(checkNode(n), invalid("epoch is 0, it starts at 1"))
	}
	return checkNode(n)
}

func checkIncarnation(n uint32) error {
	if n == 0 {
		return invalid("incarnation is 0, it starts at 1")
	}
	return nil
}

func checkCause(c *mobulav1.Cause) error {
	_, known := mobulav1.CauseKind_name[int32(c.GetKind())]
	if !known || c.GetKind() == mobulav1.CauseKind_CAUSE_KIND_UNSPECIFIED {
		return invalid("unknown cause %d", c.GetKind())
	}
	if n := c.GetNode(); n != nil {
		if err := checkNode(n); err != nil {
			return err
		}
	}
	return checkMessage("cause", c.GetMessage())
}

// checkText checks a string that may be empty.
func checkText(field, s string) error { return checkString(field, s, MaxName) }

func checkMessage(field, s string) error { return checkString(field, s, MaxMessage) }

// checkName checks a string that must not be empty.
func checkName(field, s string) error {
	if s == "" {
		return invalid("%s is empty", field)
	}
	return checkText(field, s)
}

// checkNamespace checks a namespace; it must not hold a zero byte, because that ends it in the keys of tables.
func checkNamespace(s string) error {
	if strings.IndexByte(s, 0) >= 0 {
		return invalid("namespace holds a zero byte")
	}
	return checkName("namespace", s)
}

func checkString(field, s string, most int) error {
	switch {
	case len(s) > most:
		return invalid("%s has %d bytes, the most is %d", field, len(s), most)
	case !utf8.ValidString(s):
		return invalid("%s is not UTF-8", field)
	}
	return nil
}

func checkOrder(field, previous, name string) error {
	if name <= previous {
		return invalid("%s %q after %q: they must be sorted, each once", field, name, previous)
	}
	return nil
}
