// Actors is a bank: accounts are actors, and transfers are tasks that are given their handles. It shows state that calls share, handles
// passed on, errors that keep their type across processes, cancellation, deadlines, and what the death of an actor means to its callers.
//
// Read account.go first, which has what runs remotely; this file calls it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/mobula-dev/mobula/clients/go/mobula"
)

//go:generate go run github.com/mobula-dev/mobula/codegen/cmd/mobula-gen .

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// run tells the whole story.
func run(ctx context.Context, out io.Writer) error {
	ctx, stop, err := mobula.Init(ctx)
	if err != nil {
		return err
	}
	defer stop()
	b := &bank{out: out, ann: NewAccountRemote(ctx, "Ann", 100), bob: NewAccountRemote(ctx, "Bob", 50)}
	for _, chapter := range []func(context.Context) error{b.transfers, b.crowd, b.refusals, b.patience, b.death} {
		if err := chapter(ctx); err != nil {
			return err
		}
	}
	return b.err
}

// bank has the accounts of the story.
type bank struct {
	out      io.Writer
	err      error // the first of out
	ann, bob AccountHandle
}

// say prints a line.
func (b *bank) say(format string, args ...any) {
	if _, err := fmt.Fprintf(b.out, format+"\n", args...); err != nil && b.err == nil {
		b.err = err
	}
}

// transfers calls a task, which calls both actors, and then the actors themselves.
func (b *bank) transfers(ctx context.Context) error {
	if _, err := TransferRemote(ctx, b.ann, b.bob, 30).Get(ctx); err != nil {
		return err
	}
	ann, err := b.ann.BalanceRemote(ctx).Get(ctx)
	if err != nil {
		return err
	}
	bob, err := b.bob.BalanceRemote(ctx).Get(ctx)
	if err != nil {
		return err
	}
	b.say("30 went from Ann to Bob: Ann has %d, Bob has %d", ann, bob)
	return nil
}

// crowd runs many transfers at the same time. No money is lost, and none is made.
func (b *bank) crowd(ctx context.Context) error {
	const pairs = 50
	var done []mobula.Ref[struct{}]
	for range pairs {
		done = append(done, TransferRemote(ctx, b.ann, b.bob, 1), TransferRemote(ctx, b.bob, b.ann, 1))
	}
	if _, _, err := mobula.Wait(ctx, done, len(done), 0); err != nil {
		return err
	}
	for _, ref := range done {
		if _, err := ref.Get(ctx); err != nil {
			return err
		}
	}
	total, err := TotalRemote(ctx, map[string]AccountHandle{"Ann": b.ann, "Bob": b.bob}).Get(ctx)
	if err != nil {
		return err
	}
	b.say("after %d more transfers there is %d", len(done), total)
	return nil
}

// refusals meets errors that user code returned two processes away: from the actor to the task, and from there to here.
func (b *bank) refusals(ctx context.Context) error {
	_, err := TransferRemote(ctx, b.ann, b.bob, 1000).Get(ctx)
	var short *NotEnoughError
	if !errors.As(err, &short) {
		return fmt.Errorf("a transfer of 1000: want a NotEnoughError, got %w", err)
	}
	b.say("refused: %s has %d and not %d", short.Owner, short.Balance, short.Wanted)

	carl := NewAccountRemote(ctx, "Carl", 0)
	carl.CloseRemote(ctx) // not waited for: calls of one caller run in their order
	_, err = TransferRemote(ctx, b.ann, carl, 10).Get(ctx)
	if !errors.Is(err, ErrClosed) {
		return fmt.Errorf("a transfer to a closed account: want %w, got %w", ErrClosed, err)
	}
	b.say("refused: Carl's account is closed")
	return nil
}

// patience gives up on tasks that would take for ever: by hand, and by a deadline.
func (b *bank) patience(ctx context.Context) error {
	order := StandingOrderRemote(ctx, b.ann, b.bob, 1, time.Hour)
	if err := mobula.Cancel(order); err != nil {
		return err
	}
	_, err := order.Get(ctx)
	if !errors.Is(err, context.Canceled) {
		return fmt.Errorf("a cancelled standing order: want %w, got %w", context.Canceled, err)
	}
	b.say("a standing order was cancelled")

	soon, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	order = StandingOrderRemote(soon, b.ann, b.bob, 1, time.Hour) // the deadline goes with the task
	_, err = order.Get(ctx)                                       // ctx has none: what ends is the task
	if !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("a standing order with a deadline: want %w, got %w", context.DeadlineExceeded, err)
	}
	b.say("a standing order met its deadline")
	return nil
}

// death kills an actor. Every error says what happened and whether the work may have been done.
func (b *bank) death(ctx context.Context) error {
	if err := mobula.Kill(b.bob); err != nil {
		return err
	}
	_, err := b.bob.DepositRemote(ctx, 1).Get(ctx)
	var e *mobula.Error
	if !errors.As(err, &e) || e.Kind != mobula.ActorDied {
		return fmt.Errorf("a call of a killed actor: want ActorDied, got %w", err)
	}
	b.say("Bob's account is gone: %v, and the deposit was %v", e.Kind, e.Execution)
	return nil
}
