package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mobula-dev/mobula/clients/go/mobula"
)

// Account is an actor: one value that lives in one process, whose methods run one after another in the order in which each caller
// calls them. That is why nothing here has a lock.
//
//mobula:actor
type Account struct {
	owner   string
	balance int64
	closed  bool
}

// NewAccount opens an account. Its error would be that of every call of the actor.
func NewAccount(owner string, balance int64) (*Account, error) {
	if balance < 0 {
		return nil, fmt.Errorf("open an account for %s: the balance is %d", owner, balance)
	}
	return &Account{owner: owner, balance: balance}, nil
}

// Deposit adds an amount and returns the balance.
func (a *Account) Deposit(amount int64) (int64, error) {
	if a.closed {
		return a.balance, ErrClosed
	}
	a.balance += amount
	return a.balance, nil
}

// Withdraw takes an amount and returns the balance.
func (a *Account) Withdraw(amount int64) (int64, error) {
	switch {
	case a.closed:
		return a.balance, ErrClosed
	case a.balance < amount:
		return a.balance, &NotEnoughError{Owner: a.owner, Balance: a.balance, Wanted: amount}
	}
	a.balance -= amount
	return a.balance, nil
}

// Balance returns the balance.
func (a *Account) Balance() int64 { return a.balance }

// Close closes the account: it keeps its balance and takes part in nothing more.
func (a *Account) Close() { a.closed = true }

// ErrClosed is the error of a closed account. It is registered, so that errors.Is finds it in another process too.
var ErrClosed = errors.New("the account is closed")

var _ = mobula.RegisterSentinel("bank.ErrClosed", ErrClosed)

// NotEnoughError says that an account holds less than was wanted. It is registered, so that errors.As finds it, with its fields, in
// another process too.
type NotEnoughError struct {
	Owner           string
	Balance, Wanted int64
}

// Error implements error.
func (e *NotEnoughError) Error() string {
	return fmt.Sprintf("%s has %d, and %d is wanted", e.Owner, e.Balance, e.Wanted)
}

var _ = mobula.RegisterError[*NotEnoughError]("bank.NotEnoughError")

// Transfer moves an amount between two accounts. It is a task that is given the handles of actors, and calls them from wherever it
// runs; while it waits for them its CPU is lent to others. A transfer that was interrupted must not run a second time: so no retries.
//
//mobula:remote max_retries=0
func Transfer(ctx context.Context, from, to AccountHandle, amount int64) error {
	if _, err := from.WithdrawRemote(ctx, amount).Get(ctx); err != nil {
		return fmt.Errorf("transfer %d: %w", amount, err)
	}
	if _, err := to.DepositRemote(ctx, amount).Get(ctx); err != nil {
		_, back := from.DepositRemote(ctx, amount).Get(ctx)
		return fmt.Errorf("transfer %d: %w", amount, errors.Join(err, back))
	}
	return nil
}

// Total returns what the accounts hold together. Handles may stand anywhere in a value: here in a map.
//
//mobula:remote
func Total(ctx context.Context, accounts map[string]AccountHandle) (int64, error) {
	balances := make([]mobula.Ref[int64], 0, len(accounts))
	for _, account := range accounts {
		balances = append(balances, account.BalanceRemote(ctx)) // all are asked before the first is waited for
	}
	var total int64
	for _, ref := range balances {
		balance, err := ref.Get(ctx)
		if err != nil {
			return 0, err
		}
		total += balance
	}
	return total, nil
}

// StandingOrder transfers an amount whenever a period has passed, until a transfer fails or ctx ends. Ctx is that of the caller, across
// processes: it ends at the caller's deadline, and when the task is cancelled.
//
//mobula:remote max_retries=0
func StandingOrder(ctx context.Context, from, to AccountHandle, amount int64, every time.Duration) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := Transfer(ctx, from, to, amount); err != nil { // a plain call: the stub is for when another process shall do it
			return err
		}
	}
}
