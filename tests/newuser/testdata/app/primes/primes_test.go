package primes

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/mobula-dev/mobula/clients/go/mobula"
	"github.com/mobula-dev/mobula/clients/go/mobula/stub"
)

var below = flag.Int("below", 0, "count the primes below this `number`")

// TestMain has what a worker must not run: here it would count itself.
func TestMain(m *testing.M) {
	flag.Parse()
	f, err := os.OpenFile("TestMain.log", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	fmt.Fprintln(f, os.Getpid())
	if err := f.Close(); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

func TestCountRemotely(t *testing.T) {
	ctx, stop, err := mobula.Init(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	got, err := CountRemote(ctx, *below).Get(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if largest, err := LargestRemote(ctx, "b", []string{"c", "a"}).Get(ctx); err != nil || largest != "c" {
		t.Errorf("the largest is %q (%v), want c", largest, err)
	}
	if _, err := LargestRemote(ctx, 1.5, nil).Get(ctx); !errors.Is(err, stub.ErrNotInstantiated) {
		t.Errorf("a form that is not listed: error is %v, want %v", err, stub.ErrNotInstantiated)
	}
	if want := Count(*below); got != want || want == 0 {
		t.Errorf("there are %d primes below %d, want %d", got, *below, want)
	}
}
