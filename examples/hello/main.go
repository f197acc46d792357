// Hello is the smallest Mobula program: three tasks, of which the third takes the results of the others. README.md shows it.
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/mobula-dev/mobula/clients/go/mobula"
)

//go:generate go run github.com/mobula-dev/mobula/codegen/cmd/mobula-gen .

// Square returns x times x.
//
//mobula:remote
func Square(x int) int { return x * x }

// Add returns the sum of a and b.
//
//mobula:remote
func Add(a, b int) int { return a + b }

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	ctx, stop, err := mobula.Init(ctx) // starts a node, which ends with this program
	if err != nil {
		return err
	}
	defer stop()
	x, y := SquareRemote(ctx, 3), SquareRemote(ctx, 4) // returns at once: x and y are refs of results to come
	sum, err := AddRefs(ctx, x, y).Get(ctx)            // Add runs when both are there; Get waits for it
	if err != nil {
		return err
	}
	fmt.Println(sum)
	return nil
}
