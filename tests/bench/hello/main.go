// Command hello is the smallest program of a user: one task, one result. The benchmark times it from its start to that result, and
// measures its executable and how long that takes to build again after a change.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/mobula-dev/mobula/clients/go/mobula"
)

// Square returns x times x.
//
//mobula:remote
func Square(x int) int { return x * x }

func main() {
	if err := run(context.Background()); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err) // the exit status says it too
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	ctx, stop, err := mobula.Init(ctx)
	if err != nil {
		return err
	}
	defer stop()
	v, err := SquareRemote(ctx, 7).Get(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(os.Stdout, v)
	return err
}
