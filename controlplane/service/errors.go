package service

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/mobula-dev/mobula/controlplane/shard"
	"github.com/mobula-dev/mobula/controlplane/state"
	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

// toStatus turns an error of the shard into a status with an ErrorValue, which says whether the work may have happened. A status
// passes as it is.
func toStatus(err error) error {
	if _, ok := status.FromError(err); ok {
		return err
	}
	code, detail := classify(err)
	detail.Message = err.Error()
	detail.Execution = mobulav1.Execution_EXECUTION_NOT_EXECUTED
	if _, ok := errors.AsType[*shard.UnknownError](err); ok {
		detail.Execution = mobulav1.Execution_EXECUTION_MAY_HAVE_EXECUTED
		detail.Hint = "repeat the batch with the same request ids: what was applied is not applied again"
	}
	st := status.New(code, err.Error())
	if detailed, err := st.WithDetails(detail); err == nil {
		st = detailed
	}
	return st.Err()
}

// classify returns the code of an error and the kind of its detail.
func classify(err error) (codes.Code, *mobulav1.ErrorValue) {
	_, invalid := errors.AsType[*state.InvalidError](err)
	switch {
	case invalid:
		return codes.InvalidArgument, &mobulav1.ErrorValue{Kind: mobulav1.ErrorKind_ERROR_KIND_INVALID_ARGUMENT}
	case errors.Is(err, shard.ErrDiskFull):
		return codes.ResourceExhausted, &mobulav1.ErrorValue{Kind: mobulav1.ErrorKind_ERROR_KIND_OUT_OF_DISK, Hint: "make room on the control plane's disk"}
	case errors.Is(err, shard.ErrDiskStalled):
		return codes.Unavailable, &mobulav1.ErrorValue{Kind: mobulav1.ErrorKind_ERROR_KIND_UNAVAILABLE, Hint: "look after the control plane's disk"}
	case errors.Is(err, shard.ErrBusy):
		return codes.ResourceExhausted, &mobulav1.ErrorValue{Kind: mobulav1.ErrorKind_ERROR_KIND_QUEUE_FULL, Hint: "try again later"}
	case errors.Is(err, shard.ErrForgotten):
		return codes.OutOfRange, &mobulav1.ErrorValue{Kind: mobulav1.ErrorKind_ERROR_KIND_NOT_FOUND, Hint: "watch again with include_existing"}
	case errors.Is(err, state.ErrHalt):
		return codes.FailedPrecondition, &mobulav1.ErrorValue{Kind: mobulav1.ErrorKind_ERROR_KIND_INTERNAL, Hint: "run a newer version of mobula"}
	case errors.Is(err, context.DeadlineExceeded):
		return codes.DeadlineExceeded, &mobulav1.ErrorValue{Kind: mobulav1.ErrorKind_ERROR_KIND_DEADLINE_EXCEEDED}
	case errors.Is(err, context.Canceled):
		return codes.Canceled, &mobulav1.ErrorValue{Kind: mobulav1.ErrorKind_ERROR_KIND_CANCELLED}
	default: // ErrNoLeader, ErrClosed, and what Raft says of a write whose outcome is unknown.
		return codes.Unavailable, &mobulav1.ErrorValue{Kind: mobulav1.ErrorKind_ERROR_KIND_UNAVAILABLE, Hint: "try again"}
	}
}
