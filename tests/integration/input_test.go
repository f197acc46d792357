package integration

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/mobula-dev/mobula/clients/go/mobula"
	"github.com/mobula-dev/mobula/clients/go/mobula/stub"
	"github.com/mobula-dev/mobula/tests/harness"
	"github.com/mobula-dev/mobula/tests/integration/work"
)

// envFingerprint changes the fingerprint of the function Stale in the processes that have it.
const envFingerprint = "MOBULA_HARNESS_FINGERPRINT"

// The functions below are registered by hand, as mobula-gen would not write them.
var (
	staleFunc = stub.Function(stub.FuncInfo{Name: "tests.Stale", Fingerprint: fingerprint(), Handler: func(context.Context, *stub.Args, *stub.Results) error { return nil }})
	textFunc  = stub.Function(stub.FuncInfo{Name: "tests.Text", Params: []string{"text", "more"}, Returns: 1, Handler: runText})
	_         = stub.Function(stub.FuncInfo{Name: "tests.Blob", Returns: 1, Handler: runBlob})
	anyFunc   = stub.Function(stub.FuncInfo{Name: "tests.Any", Returns: 1, Handler: runAny})
)

func fingerprint() uint64 {
	n, _ := strconv.ParseUint(os.Getenv(envFingerprint), 10, 64) // none is 0
	return n
}

// runText wants two texts.
func runText(_ context.Context, in *stub.Args, out *stub.Results) error {
	a := stub.Next[string](in)
	b := stub.Next[string](in)
	if err := in.Err(); err != nil {
		return err
	}
	stub.Set(out, a+b)
	return out.Err()
}

// runBlob returns its argument.
func runBlob(_ context.Context, in *stub.Args, out *stub.Results) error {
	b := stub.Next[[]byte](in)
	if err := in.Err(); err != nil {
		return err
	}
	stub.Set(out, b)
	return out.Err()
}

// runAny returns what cannot be sent.
func runAny(_ context.Context, in *stub.Args, out *stub.Results) error {
	if err := in.Err(); err != nil {
		return err
	}
	stub.Set[any](out, map[string]any{"inner": []any{1, make(chan int)}})
	return out.Err()
}

func TestStaleStubsAreRefusedNamingTheFunctions(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := harness.Open(t, mobula.WithWorkerEnv(envFingerprint, "7"))
		e := harness.Failure(t, work.AddRemote(ctx, 1, 2), mobula.StaleStubs)
		if !strings.Contains(e.Message, "tests.Stale") || !strings.Contains(e.Error(), "go generate") || e.Execution != mobula.NotExecuted {
			t.Errorf("the error does not name the function, or what to do: %+v", e)
		}
	})
}

func TestUnknownFunctionIsRefused(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := harness.Open(t)
		late := stub.Function(stub.FuncInfo{Name: "tests.Late", Handler: func(context.Context, *stub.Args, *stub.Results) error { return nil }})
		e := harness.Failure(t, stub.Submit0(stub.NewCall(ctx, late, 0, nil)), mobula.InvalidArgument)
		if !strings.Contains(e.Message, "tests.Late") || e.Execution != mobula.NotExecuted {
			t.Errorf("the error does not name the function: %+v", e)
		}
	})
}

func TestWrongArgumentsAreNamed(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := harness.Open(t)
		call := func(args ...any) mobula.Ref[string] {
			c := stub.NewCall(ctx, textFunc, len(args), nil)
			for _, a := range args {
				stub.Arg(c, a)
			}
			return stub.Submit1[string](c)
		}
		if got := harness.Get(t, call("a", "b")); got != "ab" {
			t.Errorf("got %q", got)
		}
		for name, c := range map[string]struct {
			ref  mobula.Ref[string]
			want string
		}{
			"a type":      {call("a", 7), "more"},
			"another one": {call([]int{1}, "b"), "text"},
			"too few":     {call("a"), "more"},
			"none":        {call(), "text"},
			"too many":    {call("a", "b", "c"), "3 arguments"},
		} {
			e := harness.Failure(t, c.ref, mobula.BadValue)
			if !strings.Contains(e.Message, c.want) || !strings.Contains(e.Error(), "tests.Text") {
				t.Errorf("%s: the error does not name %q or the function: %+v", name, c.want, e)
			}
		}
		ref := work.AddRemote(ctx, 1, 2)
		harness.Get(t, ref)
		wrong, err := mobula.Put(ctx, "text")
		if err != nil {
			t.Fatal(err)
		}
		c := stub.NewCall(ctx, textFunc, 2, nil)
		stub.ArgRef(c, wrong)
		stub.ArgRef(c, ref)
		if e := harness.Failure(t, stub.Submit1[string](c), mobula.BadValue); !strings.Contains(e.Message, "more") {
			t.Errorf("the error does not name the argument that was a ref: %+v", e)
		}
	})
}

// cycle is a value without end.
type cycle struct{ Next *cycle }

func TestUnsendableValuesNameTheirPlace(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := harness.Open(t)
		type inner struct{ Done chan int }
		type outer struct {
			Name string
			In   map[string][]inner
		}
		endless := &cycle{}
		endless.Next = endless
		for name, c := range map[string]struct {
			put  func() error
			want []string
		}{
			"a channel in a field": {func() error {
				_, err := mobula.Put(ctx, outer{In: map[string][]inner{"k": {{}, {}}}})
				return err
			}, []string{"In", "Done"}},
			"a function": {func() error { _, err := mobula.Put(ctx, func() {}); return err }, []string{"func()"}},
			"a channel in an any": {func() error {
				_, err := mobula.Put(ctx, map[string]any{"key": []any{make(chan int)}})
				return err
			}, []string{"key", "chan int"}},
			"a value without end": {func() error { _, err := mobula.Put(ctx, endless); return err }, []string{"Next"}},
			"a ref of this process": {func() error {
				_, err := mobula.Put(ctx, []mobula.Ref[int]{mobula.Val(1)})
				return err
			}, []string{"Val"}},
		} {
			err := c.put()
			if err == nil {
				t.Errorf("%s can be put", name)
				continue
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%s: the error does not name %q: %v", name, want, err)
				}
			}
		}
		call := stub.NewCall(ctx, textFunc, 1, nil)
		stub.Arg(call, outer{In: map[string][]inner{"k": {{}}}})
		if e := harness.Failure(t, stub.Submit1[string](call), mobula.BadValue); !strings.Contains(e.Message, "argument text") || !strings.Contains(e.Message, "Done") {
			t.Errorf("the error does not name the argument and the field: %+v", e)
		}
		if e := harness.Failure(t, stub.Submit1[any](stub.NewCall(ctx, anyFunc, 0, nil)), mobula.BadValue); !strings.Contains(e.Message, "inner") {
			t.Errorf("the error does not name the place in the result: %+v", e)
		}
		_, err := mobula.Put(ctx, "text")
		if err != nil {
			t.Fatal(err)
		}
		wrong := stub.NewCall(ctx, textFunc, 2, nil)
		stub.Arg(wrong, "a")
		stub.Arg(wrong, "b")
		harness.Fails(t, stub.Submit1[int](wrong), mobula.BadValue) // the result is a text
	})
}

func TestImpossibleDemandsAreRefused(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := harness.Open(t, mobula.WithCPUs(2), mobula.WithResource("oven", 1.5), mobula.WithMemory(1<<30))
		long := strings.Repeat("x", 257)
		for name, c := range map[string]struct {
			option mobula.Option
			kind   mobula.ErrorKind
			want   string
		}{
			"too many CPUs":         {mobula.CPU(3), mobula.Unschedulable, "CPU"},
			"a resource not there":  {mobula.Resource("unicorn", 1), mobula.Unschedulable, "unicorn"},
			"too much of one":       {mobula.Resource("oven", 2), mobula.Unschedulable, "oven"},
			"a GPU":                 {mobula.GPU(1), mobula.Unschedulable, "GPU"},
			"too much memory":       {mobula.Memory(2 << 30), mobula.Unschedulable, "memory"},
			"a negative quantity":   {mobula.CPU(-1), mobula.InvalidArgument, "CPU"},
			"no number":             {mobula.CPU(math.NaN()), mobula.InvalidArgument, "CPU"},
			"infinity":              {mobula.Resource("oven", math.Inf(1)), mobula.InvalidArgument, "oven"},
			"next to nothing":       {mobula.CPU(0.00001), mobula.InvalidArgument, "CPU"},
			"one GPU and a half":    {mobula.GPU(1.5), mobula.InvalidArgument, "GPU"},
			"a resource's own name": {mobula.Resource("CPU", 1), mobula.InvalidArgument, "CPU"},
			"a name that is empty":  {mobula.Name(""), mobula.InvalidArgument, "name"},
			"a long name":           {mobula.Name(long), mobula.InvalidArgument, "256"},
			"a long resource":       {mobula.Resource(long, 1), mobula.InvalidArgument, "256"},
			"an option of actors":   {mobula.MaxRestarts(1), mobula.InvalidArgument, "max_restarts"},
			"retries below -1":      {mobula.MaxRetries(-2), mobula.InvalidArgument, "MaxRetries"},
			"a later option":        {mobula.Detached(), mobula.InvalidArgument, "detached"},
			"a reserved variable":   {mobula.Env("A=B", "c"), mobula.InvalidArgument, "A=B"},
		} {
			t.Run(name, func(t *testing.T) {
				e := harness.Failure(t, work.AddRemote(ctx, 1, 2, c.option), c.kind)
				if !strings.Contains(e.Error(), c.want) || e.Execution != mobula.NotExecuted {
					t.Errorf("the error does not name %q, or that it did not run: %+v", c.want, e)
				}
			})
		}
		t.Run("and what is possible runs", func(t *testing.T) {
			got := harness.Get(t, work.ResourcesRemote(ctx, mobula.CPU(0.5), mobula.Resource("oven", 1.5), mobula.Memory(1<<20)))
			if got["CPU"] != 0.5 || got["oven"] != 1.5 || got["memory"] != 1<<20 {
				t.Errorf("assigned: %v", got)
			}
		})
		t.Run("of actors too", func(t *testing.T) {
			log := work.NewLogRemote(ctx, "first", mobula.Name(long))
			harness.Fails(t, log.LinesRemote(ctx), mobula.ActorDied)
			harness.HasKind(t, ready(t, log.Handle), mobula.InvalidArgument)
			harness.HasKind(t, ready(t, work.NewLogRemote(ctx, "first", mobula.CPU(3)).Handle), mobula.Unschedulable)
		})
	})
}

func TestArgumentsTogetherMayBeLong(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := harness.Open(t)
		texts := []string{strings.Repeat("a", 90<<10), strings.Repeat("b", 90<<10)}
		c := stub.NewCall(ctx, textFunc, 2, nil)
		for _, s := range texts {
			stub.Arg(c, s)
		}
		if got := harness.Get(t, stub.Submit1[string](c)); got != texts[0]+texts[1] {
			t.Errorf("got %d bytes", len(got))
		}
		long, err := mobula.Put(ctx, strings.Repeat("d", 3<<20))
		if err != nil {
			t.Fatal(err)
		}
		if got := harness.Get(t, work.EchoTextRefs(ctx, long)); len(got) != 3<<20 {
			t.Errorf("got %d bytes", len(got))
		}
	})
}

func TestInitSaysWhyItCannotConnect(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		dir := t.TempDir()
		file := filepath.Join(dir, "file")
		if err := os.WriteFile(file, []byte("no socket"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "token"), []byte(fmt.Sprintf("%064x\n", 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		for name, address := range map[string]string{
			"nothing there": filepath.Join(dir, "none", "node.sock"), "a file": file, "no socket": "unix:" + filepath.Join(dir, "node.sock"), "nonsense": "gopher://x",
		} {
			_, stop, err := mobula.Init(t.Context(), mobula.WithAddress(address))
			if err == nil {
				stop()
				t.Errorf("%s: a session opens", name)
			} else if !strings.Contains(err.Error(), strings.TrimPrefix(address, "unix:")) {
				t.Errorf("%s: the error does not name the address: %v", name, err)
			}
			stop()
		}
		ctx := harness.Open(t)
		_, _, err := mobula.Init(ctx)
		if err == nil || !strings.Contains(err.Error(), "already") {
			t.Errorf("a second session opens: %v", err)
		}
		if got := harness.Get(t, work.AddRemote(ctx, 1, 2)); got != 3 {
			t.Errorf("got %d", got)
		}
	})
}

func TestWithoutASessionCallsFail(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		e := harness.Failure(t, work.AddRemote(t.Context(), 1, 2), mobula.InvalidArgument)
		if !strings.Contains(e.Message, "Init") {
			t.Errorf("the error does not say what to do: %v", e)
		}
		_, err := mobula.Put(t.Context(), 1)
		harness.HasKind(t, err, mobula.InvalidArgument)
		harness.HasKind(t, work.NewLogRemote(t.Context(), "x").WaitReady(t.Context()), mobula.InvalidArgument)
		if got := harness.Get(t, mobula.Val(4)); got != 4 {
			t.Errorf("a value of this process is %d", got)
		}
		if _, ok := mobula.Task(t.Context()); ok {
			t.Error("the test is a task")
		}
	})
}

func TestStaleFunctionRunsWhenItIsNotStale(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := harness.Open(t)
		harness.Get(t, stub.Submit0(stub.NewCall(ctx, staleFunc, 0, nil)))
	})
}
