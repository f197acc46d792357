package resource

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestUnitsRefusesWhatIsNoQuantity(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in   float64
		want int64
		err  error
	}{
		{0, 0, nil}, {1, Unit, nil}, {0.5, Unit / 2, nil}, {0.0001, 1, nil}, {0.1 + 0.2, 3000, nil}, {math.Copysign(0, -1), 0, nil},
		{MaxQuantity / Unit, MaxQuantity / Unit * Unit, nil},
		{-0.1, 0, ErrNegative}, {math.NaN(), 0, ErrNotNumber}, {math.Inf(1), 0, ErrNotNumber}, {math.Inf(-1), 0, ErrNotNumber},
		{1e308, 0, ErrTooLarge}, {MaxQuantity, 0, ErrTooLarge}, {0.00001, 0, ErrTooFine}, {math.SmallestNonzeroFloat64, 0, ErrTooFine},
	} {
		if got, err := Units(c.in); got != c.want || !errors.Is(err, c.err) {
			t.Errorf("Units(%v) = %d, %v; want %d, %v", c.in, got, err, c.want, c.err)
		}
	}
}

func FuzzUnits(f *testing.F) {
	for _, x := range []float64{0, 0.5, -1, 1e300, math.NaN()} {
		f.Add(x)
	}
	f.Fuzz(func(t *testing.T, x float64) {
		u, err := Units(x)
		if err != nil {
			return
		}
		if u < 0 || u > MaxQuantity || math.Abs(float64(u)/Unit-x) > 0.0001*max(1, math.Abs(x)) {
			t.Errorf("Units(%v) = %d", x, u)
		}
	})
}

func TestShapeRefusesWhatCannotBe(t *testing.T) {
	t.Parallel()
	set := NewSet()
	columns := set.Len()
	for _, c := range []struct {
		name    string
		request Request
		err     error
	}{
		{"CPU", Request{CPUs: -1}, ErrNegative},
		{"CPU", Request{CPUs: math.MaxInt64}, ErrTooLarge},
		{"CPU", Request{CPUs: math.MinInt64}, ErrNegative},
		{"memory", Request{Memory: MaxMemory + 1}, ErrTooLarge},
		{"GPU", Request{GPUs: -Unit}, ErrNegative},
		{"GPU", Request{GPUs: Unit + 1}, ErrFraction},
		{"GPU", Request{GPUs: math.MaxInt64 / Unit * Unit}, ErrTooLarge},
		{"", Request{Custom: map[string]int64{"": 1}}, ErrName},
		{"CPU", Request{Custom: map[string]int64{"CPU": 1}}, ErrName},
		{"memory", Request{Custom: map[string]int64{"new": 1, "memory": 1}}, ErrName},
		{strings.Repeat("x", 257), Request{Custom: map[string]int64{strings.Repeat("x", 257): 1}}, ErrName},
		{"tape", Request{Custom: map[string]int64{"tape": -1, "other": 1}}, ErrNegative},
		{"tape", Request{Custom: map[string]int64{"tape": MaxQuantity + 1}}, ErrTooLarge},
	} {
		_, err := set.Shape(c.request)
		var typed *Error
		if !errors.Is(err, c.err) || !errors.As(err, &typed) || typed.Resource != c.name {
			t.Errorf("Shape(%+v): %v; want %q, %v", c.request, err, c.name, c.err)
		}
	}
	if set.Len() != columns {
		t.Errorf("refused requests left %d names behind", set.Len()-columns)
	}
}

func TestLedgerRefusesACapacityThatCannotBe(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		capacity Request
		err      error
	}{
		{Request{GPUs: Unit / 2}, ErrFraction}, {Request{GPUs: 65 * Unit}, ErrTooMany}, {Request{CPUs: -1}, ErrNegative},
	} {
		if _, err := NewSet().NewLedger(c.capacity); !errors.Is(err, c.err) {
			t.Errorf("capacity %+v: %v, want %v", c.capacity, err, c.err)
		}
	}
}

func TestNamesAndShapesAreBounded(t *testing.T) {
	t.Parallel()
	set := NewSet()
	var err error
	n := 0
	for ; err == nil; n++ {
		_, err = set.Shape(Request{Custom: map[string]int64{strings.Repeat("x", n%200+1) + string(rune('a'+n/200)): 1}})
	}
	if !errors.Is(err, ErrTooMany) || set.Len() != MaxColumns {
		t.Errorf("after %d names: %v", set.Len(), err)
	}
	if _, err := set.Shape(Request{CPUs: Unit, Custom: map[string]int64{"xa": 7}}); err != nil {
		t.Errorf("a shape of known names: %v", err)
	}
	for n := int64(1); ; n++ {
		if _, err = set.Shape(Request{CPUs: n, Memory: 1}); err != nil {
			break
		}
	}
	if !errors.Is(err, ErrTooMany) {
		t.Errorf("too many shapes: %v", err)
	}
}

func TestEqualRequestsAreOneShape(t *testing.T) {
	t.Parallel()
	set := NewSet()
	shape := func(r Request) *Shape {
		s, err := set.Shape(r)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	a := shape(Request{CPUs: Unit, Memory: 5, Custom: map[string]int64{"tape": 15000, "disk": Unit, "none": 0}})
	b := shape(Request{CPUs: Unit, Memory: 5, Custom: map[string]int64{"disk": Unit, "tape": 15000}})
	if a != b || a == shape(Request{CPUs: Unit, Memory: 5}) {
		t.Error("equal requests differ, or different ones are equal")
	}
	if got, want := a.String(), "CPU 1, memory 5 bytes, disk 1, tape 1.5"; got != want {
		t.Errorf("shape is written %q, want %q", got, want)
	}
	if none := shape(Request{}); !none.Empty() || none.String() != "nothing" || !none.Within(a) || a.Within(none) {
		t.Error("the empty shape is not empty")
	}
}

func TestFractionsShareOneDeviceAndWholeOnesStayWhole(t *testing.T) {
	t.Parallel()
	set := NewSet()
	l, err := set.NewLedger(Request{GPUs: 4 * Unit})
	if err != nil {
		t.Fatal(err)
	}
	take := func(units int64, want Devices, ok bool) *Shape {
		t.Helper()
		s, err := set.Shape(Request{GPUs: units})
		if err != nil {
			t.Fatal(err)
		}
		if got, fits := l.Take(s); got != want || fits != ok {
			t.Errorf("take of %s: %b, %t; want %b, %t", s, got, fits, want, ok)
		}
		return s
	}
	half := take(Unit/2, 1, true)
	take(3*Unit/10, 1, true)
	take(Unit/2, 2, true)   // does not fit on the first any more
	take(Unit/10, 1, true)  // fills the fuller one
	take(2*Unit, 12, true)  // whole ones take whole devices
	take(Unit, 0, false)    // what is left is only in parts
	take(Unit/2, 2, true)   // which still serve fractions
	take(Unit/10, 1, true)  // to the end
	take(Unit/10, 0, false) // where nothing is left
	if short := l.Short(half); len(short) != 1 || short[0].String() != "GPU: needs 0.5, free 0 of 4" {
		t.Errorf("short of %v", short)
	}
	l.Give(half, 1)
	take(Unit/2, 1, true)
	if err := l.Check(); err != nil {
		t.Error(err)
	}
	if got := Devices(12).Append(nil); !slices.Equal(got, []uint32{2, 3}) || Devices(12).Len() != 2 {
		t.Errorf("devices of 12: %v", got)
	}
}

func TestInfeasibleNamesTheColumn(t *testing.T) {
	t.Parallel()
	set := NewSet()
	l, err := set.NewLedger(Request{CPUs: 4 * Unit, Memory: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		request Request
		want    string
	}{
		{Request{CPUs: 4 * Unit, Memory: 100}, ""},
		{Request{CPUs: 5 * Unit}, "CPU: needs 5, free 4 of 4"},
		{Request{Memory: 101}, "memory: needs 101 bytes, free 100 bytes of 100 bytes"},
		{Request{GPUs: Unit / 4}, "GPU: needs 0.25, free 0 of 0"},
		{Request{Custom: map[string]int64{"new": 1}}, "new: needs 0.0001, free 0 of 0"},
	} {
		s, err := set.Shape(c.request)
		if err != nil {
			t.Fatal(err)
		}
		short, never := l.Infeasible(s)
		if never != (c.want != "") || never && short.String() != c.want {
			t.Errorf("%s: %v, %v; want %q", s, short, never, c.want)
		}
		if never && l.Fits(s) {
			t.Errorf("%s can never fit and fits", s)
		}
	}
}

// hold is what the machine of TestLedgerBalances took.
type hold struct {
	shape   *Shape
	devices Devices
	lent    bool
}

func ledgerMachine(t *rapid.T) {
	set := NewSet()
	l, err := set.NewLedger(Request{CPUs: 3 * Unit, GPUs: 3 * Unit, Memory: 1000, Custom: map[string]int64{"tape": Unit}})
	if err != nil {
		t.Fatal(err)
	}
	var holds []hold
	some := func(t *rapid.T, do func(i int)) { // skipping instead would make short fuzz inputs fail
		if len(holds) > 0 {
			do(rapid.IntRange(0, len(holds)-1).Draw(t, "hold"))
		}
	}
	t.Repeat(map[string]func(*rapid.T){
		"take": func(t *rapid.T) {
			s, err := set.Shape(Request{
				CPUs:   rapid.SampledFrom([]int64{0, 1, Unit / 2, Unit, 3 * Unit, 4 * Unit}).Draw(t, "cpus"),
				GPUs:   rapid.SampledFrom([]int64{0, 0, Unit / 4, Unit / 2, Unit, 2 * Unit}).Draw(t, "gpus"),
				Memory: rapid.SampledFrom([]int64{0, 1, 999, 1001}).Draw(t, "memory"),
				Custom: map[string]int64{"tape": rapid.SampledFrom([]int64{0, 0, Unit}).Draw(t, "tape"), "late": rapid.SampledFrom([]int64{0, 0, 0, 1}).Draw(t, "late")},
			})
			if err != nil {
				t.Fatal(err)
			}
			fits, room := l.Fits(s), l.Room(s, 1)
			if len(l.Short(s)) == 0 != fits || fits && room == 0 || fits && !l.FitsWith(s, s) {
				t.Fatalf("fits is %t, short %v, room %d", fits, l.Short(s), room)
			}
			devices, ok := l.Take(s)
			if ok != fits || ok && int64(devices.Len()) != (s.Need(GPU)+Unit-1)/Unit {
				t.Fatalf("fits is %t, take %t with devices %b", fits, ok, devices)
			}
			if ok {
				holds = append(holds, hold{shape: s, devices: devices})
			}
		},
		"give": func(t *rapid.T) {
			some(t, func(i int) {
				if holds[i].lent {
					l.Reclaim(holds[i].shape)
				}
				l.Give(holds[i].shape, holds[i].devices)
				holds = slices.Delete(holds, i, i+1)
			})
		},
		"lend": func(t *rapid.T) {
			some(t, func(i int) {
				if holds[i].lent = !holds[i].lent; holds[i].lent {
					l.Lend(holds[i].shape)
				} else {
					l.Reclaim(holds[i].shape)
				}
			})
		},
		"shrink": func(t *rapid.T) {
			some(t, func(i int) {
				s, err := set.Shape(Request{GPUs: holds[i].shape.Need(GPU)})
				if err != nil {
					t.Fatal(err)
				}
				if !holds[i].lent {
					l.Shrink(holds[i].shape, s)
					holds[i].shape = s
				}
			})
		},
		"": func(t *rapid.T) {
			if err := l.Check(); err != nil {
				t.Fatal(err)
			}
			checkAgainstHolds(t, l, holds)
		},
	})
}

// checkAgainstHolds adds up what is held and compares it with the ledger.
func checkAgainstHolds(t *rapid.T, l *Ledger, holds []hold) {
	used := make([]int64, len(l.devices))
	for c := range Column(l.Columns()) {
		free := l.Total(c)
		for _, h := range holds {
			if !h.lent || c != CPU {
				free -= h.shape.Need(c)
			}
		}
		if free != l.Free(c) {
			t.Fatalf("%s: %d free, want %d", l.Name(c), l.Free(c), free)
		}
	}
	for _, h := range holds {
		for _, d := range h.devices.Append(nil) {
			used[d] += min(Unit, h.shape.Need(GPU))
		}
	}
	for d, u := range used {
		if u > Unit || l.devices[d] != Unit-u {
			t.Fatalf("device %d: %d used, %d free", d, u, l.devices[d])
		}
	}
}

func TestLedgerBalances(t *testing.T) {
	t.Parallel()
	rapid.Check(t, ledgerMachine)
}

func FuzzLedgerBalances(f *testing.F) {
	f.Add([]byte("take, lend, take, reclaim, give"))
	f.Fuzz(rapid.MakeFuzz(ledgerMachine))
}

func BenchmarkTakeGive(b *testing.B) {
	set := NewSet()
	l, err := set.NewLedger(Request{CPUs: 4 * Unit, Memory: 1 << 30})
	if err != nil {
		b.Fatal(err)
	}
	s, err := set.Shape(Request{CPUs: Unit, Memory: 1 << 20})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		d, _ := l.Take(s)
		l.Give(s, d)
	}
}
