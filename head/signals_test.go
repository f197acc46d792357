package head

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

// envSignals makes this executable a program that does not end at the first signal.
const envSignals = "MOBULA_TEST_SIGNALS"

func TestMain(m *testing.M) {
	if os.Getenv(envSignals) != "" {
		OnSignal(func(s os.Signal) { _, _ = fmt.Println("ending:", s) })
		_, _ = fmt.Println("started")
		select {}
	}
	goleak.VerifyTestMain(m)
}

func TestSecondSignalEndsTheProcessAtOnce(t *testing.T) {
	t.Parallel()
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT} {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), envSignals+"=1")
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for _, want := range []string{"started", "ending: " + s.String()} {
			if !lines.Scan() || lines.Text() != want {
				t.Fatalf("%v: got %q, want %q", s, lines.Text(), want)
			}
			if err := cmd.Process.Signal(s); err != nil {
				t.Fatal(err)
			}
		}
		err = cmd.Wait()
		if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 128+int(s) {
			t.Errorf("%v: %v", s, err)
		}
		if stacks := strings.Contains(stderr.String(), "goroutine "); stacks != (s == syscall.SIGQUIT) {
			t.Errorf("%v: stacks printed: %v", s, stacks)
		}
	}
}
