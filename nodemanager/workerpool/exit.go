package workerpool

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ExitKind is the way in which a worker ended.
type ExitKind uint8

// The ways; zero when the exit status was lost. A worker that the node asked to end counts as Killed, whether it ended on request or
// was forced, unless it crashed on the way.
const (
	// Clean: it exited with code 0 by itself.
	Clean ExitKind = iota + 1
	// UserExit: it exited with another code, from os.Exit, log.Fatal, or a panic or fatal error of the Go runtime (code 2).
	UserExit
	// Signaled: a signal that the node did not send ended it.
	Signaled
	// TakeoverFailed: it never became a worker; Reason.Err says why.
	TakeoverFailed
	// Killed: the node ended it; Reason.Cause says why.
	Killed
	// OOMSuspected: SIGKILL that the node did not send, while the kernel counted an out-of-memory kill in the
	// node's memory group, or on its machine where groups do not count.
	OOMSuspected
)

// String returns the name that lists and metrics show.
func (k ExitKind) String() string {
	switch k {
	case Clean:
		return "clean"
	case UserExit:
		return "user exit"
	case Signaled:
		return "signal"
	case TakeoverFailed:
		return "takeover failed"
	case Killed:
		return "killed"
	case OOMSuspected:
		return "out of memory suspected"
	default:
		return fmt.Sprintf("exit kind %d", uint8(k))
	}
}

// Cause is why the node ended a worker.
type Cause string

// The causes.
const (
	CauseIdle      Cause = "it was idle"
	CauseJob       Cause = "its job has ended"
	CauseCancelled Cause = "its work was cancelled"
	CauseRetired   Cause = "it was retired"
	CauseMemory    Cause = "the node ran short of memory"
	CauseShutdown  Cause = "the node is shutting down"
	CauseZygote    Cause = "the process that had forked it ended"
)

// ExitReason says how and why a worker ended. It is a value: nothing changes it once it was reported.
type ExitReason struct {
	Kind ExitKind
	// Code is the exit code; -1 when a signal ended the process.
	Code int
	// Signal ended the process; 0 when it exited.
	Signal     syscall.Signal
	CoreDumped bool
	// Cause is set when Kind is Killed.
	Cause Cause
	// Err is set when Kind is TakeoverFailed.
	Err error
	// LastLines are what explains the end best: the head of a crash report of the worker's runtime, then its last lines of output.
	LastLines []string
	// Started and Ended are set once, for every kind.
	Started, Ended time.Time
}

// String is a sentence for the user, without the last lines.
func (r ExitReason) String() string {
	switch r.Kind {
	case Clean:
		return "the worker exited by itself with code 0"
	case UserExit:
		return fmt.Sprintf("the worker exited by itself with code %d%s", r.Code, r.headline())
	case TakeoverFailed:
		return fmt.Sprintf("the worker did not start: %v (%s)%s", r.Err, r.how(), r.headline())
	case Killed:
		return fmt.Sprintf("the node ended the worker because %s (%s)", r.Cause, r.how())
	case OOMSuspected:
		return "the worker was killed by SIGKILL, probably by the kernel for lack of memory: the kernel has just counted such a kill"
	case Signaled:
		if r.Signal == syscall.SIGKILL {
			return "the worker was killed by SIGKILL, which the node did not send: by the kernel for lack of memory, or by another process"
		}
		return fmt.Sprintf("the worker was ended by %s (%s)%s", unix.SignalName(r.Signal), r.Signal, r.headline())
	default:
		return "the worker ended in a way that the node could not learn"
	}
}

// LastLine returns the last line of output that is not empty, or nothing.
func (r ExitReason) LastLine() string {
	for _, line := range slices.Backward(r.LastLines) {
		if line = strings.TrimSpace(line); line != "" {
			return line
		}
	}
	return ""
}

// how tells code or signal.
func (r ExitReason) how() string {
	if r.Signal != 0 {
		return "ended by " + unix.SignalName(r.Signal)
	}
	return fmt.Sprintf("exit code %d", r.Code)
}

// headline is the first line of a crash report, if there is one.
func (r ExitReason) headline() string {
	if len(r.LastLines) > 0 && isCrashHead([]byte(r.LastLines[0])) {
		return ": " + strings.TrimSpace(r.LastLines[0])
	}
	return ""
}

// ending is what the pool knows when a process has ended, besides the kernel's status.
type ending struct {
	cause       Cause // empty unless the pool ended it
	takeoverErr error // nil once it was ready
	forced      bool  // the pool killed it since it did not take over
	oomCounted  func() bool
}

// classify makes the reason from the kernel's status. It asks for an out-of-memory kill only where one is possible.
func classify(status unix.WaitStatus, e ending) ExitReason {
	r := ExitReason{Code: -1}
	if status.Signaled() {
		r.Signal, r.CoreDumped = status.Signal(), status.CoreDump()
	} else {
		r.Code = status.ExitStatus()
	}
	oom := e.cause == "" && !e.forced && r.Signal == syscall.SIGKILL && e.oomCounted()
	crashed := r.Signal != 0 && r.Signal != syscall.SIGKILL && r.Signal != syscall.SIGTERM
	switch {
	case e.cause != "" && !crashed:
		r.Kind, r.Cause = Killed, e.cause
	case oom:
		r.Kind = OOMSuspected
	case e.takeoverErr != nil:
		r.Kind, r.Err = TakeoverFailed, e.takeoverErr
	case r.Signal != 0:
		r.Kind = Signaled
	case r.Code == 0:
		r.Kind = Clean
	default:
		r.Kind = UserExit
	}
	return r
}

// crash reports whether the end counts against the job: the worker failed, and not because the node wanted it.
func (r ExitReason) crash() bool { return r.Kind != Clean && r.Kind != Killed }
