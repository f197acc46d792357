package main

import (
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

// This file says what the lists show. A fact that is in a table has the same value in JSON, there written for programs.

func taskColumns() []column[*mobulav1.TaskInfo] {
	type row = *mobulav1.TaskInfo
	return []column[row]{
		{"TASK", "task_id", func(t row) any { return hex.EncodeToString(t.GetTaskId()) }},
		{"FUNCTION", "function", func(t row) any { return t.GetFunction() }},
		{"", "kind", func(t row) any { return short(t.GetKind()) }},
		{"STATE", "state", func(t row) any { return short(t.GetState()) }},
		{"ATTEMPT", "attempt", func(t row) any { return t.GetAttempt() }},
		{"AGE", "submitted", func(t row) any { return stamp(t.GetSubmittedUnixNs()) }},
		{"PID", "pid", func(t row) any { return process(t.GetPid()) }},
		{"", "missing_args", func(t row) any { return t.GetMissingArgs() }},
		{"", "job_id", func(t row) any { return hex.EncodeToString(t.GetJobId()) }},
		{"", "actor_id", func(t row) any { return hex.EncodeToString(t.GetActorId()) }},
		{"", "worker_id", func(t row) any { return hex.EncodeToString(t.GetWorkerId()) }},
		{"CALLED AT", "call_site", func(t row) any { return t.GetCallSite() }},
		{"", "begun", func(t row) any { return stamp(t.GetBegunUnixNs()) }},
		{"", "ended", func(t row) any { return stamp(t.GetEndedUnixNs()) }},
		{"", "parent_task_id", func(t row) any { return hex.EncodeToString(t.GetParentTaskId()) }},
		{"ERROR", "error", func(t row) any { return t.GetError() }},
	}
}

func actorColumns() []column[*mobulav1.ActorInfo] {
	type row = *mobulav1.ActorInfo
	return []column[row]{
		{"ACTOR", "actor_id", func(a row) any { return hex.EncodeToString(a.GetRecord().GetActorId()) }},
		{"CLASS", "class", func(a row) any { return a.GetRecord().GetClass() }},
		{"NAME", "name", func(a row) any { return a.GetRecord().GetName() }},
		{"", "namespace", func(a row) any { return a.GetRecord().GetNamespace() }},
		{"STATE", "state", func(a row) any { return short(a.GetRecord().GetStatus()) }},
		{"RESTARTS", "restarts", func(a row) any { return a.GetRecord().GetRestarts() }},
		{"WAITING", "waiting_calls", func(a row) any { return a.GetWaitingCalls() }},
		{"RUNNING", "running_calls", func(a row) any { return a.GetRunningCalls() }},
		{"AGE", "created", func(a row) any { return stamp(a.GetRecord().GetCreatedUnixNs()) }},
		{"PID", "pid", func(a row) any { return process(a.GetRecord().GetPid()) }},
		{"", "job_id", func(a row) any { return hex.EncodeToString(a.GetRecord().GetJobId()) }},
		{"", "incarnation", func(a row) any { return a.GetRecord().GetIncarnation() }},
		{"", "max_restarts", func(a row) any { return a.GetRecord().GetMaxRestarts() }},
		{"", "ended", func(a row) any { return stamp(a.GetRecord().GetEndedUnixNs()) }},
		{"", "call_site", func(a row) any { return a.GetCallSite() }},
		{"CAUSE", "cause", func(a row) any { return a.GetRecord().GetCause().GetMessage() }},
	}
}

func objectColumns() []column[*mobulav1.ObjectInfo] {
	type row = *mobulav1.ObjectInfo
	return []column[row]{
		{"OBJECT", "object_id", func(o row) any { return hex.EncodeToString(o.GetObjectId()) }},
		{"SIZE", "size_bytes", func(o row) any { return bytesCount(o.GetSizeBytes()) }},
		{"STATE", "state", func(o row) any { return short(o.GetState()) }},
		{"WHERE", "where", func(o row) any { return where(o) }},
		{"PINS", "pins", func(o row) any { return o.GetPins() }},
		{"HELD BY", "holders", func(o row) any { return holders(o.GetHolders()) }},
		{"INTERNAL", "internal_holds", func(o row) any { return o.GetInternalHolds() }},
		{"MADE BY", "function", func(o row) any { return o.GetFunction() }},
		{"", "job_id", func(o row) any { return hex.EncodeToString(o.GetJobId()) }},
		{"CALLED AT", "call_site", func(o row) any { return o.GetCallSite() }},
	}
}

// where says in which memory an object's value is.
func where(o *mobulav1.ObjectInfo) string {
	switch {
	case o.GetState() == mobulav1.ObjectState_OBJECT_STATE_PENDING:
		return ""
	case o.GetStored():
		return "store"
	default:
		return "inline"
	}
}

// holderList is the processes that hold an object.
type holderList []object

func holders(list []*mobulav1.ObjectHolder) holderList {
	objects := make(holderList, 0, len(list))
	for _, h := range list {
		role := "driver"
		if h.GetWorker() {
			role = "worker"
		}
		objects = append(objects, object{{"role", role}, {"pid", h.GetPid()}, {"holds", h.GetHolds()}})
	}
	return objects
}

// String writes the holders for a table.
func (l holderList) String() string {
	var b strings.Builder
	for i, h := range l {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%v %v", h[0].value, h[1].value)
	}
	if b.Len() == 0 {
		return "-"
	}
	return b.String()
}

func nodeColumns() []column[*mobulav1.NodeInfo] {
	type row = *mobulav1.NodeInfo
	return []column[row]{
		{"NODE", "node_id", func(n row) any { return hex.EncodeToString(n.GetRecord().GetRef().GetNodeId()) }},
		{"EPOCH", "epoch", func(n row) any { return n.GetRecord().GetRef().GetEpoch() }},
		{"STATE", "state", func(n row) any { return short(n.GetRecord().GetStatus()) }},
		{"HOST", "hostname", func(n row) any { return n.GetRecord().GetHostname() }},
		{"PID", "pid", func(n row) any { return process(n.GetRecord().GetPid()) }},
		{"AGE", "registered", func(n row) any { return stamp(n.GetRecord().GetRegisteredUnixNs()) }},
		{"", "ended", func(n row) any { return stamp(n.GetRecord().GetEndedUnixNs()) }},
		{"", "version", func(n row) any { return n.GetRecord().GetBuild() }},
		{"", "resources", func(n row) any { return resourceObjects(n.GetResources()) }},
		{"", "store", func(n row) any { return storeObject(n.GetStore()) }},
		{"FREE", "", func(n row) any { return free(n) }},
		{"ADDRESS", "address", func(n row) any { return n.GetRecord().GetAddress() }},
		{"CAUSE", "cause", func(n row) any { return n.GetRecord().GetCause().GetMessage() }},
	}
}

// free sums up a node's resources for a table.
func free(n *mobulav1.NodeInfo) string {
	var parts []string
	for _, r := range n.GetResources() {
		parts = append(parts, fmt.Sprintf("%s/%s %s", amount(r.GetName(), r.GetFree()), amount(r.GetName(), r.GetTotal()), r.GetName()))
	}
	return strings.Join(parts, ", ")
}

func jobColumns() []column[*mobulav1.JobInfo] {
	type row = *mobulav1.JobInfo
	return []column[row]{
		{"JOB", "job_id", func(j row) any { return hex.EncodeToString(j.GetRecord().GetJobId()) }},
		{"STATE", "state", func(j row) any { return short(j.GetRecord().GetStatus()) }},
		{"PROGRAM", "", func(j row) any { return filepath.Base(j.GetRecord().GetProgram()) }},
		{"", "program", func(j row) any { return j.GetRecord().GetProgram() }},
		{"LANGUAGE", "language", func(j row) any { return shortName(j.GetRecord().GetLanguage().String()) }},
		{"PID", "pid", func(j row) any { return process(j.GetRecord().GetPid()) }},
		{"AGE", "started", func(j row) any { return stamp(j.GetRecord().GetStartedUnixNs()) }},
		{"", "ended", func(j row) any { return stamp(j.GetRecord().GetEndedUnixNs()) }},
		{"TASKS", "tasks", func(j row) any { return j.GetTasks() }},
		{"WORKERS", "workers", func(j row) any { return j.GetWorkers() }},
		{"MEMORY", "inline_bytes", func(j row) any { return bytesCount(j.GetInlineBytes()) }},
		{"NAMESPACE", "namespace", func(j row) any { return j.GetRecord().GetNamespace() }},
		{"CAUSE", "cause", func(j row) any { return j.GetRecord().GetCause().GetMessage() }},
	}
}

func workerColumns() []column[*mobulav1.WorkerInfo] {
	type row = *mobulav1.WorkerInfo
	return []column[row]{
		{"WORKER", "worker_id", func(w row) any { return hex.EncodeToString(w.GetWorkerId()) }},
		{"PID", "pid", func(w row) any { return process(w.GetPid()) }},
		{"STATE", "state", func(w row) any { return short(w.GetState()) }},
		{"LANGUAGE", "language", func(w row) any { return shortName(w.GetLanguage().String()) }},
		{"ISOLATION", "isolation", func(w row) any { return shortName(w.GetIsolation().String()) }},
		{"TASKS", "tasks", func(w row) any { return w.GetTasks() }},
		{"ACTORS", "actors", func(w row) any { return w.GetActors() }},
		{"AGE", "started", func(w row) any { return stamp(w.GetStartedUnixNs()) }},
		{"", "ended", func(w row) any { return stamp(w.GetEndedUnixNs()) }},
		{"JOB", "job_id", func(w row) any { return hex.EncodeToString(w.GetJobId()) }},
		{"", "exit_type", func(w row) any { return short(w.GetExitType()) }},
		{"EXIT", "exit", func(w row) any { return w.GetExit() }},
	}
}

func logColumns() []column[*mobulav1.LogFile] {
	type row = *mobulav1.LogFile
	return []column[row]{
		{"FILE", "name", func(f row) any { return f.GetName() }},
		{"OF", "kind", func(f row) any { return f.GetKind() }},
		{"SIZE", "size_bytes", func(f row) any { return bytesCount(f.GetSizeBytes()) }},
		{"LAST", "modified", func(f row) any { return stamp(f.GetModifiedUnixNs()) }},
		{"GROWS", "live", func(f row) any { return f.GetLive() }},
	}
}

func runtimeEnvColumns() []column[*mobulav1.RuntimeEnvInfo] {
	type row = *mobulav1.RuntimeEnvInfo
	return []column[row]{
		{"JOB", "job_id", func(e row) any { return hex.EncodeToString(e.GetJobId()) }},
		{"STATE", "state", func(e row) any { return short(e.GetState()) }},
		{"WORKERS", "workers", func(e row) any { return e.GetWorkers() }},
		{"TOOK", "", func(e row) any { return age(time.Duration(e.GetSetupNs())) }},
		{"", "setup_ns", func(e row) any { return e.GetSetupNs() }},
		{"RUNTIME ENV", "runtime_env", func(e row) any { return e.GetRuntimeEnv() }},
		{"ERROR", "error", func(e row) any { return e.GetError() }},
	}
}

func eventColumns() []column[*mobulav1.EventInfo] {
	type row = *mobulav1.EventInfo
	return []column[row]{
		{"AGE", "time", func(e row) any { return stamp(e.GetUnixNs()) }},
		{"SEVERITY", "severity", func(e row) any { return short(e.GetSeverity()) }},
		{"OF", "source", func(e row) any { return shortName(e.GetSource().String()) }},
		{"ID", "id", func(e row) any { return hex.EncodeToString(e.GetId()) }},
		{"", "job_id", func(e row) any { return hex.EncodeToString(e.GetJobId()) }},
		{"PID", "pid", func(e row) any { return process(e.GetPid()) }},
		{"EVENT", "message", func(e row) any { return e.GetMessage() }},
	}
}

// process is a process id; 0 is none.
type process int32

// String writes it for a table.
func (p process) String() string {
	if p == 0 {
		return "-"
	}
	return fmt.Sprint(int32(p))
}
