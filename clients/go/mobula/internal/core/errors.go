package core

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"

	"github.com/mobula-dev/mobula/clients/go/mobula/internal/codec"
)

// Error is an ErrorValue as a Go error. The public package presents it.
type Error struct {
	Value *mobulav1.ErrorValue
	// Cause is what Unwrap returns: the user's error rebuilt, the cause's Error, or a local error.
	Cause error
}

// Error implements error.
func (e *Error) Error() string { return e.Value.GetMessage() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Sentinel returns the context error that a remote end of time or a cancellation equals, or nil.
func (e *Error) Sentinel() error {
	switch e.Value.GetKind() {
	case mobulav1.ErrorKind_ERROR_KIND_DEADLINE_EXCEEDED:
		return context.DeadlineExceeded
	case mobulav1.ErrorKind_ERROR_KIND_CANCELLED:
		return context.Canceled
	default:
		return nil
	}
}

// Is makes a remote end of time equal to the local one.
func (e *Error) Is(target error) bool { return target != nil && target == e.Sentinel() }

// IsDeadline reports whether a context's deadline is behind a local error.
func IsDeadline(err error) bool { return errors.Is(err, context.DeadlineExceeded) }

// IsCancelled reports whether a context's cancellation is behind a local error.
func IsCancelled(err error) bool { return errors.Is(err, context.Canceled) }

// IsBadValue reports whether the codec is behind a local error.
func IsBadValue(err error) bool {
	var t *codec.TypeError
	var n *codec.NotPortableError
	var f *codec.FormatError
	return errors.As(err, &t) || errors.As(err, &n) || errors.As(err, &f)
}

// errorTypes are the users' errors that cross processes as themselves.
var errorTypes = struct {
	mu        sync.RWMutex // guards the fields below
	byName    map[string]registeredError
	byType    map[reflect.Type]string
	sentinels map[error]string
}{ // the ends of contexts cross without being registered
	byName: map[string]registeredError{
		"context.Canceled": {sentinel: context.Canceled}, "context.DeadlineExceeded": {sentinel: context.DeadlineExceeded},
	},
	byType: make(map[reflect.Type]string),
	sentinels: map[error]string{
		context.Canceled: "context.Canceled", context.DeadlineExceeded: "context.DeadlineExceeded",
	},
}

// registeredError makes a user's error from its encoded fields.
type registeredError struct {
	decode   func(codec.Encoded) (error, error)
	encode   func(error, *codec.Encoder) error
	sentinel error
}

// RegisterErrorType lets errors of type T cross processes by value.
func RegisterErrorType[T error](name string) error {
	return registerError(name, reflect.TypeFor[T](), registeredError{
		decode: func(e codec.Encoded) (error, error) {
			var d codec.Decoder
			d.Reset(e, codec.Options{})
			return codec.Decode[T](&d)
		},
		encode: func(err error, e *codec.Encoder) error {
			v, ok := err.(T) //nolint:errorlint // one link of a chain is encoded, not the chain
			if !ok {
				return fmt.Errorf("error is a %T", err)
			}
			return codec.Encode(e, v)
		},
	})
}

// RegisterSentinel lets one error value cross processes as itself.
func RegisterSentinel(name string, err error) error {
	if !reflect.TypeOf(err).Comparable() {
		return fmt.Errorf("register error %q: a %T cannot be compared", name, err)
	}
	return registerError(name, nil, registeredError{sentinel: err})
}

func registerError(name string, t reflect.Type, r registeredError) error {
	errorTypes.mu.Lock()
	defer errorTypes.mu.Unlock()
	if _, taken := errorTypes.byName[name]; taken {
		return fmt.Errorf("register error %q: the name is taken", name)
	}
	errorTypes.byName[name] = r
	if t != nil {
		errorTypes.byType[t] = name
	} else {
		errorTypes.sentinels[r.sentinel] = name
	}
	return nil
}

const (
	// textMax is the longest text of an error in bytes.
	textMax = 64 << 10
	// chainMax is the most links of a chain.
	chainMax = 32
	// linkMax is the longest text of a link: most of it stands in the error's own text too.
	linkMax = 4 << 10
	// valueMax is the longest error in bytes before a stack is added: beyond it the text crosses alone.
	valueMax = 256 << 10
)

// Clip makes a text what an error may carry: at most so long, and UTF-8, which other languages insist on.
func Clip(s string) string { return clip(s, textMax) }

func clip(s string, most int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most-3], "") + "..."
	}
	return s
}

// ToValue makes an ErrorValue of what a user's function returned.
func ToValue(err error) *mobulav1.ErrorValue {
	v := &mobulav1.ErrorValue{
		Kind: mobulav1.ErrorKind_ERROR_KIND_TASK_FAILED, Message: Clip(err.Error()), Execution: mobulav1.Execution_EXECUTION_FAILED,
	}
	if remote, ok := errors.AsType[*Error](err); ok {
		v.Cause = remote.Value
	}
	links(err, v)
	if v.SizeVT() > valueMax {
		v.Chain, v.Cause = nil, nil
	}
	return v
}

// links writes the chain of causes, depth first for joined errors, up to an error that is a value already.
func links(err error, v *mobulav1.ErrorValue) {
	if err == nil || len(v.Chain) >= chainMax {
		return
	}
	if _, ok := err.(*Error); ok { //nolint:errorlint // the chain is walked link by link
		return // it is the cause
	}
	v.Chain = append(v.Chain, link(err))
	switch x := err.(type) { //nolint:errorlint // as above
	case interface{ Unwrap() error }:
		links(x.Unwrap(), v)
	case interface{ Unwrap() []error }:
		for _, e := range x.Unwrap() {
			links(e, v)
		}
	}
}

func link(err error) *mobulav1.ErrorLink {
	l := &mobulav1.ErrorLink{Message: clip(err.Error(), linkMax), TypeName: fmt.Sprintf("%T", err)}
	errorTypes.mu.RLock()
	defer errorTypes.mu.RUnlock()
	if reflect.ValueOf(err).Comparable() { // its fields too, not only its type
		l.Registered = errorTypes.sentinels[err]
	}
	if l.Registered != "" {
		return l
	}
	name, ok := errorTypes.byType[reflect.TypeOf(err)]
	if !ok {
		return l
	}
	var e codec.Encoder
	if errorTypes.byName[name].encode(err, &e) != nil {
		return l // its text crosses, its fields do not
	}
	f := e.Finish()
	l.Registered = name
	l.Payload = &mobulav1.Value{Format: mobulav1.ValueFormat_VALUE_FORMAT_MSGPACK, Meta: f.Meta, Buffers: f.Buffers}
	return l
}

// FromValue makes the Go error of an ErrorValue.
func FromValue(v *mobulav1.ErrorValue) *Error {
	e := &Error{Value: v}
	var causes []error
	for _, l := range v.GetChain() {
		if err := rebuild(l); err != nil {
			causes = append(causes, err)
		}
	}
	if v.GetCause() != nil {
		causes = append(causes, FromValue(v.GetCause()))
	}
	switch len(causes) {
	case 0:
	case 1:
		e.Cause = causes[0]
	default:
		e.Cause = errors.Join(causes...)
	}
	return e
}

// rebuild rebuilds a registered error of a chain; nil when it is not registered here.
func rebuild(l *mobulav1.ErrorLink) error {
	if l.GetRegistered() == "" {
		return nil
	}
	errorTypes.mu.RLock()
	r, ok := errorTypes.byName[l.GetRegistered()]
	errorTypes.mu.RUnlock()
	switch {
	case !ok:
		return nil
	case r.sentinel != nil:
		return r.sentinel
	}
	p := l.GetPayload()
	err, failed := r.decode(codec.Encoded{Meta: p.GetMeta(), Buffers: p.GetBuffers()})
	if failed != nil {
		return nil //nolint:nilerr // this program's type of that name differs: the text crosses, the fields do not
	}
	return err
}

// Registered returns the names of the registered errors in a chain.
func Registered(v *mobulav1.ErrorValue) []string {
	var names []string
	for _, l := range v.GetChain() {
		if l.GetRegistered() != "" {
			names = append(names, l.GetRegistered())
		}
	}
	return names
}
