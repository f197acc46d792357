package integration

import (
	"bytes"
	"context"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/mobula-dev/mobula/clients/go/mobula"
	"github.com/mobula-dev/mobula/tests/harness"
	"github.com/mobula-dev/mobula/tests/integration/work"
)

// openPython opens a session whose Python workers find the client of this checkout and testdata/pyside.py. Without a Python that has what the client
// needs (that of MOBULA_PYTHON, or .venv, which make python makes) the test is skipped.
func openPython(t *testing.T) context.Context {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	path := strings.Join([]string{filepath.Join(root, "clients", "python", "src"), filepath.Join(root, "tests", "integration", "testdata")}, ":")
	for _, python := range []string{os.Getenv("MOBULA_PYTHON"), filepath.Join(root, ".venv", "bin", "python"), "python3"} {
		if python != "" && exec.CommandContext(t.Context(), python, "-c", "import google.protobuf, cloudpickle, sys; sys.exit(sys.version_info < (3, 11))").Run() == nil {
			return harness.Open(t, mobula.WithWorkerEnv("MOBULA_PYTHON", python), mobula.WithWorkerEnv("PYTHONPATH", path))
		}
	}
	t.Skip("there is no Python with protobuf and cloudpickle: run make python, or set MOBULA_PYTHON")
	return nil
}

// workPackage is the import path of package work.
const workPackage = "github.com/mobula-dev/mobula/tests/integration/work"

// py is a function of testdata/pyside.py.
func py[T any](name string) mobula.PythonFunc[T] { return mobula.PythonFunction[T]("pyside", name) }

// sameAs checks that a value comes back from Python as it was.
func sameAs[T any](ctx context.Context, t *testing.T, what string, in T) {
	t.Helper()
	if got := harness.Get(t, py[T]("echo").Remote(ctx, in)); !reflect.DeepEqual(got, in) {
		t.Errorf("%s: %#v came back as %#v", what, in, got)
	}
}

type person struct {
	Name  string
	Age   int `mobula:"age"`
	Notes []string
}

type greeting struct {
	Text   string
	Length int
}

func TestValuesCrossBetweenGoAndPython(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := openPython(t)
		sameAs[any](ctx, t, "nil", nil)
		sameAs(ctx, t, "a bool", true)
		for _, n := range []int64{0, -1, 1 << 31, 1<<63 - 1, -1 << 63} {
			sameAs(ctx, t, "an integer", n)
		}
		sameAs(ctx, t, "a large unsigned integer", uint64(1<<64-1))
		sameAs(ctx, t, "an integer above 64 bits", new(big.Int).Lsh(big.NewInt(3), 100))
		sameAs(ctx, t, "a float", 0.1)
		sameAs(ctx, t, "a complex number", complex(1.5, -2))
		sameAs(ctx, t, "text", "größer \x00 🦀")
		sameAs(ctx, t, "long text", strings.Repeat("ü", 5000))
		sameAs(ctx, t, "bytes", []byte{0, 255, 1})
		sameAs(ctx, t, "long bytes", bytes.Repeat([]byte{7}, 1<<20))
		sameAs(ctx, t, "a list", []any{int64(1), "two", nil, []any{true}})
		sameAs(ctx, t, "an empty list", []string{})
		sameAs(ctx, t, "a map", map[string]any{"a": int64(1), "b": map[string]any{"c": 2.5}})
		sameAs(ctx, t, "a map with numbers for keys", map[int]string{1: "one", -2: "minus two"})
		sameAs(ctx, t, "a short slice of numbers", []float64{1, 2.5, -3})
		sameAs(ctx, t, "a long slice of numbers", make([]int32, 100_000))
		sameAs(ctx, t, "a time", time.Date(2026, 2, 3, 4, 5, 6, 7, time.UTC))
		sameAs(ctx, t, "a duration", 90*time.Minute+time.Nanosecond)
		sameAs(ctx, t, "a struct", person{Name: "Ann", Age: 40, Notes: []string{"x"}})
		for want, in := range map[string]any{
			"dict": person{}, "bytes": []byte("b"), "str": "s", "int": 7, "float": 1.0, "list": []string{"s"}, "NoneType": (*int)(nil), "complex": 1i,
		} {
			if got := harness.Get(t, py[string]("kind").Remote(ctx, in)); got != want {
				t.Errorf("%T is a %s in Python, want %s", in, got, want)
			}
		}
		if got, want := harness.Get(t, py[greeting]("greet").Remote(ctx, person{Name: "Ann"})), (greeting{"hello Ann", 3}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if got := harness.Get(t, py[[]float64]("array").Remote(ctx, 3)); !reflect.DeepEqual(got, []float64{0, 0.5, 1}) {
			t.Errorf("got %v, want an array of Python", got)
		}
		if got := harness.Get(t, mobula.PythonFunction[float64]("statistics", "mean").Remote(ctx, []float64{1, 2, 6})); got != 3 {
			t.Errorf("got %v, want the mean that the library of Python computes", got)
		}
		if got := harness.Get(t, py[time.Time]("moment").Remote(ctx)); !got.Equal(time.Date(2026, 2, 3, 4, 5, 6, 789e6, time.UTC)) {
			t.Errorf("got %v, want the time that Python made", got)
		}
		if got := harness.Get(t, py[int]("add").Remote(ctx, 1)); got != 101 {
			t.Errorf("got %d, want the default of the Python function to apply", got)
		}
	})
}

func TestRefsCrossBetweenGoAndPython(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := openPython(t)
		add := py[int]("add")
		three := work.AddRemote(ctx, 1, 2)
		if got := harness.Get(t, add.Remote(ctx, three, mobula.Val(4))); got != 7 {
			t.Errorf("got %d, want 7: the result of a Go task is an argument of a Python one", got)
		}
		if got := harness.Get(t, work.AddRefs(ctx, add.Remote(ctx, 1, 1), three)); got != 5 {
			t.Errorf("got %d, want 5: the result of a Python task is an argument of a Go one", got)
		}
		if got := harness.Get(t, py[int]("total").Remote(ctx, []mobula.Ref[int]{three, three})); got != 6 {
			t.Errorf("got %d, want 6: refs of Go inside a value are refs in Python", got)
		}
		inside := harness.Get(t, py[[]mobula.Ref[string]]("put").Remote(ctx, "text"))
		if got := harness.Get(t, inside[0]); got != "text" {
			t.Errorf("got %q, want what Python put", got)
		}
		large := harness.Get(t, py[[]byte]("echo").Remote(ctx, work.EchoRemote(ctx, bytes.Repeat([]byte{3}, 2<<20))))
		if len(large) != 2<<20 {
			t.Errorf("got %d bytes, want those of a Go task in shared memory", len(large))
		}
	})
}

func TestPythonErrorsAreTypedInGo(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := openPython(t)
		t.Run("an exception", func(t *testing.T) {
			e := harness.Failure(t, py[any]("fail").Remote(ctx, "the box is shut"), mobula.TaskFailed)
			if e.Message != "BoxError: the box is shut" || e.Execution != mobula.Failed || e.Function != "pyside.fail" {
				t.Errorf("got %+v", e)
			}
			for _, part := range []string{"KeyError: 'inner'", "pyside.BoxError: the box is shut", "pyside.py", "in fail"} {
				if !strings.Contains(e.Stack, part) {
					t.Errorf("the stack lacks %q:\n%s", part, e.Stack)
				}
			}
			if !strings.Contains(e.CallSite, "python_test.go:") {
				t.Errorf("submitted at %q, want this file", e.CallSite)
			}
		})
		t.Run("an exception that cannot be pickled", func(t *testing.T) {
			if e := harness.Failure(t, py[any]("fail_oddly").Remote(ctx), mobula.TaskFailed); !strings.Contains(e.Message, "not to be pickled") {
				t.Errorf("got %v", e)
			}
		})
		t.Run("an argument that is the failure of a Go task", func(t *testing.T) {
			quotient, _ := work.DivideRemote(ctx, 1, 0)
			_, err := py[any]("echo").Remote(ctx, quotient).Get(ctx)
			if !errors.Is(err, work.ErrEmpty) {
				t.Errorf("got %v, want the error of the Go task", err)
			}
		})
		t.Run("wrong arguments", func(t *testing.T) {
			if e := harness.Failure(t, py[any]("echo").Remote(ctx), mobula.TaskFailed); !strings.Contains(e.Message, "TypeError: echo() missing 1") {
				t.Errorf("got %v", e)
			}
		})
		t.Run("a result that is not portable", func(t *testing.T) {
			e := harness.Failure(t, py[any]("unsendable").Remote(ctx), mobula.BadValue)
			if !strings.Contains(e.Message, "['parts'][2]") || !strings.Contains(e.Message, "set") {
				t.Errorf("got %v, want the path to the set", e)
			}
			harness.Fails(t, py[any]("numbers").Remote(ctx), mobula.BadValue)
		})
		t.Run("a result of another type", func(t *testing.T) {
			harness.Fails(t, py[int]("echo").Remote(ctx, "text"), mobula.BadValue)
		})
		t.Run("an argument that cannot be sent", func(t *testing.T) {
			if e := harness.Failure(t, py[any]("echo").Remote(ctx, map[string]any{"f": func() {}}), mobula.BadValue); !strings.Contains(e.Message, "pyside.echo") {
				t.Errorf("got %v", e)
			}
		})
		t.Run("an unknown function", func(t *testing.T) {
			if e := harness.Failure(t, py[any]("nothing").Remote(ctx), mobula.NotFound); !strings.Contains(e.Message, "module pyside has no nothing") {
				t.Errorf("got %v", e)
			}
		})
		t.Run("an unknown module", func(t *testing.T) {
			e := harness.Failure(t, mobula.PythonFunction[any]("no.such", "thing").Remote(ctx), mobula.NotFound)
			if !strings.Contains(e.Message, "no.such.thing") || e.Execution != mobula.NotExecuted {
				t.Errorf("got %v", e)
			}
		})
		t.Run("a name that is none", func(t *testing.T) {
			harness.Fails(t, mobula.PythonFunction[any]("", "f").Remote(ctx), mobula.InvalidArgument)
			harness.Fails(t, mobula.PythonFunc[any]{}.Remote(ctx), mobula.InvalidArgument)
		})
		t.Run("a process that dies", func(t *testing.T) {
			harness.Fails(t, py[any]("crash").With(mobula.MaxRetries(0)).Remote(ctx), mobula.WorkerCrashed)
		})
	})
}

func TestAnInterpreterThatIsNoneIsToldByItsName(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		missing := filepath.Join(t.TempDir(), "no-python")
		ctx := harness.Open(t, mobula.WithWorkerEnv("MOBULA_PYTHON", missing))
		e := harness.Failure(t, py[any]("echo").Remote(ctx, 1), mobula.WorkerStart)
		if !strings.Contains(e.Error(), missing) || e.Execution != mobula.NotExecuted {
			t.Errorf("got %v", e)
		}
	})
}

func TestPythonTasksEndWithTheirContext(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := openPython(t)
		said := func(t *testing.T, path, want string) {
			t.Helper()
			harness.Eventually(t, harness.Patience, "the task says "+want, func() bool {
				b, err := os.ReadFile(path)
				return err == nil && string(b) == want
			})
		}
		t.Run("cancelled", func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "said")
			ref := py[any]("sleep").Remote(ctx, path)
			said(t, path, "runs")
			if err := mobula.Cancel(ref); err != nil {
				t.Fatal(err)
			}
			e := harness.Failure(t, ref, mobula.Cancelled)
			if !errors.Is(e, context.Canceled) {
				t.Errorf("errors.Is does not find context.Canceled in %v", e)
			}
			said(t, path, "KeyboardInterrupt")
		})
		t.Run("past its deadline", func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "said")
			harness.Get(t, py[int]("add").Remote(ctx, 1, 1)) // a worker is there
			short, stop := context.WithTimeout(ctx, 500*time.Millisecond)
			defer stop()
			ref := py[any]("sleep").Remote(short, path)
			harness.Fails(t, ref, mobula.DeadlineExceeded)
			said(t, path, "KeyboardInterrupt")
		})
	})
}

func TestPythonTasksUseWhatIsOfGo(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := openPython(t)
		t.Run("a function of the driver's program", func(t *testing.T) {
			call := py[int]("call_go")
			if got := harness.Get(t, call.Remote(ctx, workPackage+".Add", 2, 3)); got != 5 {
				t.Errorf("got %d, want 5", got)
			}
			e := harness.Failure(t, call.Remote(ctx, workPackage+".Elsewhere"), mobula.TaskFailed)
			if !strings.Contains(e.Error(), "Elsewhere is not known") {
				t.Errorf("got %v", e)
			}
		})
		t.Run("an error of it", func(t *testing.T) {
			_, err := py[any]("call_go").Remote(ctx, workPackage+".Total").Get(ctx)
			harness.HasKind(t, err, mobula.TaskFailed)
		})
		t.Run("an actor of the driver's program", func(t *testing.T) {
			log := work.NewLogRemote(ctx, "first")
			if got := harness.Get(t, py[int]("call_method").Remote(ctx, log, "Append", "second")); got != 2 {
				t.Errorf("got %d, want 2", got)
			}
			if got := harness.Get(t, log.LinesRemote(ctx)); !reflect.DeepEqual(got, []string{"first", "second"}) {
				t.Errorf("the log has %q", got)
			}
			e := harness.Failure(t, py[int]("call_method").Remote(ctx, log, "Nothing"), mobula.TaskFailed)
			if !strings.Contains(e.Error(), "Log.Nothing is not in this program") {
				t.Errorf("got %v", e)
			}
		})
		t.Run("an actor of Python, by a handle of Go", func(t *testing.T) {
			counter := mobula.NewPythonClass("pyside", "Counter").Remote(ctx, 10)
			if got := harness.Get(t, py[int]("call_method").Remote(ctx, counter, "add", 5)); got != 15 {
				t.Errorf("got %d, want 15", got)
			}
		})
	})
}

func TestPythonActorsServeGo(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := openPython(t)
		for _, class := range []string{"Counter", "Decorated"} {
			counter := mobula.NewPythonClass("pyside", class).Remote(ctx, 10)
			add := mobula.PythonMethod[int](counter, "add")
			for i, want := range []int{11, 12, 13} {
				if got := harness.Get(t, add.Remote(ctx, 1)); got != want {
					t.Errorf("%s: call %d: got %d, want %d", class, i, got, want)
				}
			}
			if e := harness.Failure(t, mobula.PythonMethod[any](counter, "fail").Remote(ctx), mobula.TaskFailed); e.Message != "BoxError: of the counter" {
				t.Errorf("got %v", e)
			}
			harness.Fails(t, mobula.PythonMethod[any](counter, "nothing").Remote(ctx), mobula.TaskFailed)
			if err := mobula.Kill(counter); err != nil {
				t.Fatal(err)
			}
			harness.Fails(t, add.Remote(ctx, 1), mobula.ActorDied)
		}
		double := mobula.PythonMethod[int](mobula.NewPythonClass("pyside", "Async").Remote(ctx), "double")
		if got := harness.Get(t, double.Remote(ctx, 4)); got != 8 {
			t.Errorf("got %d, want 8 from an async method", got)
		}
		broken := mobula.NewPythonClass("pyside", "Counter").Remote(ctx, -1)
		if e := harness.Failure(t, mobula.PythonMethod[int](broken, "add").Remote(ctx, 1), mobula.ActorDied); !strings.Contains(e.Error(), "below zero") {
			t.Errorf("got %+v, want what the constructor raised", e)
		}
		harness.Fails(t, mobula.PythonMethod[int](mobula.Handle{}, "add").Remote(ctx, 1), mobula.InvalidArgument)
	})
}
