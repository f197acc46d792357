package core

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"google.golang.org/protobuf/proto"
)

// shortError is a user's error with fields.
type shortError struct{ Have, Want int }

func (e *shortError) Error() string { return fmt.Sprintf("have %d, want %d", e.Have, e.Want) }

// listError is a user's error that cannot be compared, as lists of errors often are.
type listError []string

func (m listError) Error() string { return strings.Join(m, "; ") }

// anyError looks comparable to its type and is not.
type anyError struct{ Detail any }

func (w anyError) Error() string { return "detail" }

var errClosed = errors.New("the shop is closed")

var (
	_ = RegisterErrorType[*shortError]("coretest.NotEnough")
	_ = RegisterErrorType[listError]("coretest.Many")
	_ = RegisterSentinel("coretest.ErrClosed", errClosed)
)

// sent is what becomes of an error on its way through two processes.
func sent(t *testing.T, err error) *Error {
	t.Helper()
	b, failed := ToValue(err).MarshalVT()
	if failed != nil {
		t.Fatal(failed)
	}
	v := new(mobulav1.ErrorValue)
	if err := proto.Unmarshal(b, v); err != nil { // as strict as any language is
		t.Fatalf("other languages cannot read the error: %v", err)
	}
	return FromValue(v)
}

func TestErrorsOfUsersCrossAsThemselves(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"bare":            &shortError{1, 2},
		"wrapped":         fmt.Errorf("buy: %w", fmt.Errorf("pay: %w", &shortError{1, 2})),
		"joined":          errors.Join(io.EOF, errors.Join(io.ErrUnexpectedEOF, &shortError{1, 2})),
		"in a list of %w": fmt.Errorf("%w and %w", io.EOF, &shortError{1, 2}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := sent(t, err)
			e, ok := errors.AsType[*shortError](got)
			if !ok || *e != (shortError{1, 2}) {
				t.Errorf("errors.As finds %v", e)
			}
			if got.Error() != err.Error() {
				t.Errorf("the text is %q, want %q", got, err)
			}
			if got.Value.GetKind() != mobulav1.ErrorKind_ERROR_KIND_TASK_FAILED || got.Value.GetExecution() != mobulav1.Execution_EXECUTION_FAILED {
				t.Errorf("kind %v, %v", got.Value.GetKind(), got.Value.GetExecution())
			}
		})
	}
}

func TestSentinelsCrossAsThemselves(t *testing.T) {
	t.Parallel()
	got := sent(t, fmt.Errorf("buy: %w", errors.Join(errClosed, context.DeadlineExceeded)))
	for _, want := range []error{errClosed, context.DeadlineExceeded} {
		if !errors.Is(got, want) {
			t.Errorf("errors.Is does not find %v", want)
		}
	}
	if errors.Is(got, context.Canceled) || errors.Is(got, io.EOF) {
		t.Error("errors.Is finds what was never there")
	}
	if names := Registered(got.Value); strings.Join(names, " ") != "coretest.ErrClosed context.DeadlineExceeded" {
		t.Errorf("registered errors %q", names)
	}
}

func TestErrorsThatCannotBeComparedCross(t *testing.T) {
	t.Parallel()
	if got, ok := errors.AsType[listError](sent(t, listError{"a", "b"})); !ok || got.Error() != "a; b" {
		t.Errorf("errors.As finds %v", got)
	}
	if got := sent(t, anyError{Detail: []int{1}}); got.Error() != "detail" {
		t.Errorf("the text is %q", got)
	}
}

func TestErrorOfAnotherTaskIsTheCause(t *testing.T) {
	t.Parallel()
	inner := sent(t, fmt.Errorf("inner: %w", &shortError{3, 4}))
	inner.Value.Function, inner.Value.Stack, inner.Value.Attempt, inner.Value.CallSite = "m.Inner", "goroutine 7", 2, "main.go:5"
	got := sent(t, fmt.Errorf("outer: %w", inner))
	cause := got.Value.GetCause()
	if cause.GetFunction() != "m.Inner" || cause.GetStack() != "goroutine 7" || cause.GetAttempt() != 2 || cause.GetCallSite() != "main.go:5" {
		t.Errorf("the cause is %v", cause)
	}
	if e, ok := errors.AsType[*shortError](got); !ok || e.Want != 4 {
		t.Error("errors.As does not look into the cause")
	}
	if got.Error() != "outer: inner: have 3, want 4" {
		t.Errorf("the text is %q", got)
	}
}

func TestErrorsOfTheRuntimeAreTheContextsToo(t *testing.T) {
	t.Parallel()
	for kind, want := range map[mobulav1.ErrorKind]error{
		mobulav1.ErrorKind_ERROR_KIND_DEADLINE_EXCEEDED: context.DeadlineExceeded,
		mobulav1.ErrorKind_ERROR_KIND_CANCELLED:         context.Canceled,
	} {
		e := FromValue(&mobulav1.ErrorValue{Kind: kind})
		if !errors.Is(e, want) || errors.Is(e, io.EOF) || errors.Is(e, listError{}) {
			t.Errorf("%v is not %v alone", kind, want)
		}
	}
	if errors.Is(FromValue(&mobulav1.ErrorValue{}), context.Canceled) {
		t.Error("an error without a kind is context.Canceled")
	}
}

func TestErrorsAreBounded(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", textMax)
	if got := sent(t, errors.New(long)).Error(); len(got) > textMax || !strings.HasSuffix(got, "é...") {
		t.Errorf("a text of %d bytes became one of %d that ends %q", len(long), len(got), got[len(got)-8:])
	}
	broken := strings.Repeat("x\xff", textMax)
	if got := Clip(broken); len(got) > textMax || !utf8.ValidString(got) {
		t.Errorf("a text that is not UTF-8 has %d bytes, valid: %v", len(got), utf8.ValidString(got))
	}
	large := error(listError{long})
	for range 10 {
		large = fmt.Errorf("again: %w", large)
	}
	if size := sent(t, large).Value.SizeVT(); size > valueMax {
		t.Errorf("an error has %d bytes, want at most %d", size, valueMax)
	}
	deep := errors.New("root")
	for range 10 * chainMax {
		deep = fmt.Errorf("%w", deep)
	}
	wide := make([]error, 10*chainMax)
	for i := range wide {
		wide[i] = errClosed
	}
	for _, err := range []error{deep, errors.Join(wide...)} {
		if n := len(sent(t, err).Value.GetChain()); n != chainMax {
			t.Errorf("a chain of %d links, want %d", n, chainMax)
		}
	}
}

func TestAnErrorOfAProgramThatKnowsMoreIsItsText(t *testing.T) {
	t.Parallel()
	got := FromValue(&mobulav1.ErrorValue{Message: "m", Chain: []*mobulav1.ErrorLink{
		{Message: "unknown here", Registered: "elsewhere.Error"},
		{Message: "changed", Registered: "coretest.NotEnough", Payload: &mobulav1.Value{Meta: []byte{0xc1}}},
		{Message: "plain"},
	}})
	if got.Error() != "m" || got.Unwrap() != nil {
		t.Errorf("%q, which wraps %v", got, got.Unwrap())
	}
}

func TestANameOfAnErrorIsGivenOnce(t *testing.T) {
	t.Parallel()
	if RegisterSentinel("coretest.ErrClosed", io.EOF) == nil || RegisterErrorType[anyError]("coretest.ErrClosed") == nil {
		t.Error("a name was given twice")
	}
	if RegisterSentinel("coretest.Many2", listError{}) == nil {
		t.Error("an error that cannot be compared became a sentinel")
	}
}

// FuzzErrorValue rebuilds what a node may send.
func FuzzErrorValue(f *testing.F) {
	for _, err := range []error{&shortError{1, 2}, errClosed, errors.Join(errClosed, listError{"a"}), sentError()} {
		b, failed := ToValue(err).MarshalVT()
		if failed != nil {
			f.Fatal(failed)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var v mobulav1.ErrorValue
		if len(b) > valueMax/2 || v.UnmarshalVT(b) != nil {
			t.Skip("no error value, or a long one, which is cut when it is sent")
		}
		e := FromValue(&v)
		_, _ = errors.AsType[*shortError](e) // does not panic
		if again := ToValue(e); again.GetCause() != e.Value {
			t.Error("an error value that is passed on is not the cause")
		}
	})
}

func sentError() error {
	return FromValue(&mobulav1.ErrorValue{Message: "x", Cause: &mobulav1.ErrorValue{Message: "y", Stack: "z"}})
}
