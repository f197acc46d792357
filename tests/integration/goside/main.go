// Goside is the program that serves Go functions and actors to the tests of the Python client: clients/python/tests/test_crosslanguage.py.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/mobula-dev/mobula/clients/go/mobula"
)

//go:generate go run github.com/mobula-dev/mobula/codegen/cmd/mobula-gen .

// EmptyError is an error with a type of its own.
type EmptyError struct{ Box string }

// Error implements error.
func (e *EmptyError) Error() string { return "the box " + e.Box + " is empty" }

// Person is what a map with the names of its fields becomes.
type Person struct {
	Name string
	Age  int `mobula:"age"`
	Tags []string
}

// Echo returns any value as it came.
//
//mobula:remote
func Echo(x any) any { return x }

// Kind returns the name of the Go type that a value has become.
//
//mobula:remote
func Kind(x any) string { return fmt.Sprintf("%T", x) }

// Add returns the sum of a and b.
//
//mobula:remote
func Add(a, b int) int { return a + b }

// Sum returns the sum of many numbers.
//
//mobula:remote
func Sum(xs []float64) float64 {
	var sum float64
	for _, x := range xs {
		sum += x
	}
	return sum
}

// Ramp returns the first n numbers.
//
//mobula:remote
func Ramp(n int) []float32 {
	xs := make([]float32, n)
	for i := range xs {
		xs[i] = float32(i)
	}
	return xs
}

// Older returns a person who is a year older.
//
//mobula:remote
func Older(p Person) Person {
	p.Age++
	return p
}

// Later returns a time an hour later, and how much later that is.
//
//mobula:remote
func Later(t time.Time) (time.Time, time.Duration) { return t.Add(time.Hour), time.Hour }

// Nothing has no result.
//
//mobula:remote
func Nothing() {}

// Total takes refs, and gets them.
//
//mobula:remote
func Total(ctx context.Context, refs []mobula.Ref[int]) (int, error) {
	sum := 0
	for _, r := range refs {
		n, err := r.Get(ctx)
		if err != nil {
			return 0, fmt.Errorf("total: %w", err)
		}
		sum += n
	}
	return sum, nil
}

// Open fails.
//
//mobula:remote
func Open(box string) (int, error) { return 0, fmt.Errorf("open: %w", &EmptyError{Box: box}) }

// Panic panics.
//
//mobula:remote
func Panic() int { panic("out of luck") }

// Crash ends its process.
//
//mobula:remote
func Crash() { os.Exit(3) } //nolint:forbidigo // that is what it is for

// Unsendable returns what only looks as if it could be sent.
//
//mobula:remote
func Unsendable() map[string]any { return map[string]any{"fine": 1, "parts": []any{2, func() {}}} }

// Sleep says in a file that it runs, and how its context ended.
//
//mobula:remote
func Sleep(ctx context.Context, path string) error {
	if err := os.WriteFile(path, []byte("runs"), 0o600); err != nil {
		return err
	}
	<-ctx.Done()
	return errors.Join(ctx.Err(), os.WriteFile(path, []byte(ctx.Err().Error()), 0o600))
}

// Counter counts.
//
//mobula:actor
type Counter struct{ n int }

// NewCounter makes a counter; it cannot start below zero.
func NewCounter(start int) (*Counter, error) {
	if start < 0 {
		return nil, errors.New("starts below zero")
	}
	return &Counter{n: start}, nil
}

// Add adds n and returns the sum.
func (c *Counter) Add(n int) int {
	c.n += n
	return c.n
}

// Fail fails.
func (c *Counter) Fail() error { return &EmptyError{Box: "counter"} }

// main has nothing to do: the program only runs as a worker.
func main() {}
