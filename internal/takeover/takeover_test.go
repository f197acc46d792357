package takeover

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/mobula-dev/mobula/internal/id"
)

// envProbe asks the test's program, run without a role, what Take says.
const envProbe = "TAKEOVER_TEST_PROBE"

// TestMain lets the test's own program play the started process, in the mode that the role's settings name.
func TestMain(m *testing.M) {
	child, ok, err := Take()
	switch {
	case err != nil:
		Exit(err)
	case ok:
		play(child)
		os.Exit(0)
	case os.Getenv(envProbe) != "":
		fmt.Printf("%v %v", ok, os.Getenv(EnvRole)+os.Getenv(EnvFD)+os.Getenv(EnvProof))
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// report is what a child tells its test, on standard output.
type report struct {
	Role  Role
	Env   []string
	Stdin int    // bytes that standard input held
	Again bool   // whether a second Take says the same
	Probe string // what a subprocess's Take says
}

func play(child *Child) {
	switch child.Settings["mode"] {
	case "report":
		in, _ := io.ReadAll(os.Stdin)
		again, ok, err := Take()
		probe := exec.Command(os.Args[0])
		probe.Env = append(os.Environ(), envProbe+"=1")
		out, perr := probe.Output()
		r := report{Role: child.Role, Env: os.Environ(), Stdin: len(in), Again: again == child && ok && err == nil, Probe: fmt.Sprint(string(out), perr)}
		if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
			Exit(err)
		}
		if err := child.Ready(); err != nil {
			Exit(err)
		}
	case "refuse":
		if err := child.Refuse("this test does not feel like it"); err != nil {
			Exit(err)
		}
		Exit(errors.New("refused"))
	case "quit":
	case "hang":
		select {}
	case "gone":
		if err := child.Ready(); err != nil {
			Exit(err)
		}
		<-child.Gone()
		fmt.Print("gone")
	}
}

// start runs a child in a mode; the returned buffer is complete after cmd.Wait.
func start(t *testing.T, role Role, mode string) (*Starter, *exec.Cmd, *bytes.Buffer) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	var out bytes.Buffer
	cmd.Stdout, cmd.Stdin = &out, strings.NewReader("not for the child")
	role.Settings = map[string]string{"mode": mode}
	s, err := Prepare(cmd, role)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	err = cmd.Start()
	s.Started()
	if err != nil {
		t.Fatal(err)
	}
	return s, cmd, &out
}

func TestStartedProcessReceivesItsRoleAndNothingLeaksToItsSubprocesses(t *testing.T) {
	t.Parallel()
	want := Role{
		Kind: KindWorker, Secret: NewSecret(), Socket: "/run/x.sock", Node: id.Node{1}, Job: id.Job{2}, Worker: id.Worker{3},
		Isolated: true,
	}
	s, cmd, out := start(t, want, "report")
	if err := s.Await(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	want.Settings = map[string]string{"mode": "report"}
	if diff := cmp.Diff(want, r.Role); diff != "" {
		t.Errorf("role (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(Environ(r.Env), r.Env); diff != "" {
		t.Errorf("role variables are left in the environment:\n%s", diff)
	}
	if r.Stdin != 0 {
		t.Errorf("standard input held %d bytes, want none", r.Stdin)
	}
	if !r.Again {
		t.Error("a second Take differs from the first")
	}
	if r.Probe != "false <nil>" {
		t.Errorf("a subprocess saw %q, want no role", r.Probe)
	}
}

func TestAwaitTellsWhyAProcessDidNotTakeOver(t *testing.T) {
	t.Parallel()
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		s, cmd, _ := start(t, Role{Kind: KindNode}, "refuse")
		var refused *RefusedError
		if err := s.Await(t.Context(), 0); !errors.As(err, &refused) || refused.Reason != "this test does not feel like it" {
			t.Errorf("Await = %v, want the refusal", err)
		}
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != ExitCode {
			t.Errorf("process ended with %v, want code %d", err, ExitCode)
		}
	})
	t.Run("ended", func(t *testing.T) {
		t.Parallel()
		s, cmd, _ := start(t, Role{Kind: KindNode}, "quit")
		if err := s.Await(t.Context(), 0); !errors.Is(err, ErrClosed) {
			t.Errorf("Await = %v, want ErrClosed", err)
		}
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	t.Run("timeout", func(t *testing.T) {
		t.Parallel()
		s, cmd, _ := start(t, Role{Kind: KindNode}, "hang")
		var timeout *TimeoutError
		err := s.Await(t.Context(), 20*time.Millisecond)
		if !errors.As(err, &timeout) || timeout.After != 20*time.Millisecond || !strings.Contains(err.Error(), "go generate") {
			t.Errorf("Await = %v, want a timeout with a hint", err)
		}
		kill(t, cmd)
	})
	t.Run("cancelled", func(t *testing.T) {
		t.Parallel()
		s, cmd, _ := start(t, Role{Kind: KindNode}, "hang")
		ctx, cancel := context.WithCancelCause(t.Context())
		cause := errors.New("changed our mind")
		cancel(cause)
		if err := s.Await(ctx, 0); !errors.Is(err, cause) {
			t.Errorf("Await = %v, want the cause", err)
		}
		kill(t, cmd)
	})
}

func kill(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // It was killed, and says so.
}

func TestProcessNoticesTheEndOfItsStarter(t *testing.T) {
	t.Parallel()
	s, cmd, out := start(t, Role{Kind: KindWorker}, "gone")
	if err := s.Await(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil || out.String() != "gone" {
		t.Errorf("process ended with %v after printing %q", err, out)
	}
}

func TestHandMadeRoleEndsTheProgramWithCodeThree(t *testing.T) {
	t.Parallel()
	for _, env := range [][]string{
		{EnvRole + "=worker"},
		{EnvRole + "=worker", EnvFD + "=3", EnvProof + "=00"},
		{EnvFD + "=3"},
	} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.list=.*")
		cmd.Env = append(os.Environ(), env...)
		var out, msg bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &msg
		var exit *exec.ExitError
		if err := cmd.Run(); !errors.As(err, &exit) || exit.ExitCode() != ExitCode {
			t.Errorf("%v: program ended with %v, want code %d", env, err, ExitCode)
		}
		if out.Len() > 0 {
			t.Errorf("%v: the program ran and printed %q", env, out.String())
		}
		if !strings.HasPrefix(msg.String(), "mobula: take over") || !strings.Contains(msg.String(), "unset") {
			t.Errorf("%v: message %q does not help", env, msg.String())
		}
	}
}

// offer puts bytes where a role message should be, and returns a lookup function for an environment that points there, and the
// starter's end, whose answers stay to be read.
func offer(t *testing.T, env map[string]string, msg []byte) (func(string) (string, bool), io.Reader) {
	t.Helper()
	conn, child, err := socketPair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := conn.Write(msg); err != nil {
		t.Fatal(err)
	}
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	fd, err := syscall.Dup(int(child.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Close(); err != nil {
		t.Fatal(err)
	}
	full := map[string]string{EnvRole: "worker", EnvFD: strconv.Itoa(fd)}
	maps.Copy(full, env)
	return func(name string) (string, bool) { v, ok := full[name]; return v, ok }, conn
}

func noUnset(string) error { return nil }

func TestTakeRefusesWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	secret := Secret{7}
	valid, err := encode(Role{Kind: KindWorker, Secret: secret})
	if err != nil {
		t.Fatal(err)
	}
	old := strings.Replace(string(valid[4:]), `"version":1`, `"version":9`, 1)
	for name, c := range map[string]struct {
		env    map[string]string
		msg    []byte
		want   string
		answer bool // whether the starter is told
	}{
		"wrong secret":  {map[string]string{EnvProof: Secret{8}.proof()}, valid, "secret", false},
		"other kind":    {map[string]string{EnvRole: "node", EnvProof: secret.proof()}, valid, `offers the role "worker"`, true},
		"other version": {map[string]string{EnvProof: secret.proof()}, blob(old), "version 9", true},
		"no message":    {map[string]string{EnvProof: secret.proof()}, nil, "EOF", false},
		"half":          {map[string]string{EnvProof: secret.proof()}, valid[:20], "unexpected EOF", false},
		"too long":      {map[string]string{EnvProof: secret.proof()}, []byte{255, 255, 255, 255}, "at most", false},
		"not JSON":      {map[string]string{EnvProof: secret.proof()}, blob("hello"), "decode", false},
		"bad id": {map[string]string{EnvProof: secret.proof()}, blob(strings.Replace(string(valid[4:]), `"job":"00`, `"job":"xx`, 1)),
			"decode role message", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lookup, starter := offer(t, c.env, c.msg)
			_, err := take(lookup, noUnset)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("take = %v, want an error about %q", err, c.want)
			}
			answer, _ := io.ReadAll(starter) // A reset, when the message was not read, is no answer either.
			if c.answer != (len(answer) > 0 && answer[0] == refuseByte) || !c.answer && len(answer) > 0 {
				t.Errorf("the starter was answered %q", answer)
			}
		})
	}
}

func blob(s string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(s))), s...)
}

func TestTakeRefusesDescriptorsThatAreNoUnixSocket(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = errors.Join(r.Close(), w.Close()) }()
	for _, fd := range []string{"", "x", "-1", "0", "2", "99999", "1048577", "9999999999999999999", strconv.Itoa(int(r.Fd()))} {
		env := map[string]string{EnvRole: "worker", EnvFD: fd, EnvProof: "00"}
		_, err := take(func(name string) (string, bool) { v, ok := env[name]; return v, ok }, noUnset)
		if err == nil || !strings.Contains(err.Error(), "descriptor") {
			t.Errorf("descriptor %q: take = %v, want an error about the descriptor", fd, err)
		}
	}
	if _, err := w.WriteString("x"); err != nil {
		t.Errorf("the refused descriptor is broken: %v", err)
	}
}

func TestNewRefusesARoleThatNobodyCouldTake(t *testing.T) {
	t.Parallel()
	if _, err := New(Role{Kind: "king"}, 3); err == nil {
		t.Error("New accepts an unknown kind")
	}
	if _, err := New(Role{Kind: KindNode}, 2); err == nil {
		t.Error("New accepts a standard stream")
	}
	if _, err := New(Role{Kind: KindNode, Settings: map[string]string{"x": strings.Repeat("y", messageMax)}}, 3); err == nil {
		t.Error("New accepts a message that nobody would read")
	}
	s, err := New(Role{Kind: KindNode, Settings: map[string]string{"x": strings.Repeat("y", messageMax-1<<10)}}, 3)
	if err != nil {
		t.Fatalf("the largest message does not fit the socket: %v", err)
	}
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Errorf("Close twice: %v", err)
	}
}

func TestSecretStaysOutOfLogsAndEnvironment(t *testing.T) {
	t.Parallel()
	s, err := New(Role{Kind: KindNode}, 3)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	hex, _ := s.Secret().MarshalText()
	shown := fmt.Sprintf("%v %+v %#v %s %v", s.Secret(), s.Secret(), s.Secret(), s.Secret(), s.Env())
	if strings.Contains(shown, string(hex)) {
		t.Errorf("the secret shows in %s", shown)
	}
}

func TestRoleSurvivesTheMessage(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringN(0, 20, 100)
		want := Role{
			Kind: rapid.SampledFrom([]Kind{KindWorker, KindNode, KindGuard}).Draw(t, "kind"), Socket: text.Draw(t, "socket"),
			Isolated: rapid.Bool().Draw(t, "isolated"), Settings: rapid.MapOfN(text, text, 1, 5).Draw(t, "settings"),
		}
		copy(want.Secret[:], text.Draw(t, "secret"))
		copy(want.Worker[:], text.Draw(t, "worker"))
		b, err := encode(want)
		if err != nil {
			t.Fatal(err)
		}
		rest := bytes.NewReader(append(b, "session"...))
		m, err := readMessage(rest)
		if err != nil {
			t.Fatal(err)
		}
		got, err := m.role()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("role (-want +got):\n%s", diff)
		}
		if rest.Len() != len("session") {
			t.Errorf("reading the message left %d bytes, want the 7 after it", rest.Len())
		}
	})
}

func FuzzReadMessage(f *testing.F) {
	valid, err := encode(Role{Kind: KindWorker})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(valid)
	f.Add(valid[:9])
	f.Add(blob(`{"version":1,"kind":"worker","secret":"00"}`))
	f.Add(blob(`{"version":1,"kind":"worker","settings":{"a":1}}`))
	f.Add([]byte{0x7f, 0xff, 0xff, 0xff, '{'})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := readMessage(bytes.NewReader(b))
		if err != nil {
			return
		}
		r, err := m.role()
		if err != nil {
			return
		}
		again, err := encode(r)
		if err != nil {
			return // Escapes can make the canonical form longer than the limit.
		}
		m2, err := readMessage(bytes.NewReader(again))
		if err != nil {
			t.Fatalf("read what was written: %v", err)
		}
		r2, err := m2.role()
		if err != nil {
			t.Fatalf("read what was written: %v", err)
		}
		if len(r.Settings) == 0 {
			r.Settings, r2.Settings = nil, nil
		}
		if diff := cmp.Diff(r, r2); diff != "" {
			t.Errorf("role changed (-first +second):\n%s", diff)
		}
	})
}
