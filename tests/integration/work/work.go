// Package work is what the integration tests run remotely: small functions and actors, each of which can be made to go wrong in one way.
package work

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"

	"github.com/mobula-dev/mobula/clients/go/mobula"
	"github.com/mobula-dev/mobula/tests/harness/gate"
)

//go:generate go run github.com/mobula-dev/mobula/codegen/cmd/mobula-gen .

// ErrEmpty is a sentinel that crosses processes.
var ErrEmpty = errors.New("the box is empty")

// TooSmallError is an error that crosses processes by value.
type TooSmallError struct {
	Want, Have int
}

// Error implements error.
func (e *TooSmallError) Error() string {
	return fmt.Sprintf("too small: want %d, have %d", e.Want, e.Have)
}

var (
	_ = mobula.RegisterSentinel("work.ErrEmpty", ErrEmpty)
	_ = mobula.RegisterError[*TooSmallError]("work.TooSmall")
)

// Add adds.
//
//mobula:remote
func Add(a, b int) int { return a + b }

// Echo returns its argument.
//
//mobula:remote
func Echo(b []byte) []byte { return append([]byte(nil), b...) }

// Divide has two results, or an error.
//
//mobula:remote
func Divide(a, b int) (quotient, remainder int, err error) {
	if b == 0 {
		return 0, 0, fmt.Errorf("divide %d: %w", a, ErrEmpty)
	}
	return a / b, a % b, nil
}

// Depth calls itself to that depth, each call waiting in a get for the next.
//
//mobula:remote
func Depth(ctx context.Context, n int) (int, error) {
	if n == 0 {
		return 0, nil
	}
	below, err := DepthRemote(ctx, n-1).Get(ctx)
	return below + 1, err
}

// Fan calls Add that often and sums up what the calls return.
//
//mobula:remote
func Fan(ctx context.Context, n int) (int, error) {
	refs := make([]mobula.Ref[int], n)
	for i := range refs {
		refs[i] = AddRemote(ctx, i, 1)
	}
	sum := 0
	for _, r := range refs {
		v, err := r.Get(ctx)
		if err != nil {
			return 0, err
		}
		sum += v
	}
	return sum, nil
}

// Box holds refs in all kinds of places.
type Box struct {
	One  mobula.Ref[int]
	Many []mobula.Ref[int]
	By   map[string]mobula.Ref[int]
	Deep *Box
}

// Pack makes refs and returns them in a box.
//
//mobula:remote
func Pack(ctx context.Context, from int) (Box, error) {
	return Box{
		One:  AddRemote(ctx, from, 0),
		Many: []mobula.Ref[int]{AddRemote(ctx, from, 1), AddRemote(ctx, from, 2)},
		By:   map[string]mobula.Ref[int]{"three": AddRemote(ctx, from, 3)},
		Deep: &Box{One: AddRemote(ctx, from, 4)},
	}, nil
}

// Unpack sums up what is in a box.
//
//mobula:remote
func Unpack(ctx context.Context, b Box) (int, error) {
	refs := append([]mobula.Ref[int]{b.One}, b.Many...)
	for _, r := range b.By {
		refs = append(refs, r)
	}
	if b.Deep != nil {
		refs = append(refs, b.Deep.One)
	}
	sum := 0
	for _, r := range refs {
		v, err := r.Get(ctx)
		if err != nil {
			return 0, err
		}
		sum += v
	}
	return sum, nil
}

// Nest returns a ref to a ref to a value.
//
//mobula:remote
func Nest(ctx context.Context, v int) (mobula.Ref[mobula.Ref[int]], error) {
	inner := AddRemote(ctx, v, 0)
	return mobula.Put(ctx, inner)
}

// The ways in which Fail fails.
const (
	FailPlain    = "plain"
	FailSentinel = "sentinel"
	FailTyped    = "typed"
	FailJoined   = "joined"
)

// Fail returns an error.
//
//mobula:remote
func Fail(how string) error {
	switch how {
	case FailSentinel:
		return fmt.Errorf("look into the box: %w", ErrEmpty)
	case FailTyped:
		return fmt.Errorf("measure the box: %w", &TooSmallError{Want: 7, Have: 3})
	case FailJoined:
		return errors.Join(ErrEmpty, &TooSmallError{Want: 7, Have: 3})
	default:
		return errors.New("something plain")
	}
}

// Relay fails as a task that it calls does, through that many more hops.
//
//mobula:remote
func Relay(ctx context.Context, hops int, how string) error {
	var err error
	if hops > 0 {
		_, err = RelayRemote(ctx, hops-1, how).Get(ctx)
	} else {
		_, err = FailRemote(ctx, how).Get(ctx)
	}
	return fmt.Errorf("hop %d: %w", hops, err)
}

// Panic panics with a text, or with an error when the text is "error".
//
//mobula:remote
func Panic(text string) int {
	if text == "error" {
		panic(fmt.Errorf("deep inside: %w", ErrEmpty))
	}
	return deepPanic(text)
}

//go:noinline
func deepPanic(text string) int { panic(text) }

// Where tells the process and the attempt that it runs in.
type Where struct {
	PID, Attempt int
	Function     string
}

// Here tells where it runs.
//
//mobula:remote
func Here(ctx context.Context) Where { return here(ctx) }

func here(ctx context.Context) Where {
	info, _ := mobula.Task(ctx)
	return Where{PID: os.Getpid(), Attempt: info.Attempt, Function: info.Function}
}

// Stop passes a gate and tells where it ran.
//
//mobula:remote
func Stop(ctx context.Context, address, name string) (Where, error) {
	_, err := gate.Pass(ctx, address, name)
	return here(ctx), err
}

// Deaf passes a gate and does not heed the end of its context.
//
//mobula:remote
func Deaf(ctx context.Context, address, name string) (Where, error) {
	_, err := gate.Pass(context.WithoutCancel(ctx), address, name)
	return here(ctx), err
}

// Effect passes a gate, which is its effect, and then another one before it returns.
//
//mobula:remote
func Effect(ctx context.Context, address, name string) (Where, error) {
	if _, err := gate.Pass(ctx, address, name); err != nil {
		return Where{}, err
	}
	_, err := gate.Pass(ctx, address, name+" done")
	return here(ctx), err
}

// Flaky passes a gate, and fails in the way that the gate answers, or returns its attempt when it answers nothing.
//
//mobula:remote
func Flaky(ctx context.Context, address, name string) (int, error) {
	how, err := gate.Pass(ctx, address, name)
	if err == nil && how != "" {
		err = Fail(how)
	}
	return here(ctx).Attempt, err
}

// Parent submits a Stop, then passes a gate of its own, and returns what the Stop does.
//
//mobula:remote
func Parent(ctx context.Context, address, name string) (Where, error) {
	child := StopRemote(ctx, address, name+" child")
	if _, err := gate.Pass(ctx, address, name); err != nil {
		return Where{}, err
	}
	return child.Get(ctx)
}

// Remaining returns how much time its context leaves it, in seconds; 0 is without end.
//
//mobula:remote
func Remaining(ctx context.Context) float64 {
	deadline, ok := ctx.Deadline()
	if !ok {
		return 0
	}
	return until(deadline)
}

// The ways in which Crash ends its process.
const (
	CrashExit     = "exit"
	CrashZero     = "exit zero"
	CrashKill     = "kill"
	CrashSegv     = "signal SEGV"
	CrashFatal    = "fatal error"
	CrashOverflow = "stack overflow"
	CrashChild    = "panic in a child goroutine"
)

// Crashes are all ways in which Crash ends its process.
var Crashes = []string{CrashExit, CrashZero, CrashKill, CrashSegv, CrashFatal, CrashOverflow, CrashChild}

// Crash passes a gate and then ends its process, unless the gate answers "live".
//
//mobula:remote
func Crash(ctx context.Context, address, name, how string) (int, error) {
	answer, err := gate.Pass(ctx, address, name)
	if err != nil || answer == "live" {
		return here(ctx).Attempt, err
	}
	crash(how)
	return 0, fmt.Errorf("the process survived %q", how)
}

func crash(how string) {
	switch how {
	case CrashExit:
		os.Exit(3) //nolint:forbidigo // This end is what the tests are about.
	case CrashZero:
		os.Exit(0) //nolint:forbidigo // As above.
	case CrashKill:
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // nothing can be done about a failure but to go on
	case CrashSegv:
		_ = syscall.Kill(os.Getpid(), syscall.SIGSEGV) // as above
	case CrashFatal:
		var m sync.Mutex
		m.Unlock() // fatal, and cannot be recovered
	case CrashOverflow:
		debug.SetMaxStack(1 << 20)
		overflow(make([]byte, 1024))
	case CrashChild:
		go func() { panic("in a child goroutine") }()
	}
	runtime.Gosched()
	select {} // the end is on its way
}

//go:noinline
func overflow(b []byte) int {
	if len(b) == 0 {
		return 0
	}
	var more [1024]byte
	return overflow(more[:]) + int(b[0])
}

// Resources tells what is assigned to it.
//
//mobula:remote
func Resources(ctx context.Context) map[string]float64 {
	info, _ := mobula.Task(ctx)
	return info.Resources
}

// Whole needs all of a node of two CPUs: it runs only when nothing else holds any.
//
//mobula:remote cpu=2
func Whole() bool { return true }

// TextOf makes a text of where a task ran.
//
//mobula:remote
func TextOf(w Where) string { return fmt.Sprintf("attempt %d", w.Attempt) }

// EchoText returns its argument.
//
//mobula:remote
func EchoText(s string) string { return s }

// Collect runs the garbage collector of its process: that gives up handles that nobody has any more.
//
//mobula:remote
func Collect() { runtime.GC() }

// Measure passes a gate while it has its argument, and returns the argument's length.
//
//mobula:remote
func Measure(ctx context.Context, address, name string, b []byte) (int, error) {
	_, err := gate.Pass(ctx, address, name)
	return len(b), err
}

// Make returns that many bytes.
//
//mobula:remote
func Make(n int) []byte { return make([]byte, n) }
