package workerpool

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/internal/logdir"
	"github.com/mobula-dev/mobula/internal/takeover"
	"github.com/mobula-dev/mobula/internal/takeover/guard"
)

var epoch = time.Unix(1_700_000_000, 0)

func TestBucketNeverGivesMoreThanRateAndBurst(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.Int64Range(1, 1<<30).Draw(t, "rate")
		burst := rapid.Int64Range(1, 1<<30).Draw(t, "burst")
		now := epoch
		b := newBucket(rate, burst, now)
		var given, last int64
		for range 50 {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(2*time.Hour)).Draw(t, "pass") >> rapid.IntRange(0, 42).Draw(t, "shift")))
			n := rapid.Int64Range(1, 1<<20).Draw(t, "n")
			if b.take(n, now) {
				given, last = given+n, n
			}
			// The last one taken may overdraw.
			if most := float64(burst) + now.Sub(epoch).Seconds()*float64(rate) + 1; float64(given-last) > most {
				t.Fatalf("%d given, at most %f allowed", given-last, most)
			}
		}
		debt := time.Duration(1<<20/rate+2) * time.Second
		if !b.take(1, now.Add(debt)) {
			t.Error("a bucket whose debt was paid is dry")
		}
	})
}

func TestBackoffGrowsToItsLimit(t *testing.T) {
	t.Parallel()
	if d := Backoff(1, 0.99); d != 0 {
		t.Errorf("after the first crash: %v, want no wait", d)
	}
	for crashes := 2; crashes < 200; crashes++ {
		low, high := Backoff(crashes, 0), Backoff(crashes, 0.999)
		if low < Backoff(crashes-1, 0) || high < low || high > 30*time.Second || low < 50*time.Millisecond {
			t.Errorf("after %d crashes: %v to %v", crashes, low, high)
		}
	}
	if d := Backoff(100, 0); d != 15*time.Second {
		t.Errorf("the longest wait is at least %v, want half of 30 s", d)
	}
}

func TestCrashLoopForgetsCrashesOfHealthyWorkers(t *testing.T) {
	t.Parallel()
	backoff := func(n int) time.Duration { return time.Duration(n) * time.Second }
	var c crashLoop
	for want := 1; want <= 3; want++ {
		c.crashed(epoch, time.Second, 10*time.Second, backoff)
		if d := c.wait(epoch); d != time.Duration(want)*time.Second {
			t.Errorf("wait after crash %d = %v", want, d)
		}
	}
	if d := c.wait(epoch.Add(time.Minute)); d != 0 {
		t.Errorf("wait after the wait = %v", d)
	}
	c.crashed(epoch, 10*time.Second, 10*time.Second, backoff)
	if c.crashes != 1 {
		t.Errorf("%d crashes in a row after a healthy life, want 1", c.crashes)
	}
}

// captured runs a capture over chunks, each later by the given step, and returns the lines that came out.
func captured(limits OutputLimits, chunks [][]byte, step time.Duration) (lines []string, tailed []string) {
	now := epoch
	c := &capture{
		limits: limits, tail: new(tail), bucket: newBucket(limits.BytesPerSecond, limits.BurstBytes, now),
		emit: func(line []byte) { lines = append(lines, string(line)) },
	}
	for _, chunk := range chunks {
		c.feed(chunk, now)
		now = now.Add(step)
	}
	c.finish(now)
	return lines, c.tail.lines()
}

// split cuts b into chunks as a pipe might.
func split(t *rapid.T, b []byte) (chunks [][]byte) {
	for len(b) > 0 {
		n := rapid.IntRange(1, len(b)).Draw(t, "chunk")
		chunks, b = append(chunks, b[:n]), b[n:]
	}
	return chunks
}

func TestOutputWithinLimitsPassesUnchanged(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limits := OutputLimits{LineBytesMax: rapid.IntRange(1, 20).Draw(t, "max")}.complete()
		text := rapid.StringMatching(`[ab\n]{0,60}`).Draw(t, "text")
		var want []string
		for line := range strings.Lines(text) {
			line = strings.TrimSuffix(line, "\n")
			if cut := len(line) - limits.LineBytesMax; cut > 0 {
				line = fmt.Sprintf("%s … [%d bytes cut]", line[:limits.LineBytesMax], cut)
			}
			want = append(want, line)
		}
		got, tailed := captured(limits, split(t, []byte(text)), 0)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("lines (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(want[max(0, len(want)-tailLines):], tailed); len(want) > 0 && diff != "" {
			t.Fatalf("last lines (-want +got):\n%s", diff)
		}
	})
}

func TestEveryLineAndByteIsPassedOrCounted(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limits := OutputLimits{
			LineBytesMax: rapid.IntRange(5, 50).Draw(t, "max"), BytesPerSecond: rapid.Int64Range(1, 5000).Draw(t, "rate"),
			BurstBytes: rapid.Int64Range(1, 3000).Draw(t, "burst"),
		}.complete()
		var text []byte
		var all []string
		for i := range rapid.IntRange(0, 300).Draw(t, "lines") {
			line := fmt.Sprint(i, strings.Repeat("x", rapid.IntRange(0, 80).Draw(t, "length")))
			text, all = append(append(text, line...), '\n'), append(all, line)
		}
		step := time.Duration(rapid.IntRange(0, 1500).Draw(t, "step")) * time.Millisecond
		lines, tailed := captured(limits, split(t, text), step)
		count, bytesSeen, next := 0, 0, 0
		for _, line := range lines {
			var dropped, droppedBytes, cut int
			if n, _ := fmt.Sscanf(line, "[mobula: %d lines, %d bytes dropped", &dropped, &droppedBytes); n == 2 {
				count, bytesSeen = count+dropped, bytesSeen+droppedBytes
				next += dropped
				continue
			}
			if next >= len(all) || !strings.HasPrefix(line, all[next][:min(len(all[next]), limits.LineBytesMax)]) {
				t.Fatalf("line %q is out of its place %d", line, next)
			}
			next++
			count++
			if head, rest, found := strings.Cut(line, " … ["); found {
				line = head
				if _, err := fmt.Sscanf(rest, "%d bytes cut]", &cut); err != nil {
					t.Fatal(err)
				}
			}
			bytesSeen += len(line) + cut + 1
		}
		if count != len(all) || bytesSeen != len(text) {
			t.Fatalf("%d lines and %d bytes are accounted for, want %d and %d", count, bytesSeen, len(all), len(text))
		}
		if want := min(len(all), tailLines); len(tailed) != want {
			t.Fatalf("%d last lines, want %d", len(tailed), want)
		}
		for i, line := range tailed {
			want := all[len(all)-len(tailed)+i]
			if !strings.HasPrefix(line, want[:min(len(want), limits.LineBytesMax)]) {
				t.Fatalf("last line %d = %q, want %q", i, line, want)
			}
		}
	})
}

func FuzzCapture(f *testing.F) {
	f.Add([]byte("a\nb\n\n\nfatal error: x\n"), 3, 100)
	f.Add(bytes.Repeat([]byte("panic: \n"), 100), 64, 1)
	f.Fuzz(func(t *testing.T, b []byte, size, rate int) {
		if size < 1 || rate < 1 {
			return
		}
		limits := OutputLimits{LineBytesMax: 10, BytesPerSecond: int64(rate), BurstBytes: int64(rate)}.complete()
		lines, tailed := captured(limits, slices.Collect(slices.Chunk(b, size)), time.Millisecond)
		if len(tailed) > tailLines+crashLines+1 {
			t.Errorf("%d last lines", len(tailed))
		}
		for _, line := range lines {
			if len(line) > 100 {
				t.Errorf("line has %d bytes", len(line))
			}
		}
	})
}

func TestHeadOfACrashReportSurvivesAFlood(t *testing.T) {
	t.Parallel()
	for name, rate := range map[string]int64{"passed": 1 << 30, "dropped": 1} {
		var text bytes.Buffer
		text.WriteString(strings.Repeat("noise\n", 5000))
		text.WriteString("fatal error: all goroutines are asleep\n\ngoroutine 1 [running]:\nmain.culprit()\n")
		text.WriteString(strings.Repeat("goroutine n [select]:\n", 5000))
		limits := OutputLimits{BytesPerSecond: rate, BurstBytes: rate}.complete()
		_, tailed := captured(limits, slices.Collect(slices.Chunk(text.Bytes(), 64<<10)), 0)
		if len(tailed) != crashLines+1+tailLines || tailed[0] != "fatal error: all goroutines are asleep" || tailed[3] != "main.culprit()" {
			t.Errorf("%s: last lines = %q", name, tailed)
		}
		r := ExitReason{Kind: UserExit, Code: 2, LastLines: tailed}
		if !strings.HasSuffix(r.String(), "code 2: fatal error: all goroutines are asleep") {
			t.Errorf("%s: reason = %v", name, r)
		}
	}
}

func TestBrokenLogFileIsReportedOnceAndStopsNothing(t *testing.T) {
	t.Parallel()
	logs := openLogs(t, logdir.Limits{})
	if err := os.RemoveAll(logs.Path()); err != nil {
		t.Fatal(err)
	}
	var warned, emitted int
	c := newCapture(func([]byte) { emitted++ })
	c.file, c.warn = logs.Create("w.out"), func(error) { warned++ }
	for range 10 {
		c.feed([]byte("line\n"), epoch)
	}
	c.finish(epoch)
	if warned != 1 || emitted != 10 {
		t.Errorf("warned %d times, emitted %d lines, want 1 and 10", warned, emitted)
	}
}

func newCapture(emit func([]byte)) *capture {
	limits := OutputLimits{}.complete()
	return &capture{limits: limits, tail: new(tail), bucket: newBucket(limits.BytesPerSecond, limits.BurstBytes, epoch), emit: emit}
}

func openLogs(t *testing.T, limits logdir.Limits) *logdir.Dir {
	t.Helper()
	logs, err := logdir.Open(filepath.Join(t.TempDir(), "logs"), limits)
	if err != nil {
		t.Fatal(err)
	}
	return logs
}

func TestTheSinkHearsOfWritersAndTheFileOfTasks(t *testing.T) {
	t.Parallel()
	logs := openLogs(t, logdir.Limits{})
	var emitted []string
	c := newCapture(func(line []byte) { emitted = append(emitted, string(line)) })
	c.file = logs.Create("w.out")
	const mark = "\x1e\x1emobula-source "
	one, two := strings.Repeat("01", 16), strings.Repeat("02", 16)
	c.feed([]byte("before\n"+mark+"f\x1f"+one+"\nof one\n"+mark+"f\x1f"+two+"\nof two\n"+mark+"\nafter\n"+mark+"g\x1fnot hex\n"), epoch)
	c.feed([]byte("of g\n"), epoch)
	c.finish(epoch)
	if want := []string{"before", mark + "f", "of one", "of two", mark, "after", mark + "g", "of g"}; !slices.Equal(emitted, want) {
		t.Errorf("the sink got %q, want %q", emitted, want)
	}
	for task, want := range map[string]string{"": "before\nof one\nof two\nafter\nof g\n", one: "of one\n", two: "of two\n"} {
		p, err := logs.Read(logdir.Query{Name: "w.out", Task: task, Tail: -1})
		if err != nil || string(p.Data) != want {
			t.Errorf("task %q: %q, %v, want %q", task, p.Data, err, want)
		}
	}
}

func TestALineIsNotCutInsideACharacter(t *testing.T) {
	t.Parallel()
	for length := range 12 {
		var got []byte
		c := newCapture(func(line []byte) { got = bytes.Clone(line) })
		c.limits.LineBytesMax = length
		c.feed([]byte("aé€😀aé€😀\n"), epoch)
		if !utf8.Valid(got) || !bytes.Contains(got, []byte("bytes cut")) {
			t.Errorf("cut at %d bytes: %q", length, got)
		}
	}
}

func TestClassifyTellsWhoEndedTheWorker(t *testing.T) {
	t.Parallel()
	exit := func(code int) unix.WaitStatus { return unix.WaitStatus(code << 8) }
	signal := func(s syscall.Signal) unix.WaitStatus { return unix.WaitStatus(s) }
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		status unix.WaitStatus
		e      ending
		oom    bool
		want   ExitKind
		crash  bool
	}{
		"clean":                  {exit(0), ending{}, false, Clean, false},
		"code":                   {exit(3), ending{}, false, UserExit, true},
		"signal":                 {signal(syscall.SIGSEGV), ending{}, true, Signaled, true},
		"killed by another":      {signal(syscall.SIGKILL), ending{}, false, Signaled, true},
		"killed by the kernel":   {signal(syscall.SIGKILL), ending{}, true, OOMSuspected, true},
		"killed by us":           {signal(syscall.SIGKILL), ending{cause: CauseIdle}, true, Killed, false},
		"ended as asked":         {exit(0), ending{cause: CauseIdle}, false, Killed, false},
		"ended otherwise":        {exit(1), ending{cause: CauseIdle}, false, Killed, false},
		"crashed when asked":     {signal(syscall.SIGSEGV), ending{cause: CauseIdle}, false, Signaled, true},
		"no takeover":            {exit(3), ending{takeoverErr: broken}, false, TakeoverFailed, true},
		"no takeover, killed":    {signal(syscall.SIGKILL), ending{takeoverErr: broken, forced: true}, true, TakeoverFailed, true},
		"no takeover, no memory": {signal(syscall.SIGKILL), ending{takeoverErr: broken}, true, OOMSuspected, true},
		"stopped while starting": {signal(syscall.SIGTERM), ending{takeoverErr: broken, cause: CauseShutdown}, false, Killed, false},
	} {
		c.e.oomCounted = func() bool { return c.oom }
		r := classify(c.status, c.e)
		if r.Kind != c.want || r.crash() != c.crash {
			t.Errorf("%s: reason = %+v, counts as a crash: %v", name, r, r.crash())
		}
		if (r.Kind == Killed) != (r.Cause != "") || (r.Kind == TakeoverFailed) != (r.Err != nil) || (r.Code == -1) != (r.Signal != 0) {
			t.Errorf("%s: reason %+v contradicts itself", name, r)
		}
		if s := r.String(); !strings.HasPrefix(s, "the ") || strings.Contains(s, "%!") || strings.Contains(r.Kind.String(), "exit kind") {
			t.Errorf("%s: %q is no sentence", name, s)
		}
	}
}

func TestEnvironmentIsInheritedByListOnly(t *testing.T) {
	t.Parallel()
	own := []string{
		"PATH=/bin", "SECRET=x", "LC_ALL=C", "LC=1", "HOME=/root", takeover.EnvRole + "=node", guard.EnvMark + "=outer/1", "EQUALS=a=b",
	}
	spec := Spec{Env: map[string]string{"HOME": "/job", "NEW": ""}}
	got := environment(own, []string{"PATH", "LC_*", "HOME", "EQUALS", "MOBULA_*"}, spec, "pool/w")
	want := []string{"EQUALS=a=b", "HOME=/job", "LC_ALL=C", guard.EnvMark + "=pool/w", "NEW=", "PATH=/bin"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
}

func TestConfigIsValidated(t *testing.T) {
	t.Parallel()
	notify := func(Event) {}
	for name, cfg := range map[string]Config{
		"no notify":     {},
		"negative max":  {Notify: notify, ProcessesMax: -1},
		"negative time": {Notify: notify, CloseTimeout: -1},
		"negative rate": {Notify: notify, Output: OutputLimits{BytesPerSecond: -1}},
	} {
		if _, err := Open(cfg); err == nil {
			t.Errorf("%s: Open succeeded", name)
		}
	}
	cfg, err := Config{Notify: notify}.complete()
	if err != nil || cfg.ProcessesMax == 0 || cfg.TakeoverTimeout == 0 || cfg.Backoff(3) == 0 || cfg.Output.LineBytesMax == 0 {
		t.Errorf("defaults = %+v, %v", cfg, err)
	}
}

func TestErrorsSayWhatToExpect(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		"512 worker processes": &LimitError{Max: 512},
		"3 workers of job 01":  &BackoffError{Job: id.Job{1}, Crashes: 3, RetryAfter: time.Second},
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}

func FuzzZygoteMessage(f *testing.F) {
	for _, m := range []zygoteMessage{{Op: opForked, Worker: "00", PID: 7}, {Op: opExited, PID: 7, Status: 9}, {Op: opFailed, Threads: 2}} {
		b, err := encodeZygoteMessage(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte("\xff\xff\xff\xff{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := readZygoteMessage(bytes.NewReader(b))
		if err == nil && (m.PID < 0 || m.Op == opForked && m.PID <= 1) {
			t.Errorf("signals to process %d would reach others", m.PID)
		}
	})
}
