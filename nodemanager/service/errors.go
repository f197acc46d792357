package service

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/errorvalue"
	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/nodemanager/ownership"
)

// describe adds to an error what the node knows of the task, and encodes it.
func (n *Node) describe(t *task, e *mobulav1.ErrorValue) []byte {
	d := proto.CloneOf(e)
	d.Function, d.TaskId, d.Node = t.tmpl.name, t.idBytes(), n.id.String()
	if d.Attempt == 0 && d.GetExecution() != mobulav1.Execution_EXECUTION_NOT_EXECUTED {
		d.Attempt = t.attempt
	}
	if d.GetCallSite() == "" {
		d.CallSite = t.from.callSite(t.callSite)
	}
	if d.SizeVT() > errorMax { // what explains least goes first
		d.Chain, d.Cause, d.Stack = nil, nil, ""
	}
	return errorvalue.Encode(d)
}

// errorMax is the longest error value in bytes: it must fit a frame beside what else that holds.
const errorMax = 512 << 10

// invalid is the outcome of a task whose spec cannot be run.
func (t *task) invalid(reason string) *mobulav1.ErrorValue {
	return &mobulav1.ErrorValue{
		Kind: mobulav1.ErrorKind_ERROR_KIND_INVALID_ARGUMENT, Message: reason, Execution: mobulav1.Execution_EXECUTION_NOT_EXECUTED,
	}
}

// unknownArg is the outcome of a task with an argument that the node does not have.
func (t *task) unknownArg(oid id.Object) *mobulav1.ErrorValue {
	e := unknownObject(oid)
	e.Message = fmt.Sprintf("%s was given a ref that cannot be resolved: %s", t.tmpl.name, e.GetMessage())
	e.Execution = mobulav1.Execution_EXECUTION_NOT_EXECUTED
	return e
}

// failByArg fails a task because an argument failed; the argument's error is the cause.
func (n *Node) failByArg(t *task, o *ownership.Object) {
	cause := errorvalue.Decode(o.Value().Encoded)
	if m, ok := o.Maker.(*task); ok && m.argFailed {
		cause = cause.GetCause() // in a chain of tasks each tells of the first failure, not of the whole chain
	}
	t.argFailed = true
	n.fail(t, &mobulav1.ErrorValue{
		Kind:      cause.GetKind(),
		Message:   fmt.Sprintf("%s did not run because its argument failed: %s", t.tmpl.name, cause.GetMessage()),
		Execution: mobulav1.Execution_EXECUTION_NOT_EXECUTED,
		Cause:     cause,
		Hint:      cause.GetHint(),
	})
}
