package head

import (
	"os"
	"os/signal"
	"runtime"
	"syscall"
)

// stacksMax bounds the stacks that SIGQUIT prints, in bytes.
const stacksMax = 4 << 20

// OnSignal has the first SIGINT, SIGTERM, SIGHUP or SIGQUIT call end, from a goroutine of its own, so that the process can end in
// order; a second one ends the process at once, with the status that a shell gives to a process that a signal ended. Workers do not
// outlive it either way: the system and the guard see to that. SIGQUIT also prints the stacks of all goroutines. stop gives the signals
// back and waits for end.
func OnSignal(end func(os.Signal)) (stop func()) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-done:
			return
		case s := <-signals:
			if s == syscall.SIGQUIT {
				printStacks()
			}
			end(s)
		}
		select {
		case <-done:
		case s := <-signals:
			code := 128
			if n, ok := s.(syscall.Signal); ok {
				code += int(n)
			}
			os.Exit(code) //nolint:forbidigo // the user asked twice
		}
	}()
	return func() {
		signal.Stop(signals)
		close(done)
		<-ended
	}
}

// printStacks writes the stacks of all goroutines to standard error.
func printStacks() {
	b := make([]byte, stacksMax)
	_, _ = os.Stderr.Write(b[:runtime.Stack(b, true)]) // there is nowhere to say that it failed
}
