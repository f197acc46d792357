package service

import (
	"fmt"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/nodemanager/ownership"
)

// encodeError makes an encoded Value of an error.
func encodeError(e *mobulav1.ErrorValue) []byte {
	meta, err := e.MarshalVT()
	if err != nil {
		panic("invariant: an ErrorValue encodes: " + err.Error())
	}
	v := mobulav1.Value{Format: mobulav1.ValueFormat_VALUE_FORMAT_ERROR, Meta: meta}
	b, err := v.MarshalVT()
	if err != nil {
		panic("invariant: a Value encodes: " + err.Error())
	}
	return b
}

// decodeError reads an encoded Value of an error.
func decodeError(encoded []byte) *mobulav1.ErrorValue {
	var v mobulav1.Value
	e := new(mobulav1.ErrorValue)
	if err := v.UnmarshalVT(encoded); err != nil {
		return &mobulav1.ErrorValue{Kind: mobulav1.ErrorKind_ERROR_KIND_INTERNAL, Message: "error value cannot be read: " + err.Error()}
	}
	if err := e.UnmarshalVT(v.GetMeta()); err != nil {
		return &mobulav1.ErrorValue{Kind: mobulav1.ErrorKind_ERROR_KIND_INTERNAL, Message: "error value cannot be read: " + err.Error()}
	}
	return e
}

// describe adds to an error what the node knows of the task, and encodes it.
func (n *Node) describe(t *task, e *mobulav1.ErrorValue) []byte {
	d := e.CloneVT()
	d.Function, d.TaskId, d.Node = t.tmpl.name, t.id[:], n.id.String()
	if d.Attempt == 0 && d.GetExecution() != mobulav1.Execution_EXECUTION_NOT_EXECUTED {
		d.Attempt = t.attempt
	}
	if d.GetCallSite() == "" {
		d.CallSite = t.from.callSite(t.callSite)
	}
	if d.SizeVT() > errorMax { // what explains least goes first
		d.Chain, d.Cause, d.Stack = nil, nil, ""
	}
	return encodeError(d)
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
	cause := decodeError(o.Value().Encoded)
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
