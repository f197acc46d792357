package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"runtime"

	"github.com/mobula-dev/mobula/clients/go/mobula"
	"github.com/mobula-dev/mobula/clients/go/mobula/stub"
)

// This file is a user's program: the tests start their own executable as a driver, and the node starts it as a worker. Its stubs are
// written by hand, as short as they can be.

// envDriver makes this executable the driver.
const envDriver = "MOBULA_TEST_DRIVER"

// bigBytes is the length of an object that goes into the store.
const bigBytes = 1 << 20

// The remote functions.
var (
	hold = function("hold", func(ctx context.Context, _ *stub.Args, out *stub.Results) error {
		<-ctx.Done()
		return out.Fail(ctx.Err())
	})
	after = function("after", func(_ context.Context, in *stub.Args, _ *stub.Results) error {
		_ = stub.Next[int](in)
		return in.Err()
	})
	fail = function("fail", func(_ context.Context, _ *stub.Args, out *stub.Results) error {
		println("out of luck") // on standard error
		return out.Fail(errors.New("no luck\x1b[31m"))
	})
	big = function("big", func(_ context.Context, _ *stub.Args, out *stub.Results) error {
		stub.Set(out, make([]byte, bigBytes))
		return out.Err()
	})
	counter    = stub.Actor(stub.ActorInfo{Name: "example.Counter"})
	newCounter = stub.Constructor(counter, stub.ConstructorInfo{
		Name: "example.NewCounter", Fingerprint: 1, Types: []reflect.Type{},
		Handler: func(context.Context, *stub.Args) (any, error) {
			_, err := fmt.Printf("a counter is made\n")
			return new(int), err
		},
	})
)

func function(name string, handler func(context.Context, *stub.Args, *stub.Results) error) *stub.Func {
	return stub.Function(stub.FuncInfo{Name: "example." + name, Fingerprint: 1, Params: []string{"x"}, Returns: 1, Handler: handler})
}

// drive is the driver's main: it submits something of everything, says so, and ends with its standard input.
func drive() error {
	ctx, stop, err := mobula.Init(context.Background(), mobula.WithNamespace("tests"), mobula.WithOutput(nil))
	if err != nil {
		return err
	}
	defer stop()
	call := func(f *stub.Func) mobula.Ref[int] { return stub.Submit1[int](stub.NewCall(ctx, f, 0, nil)) }
	large := stub.Submit1[[]byte](stub.NewCall(ctx, big, 0, nil))
	if b, err := large.Get(ctx); err != nil || len(b) != bigBytes {
		return fmt.Errorf("big: %d bytes, %w", len(b), err)
	}
	failed := call(fail)
	if _, err := failed.Get(ctx); err == nil {
		return errors.New("fail succeeded")
	}
	actor := stub.SubmitActor(stub.NewCall(ctx, newCounter, 0, []mobula.Option{mobula.Name("main")}))
	if err := actor.WaitReady(ctx); err != nil {
		return err
	}
	small, err := mobula.Put(ctx, "small")
	if err != nil {
		return err
	}
	first, second := call(hold), call(hold)
	next := stub.NewCall(ctx, after, 1, nil)
	stub.ArgRef(next, first)
	waiting := stub.Submit1[int](next)
	queued := call(after)
	if _, err := os.Stdout.WriteString("submitted\n"); err != nil {
		return err
	}
	_, err = bufio.NewReader(os.Stdin).ReadString('\n') // its end is what counts
	runtime.KeepAlive([]any{large, failed, actor, small, first, second, waiting, queued})
	if err == nil {
		return errors.New("the test said something")
	}
	return nil
}
