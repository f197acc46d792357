package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/mobula-dev/mobula/head"
)

// addressVariable names the node for programs and for these commands.
const addressVariable = "MOBULA_ADDRESS"

// callTimeout bounds a request to a node.
const callTimeout = 30 * time.Second

// defaultDir is the directory of a node that is started without one: the same for all commands of a user on a machine.
func defaultDir() (string, error) {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, "mobula"), nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a directory for the node: %w; name one with --dir", err)
	}
	return filepath.Join(dir, "mobula"), nil
}

// target is the node that a command asks.
type target struct {
	address string
}

// flags adds the flag that names the node.
func (t *target) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&t.address, "address", "",
		"node to ask: its address or its directory (default: $"+addressVariable+", else the node of a plain mobula up)")
}

// resolve returns the address of the node.
func (t *target) resolve() (string, error) {
	if t.address != "" {
		return t.address, nil
	}
	if address := os.Getenv(addressVariable); address != "" {
		return address, nil
	}
	dir, err := defaultDir()
	return "unix:" + dir, err
}

// dial connects to the node.
func (t *target) dial(ctx context.Context) (*head.Client, error) {
	address, err := t.resolve()
	if err != nil {
		return nil, err
	}
	c, err := head.Dial(ctx, address)
	if _, missing := errors.AsType[*head.NotRunningError](err); missing {
		return nil, fmt.Errorf("%w\nStart one with %q, or name one with --address or in %s", err, "mobula up", addressVariable)
	}
	return c, err
}

// ask calls a function with a connection to the node.
func (t *target) ask(cmd *cobra.Command, call func(context.Context, *head.Client) error) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), callTimeout)
	defer cancel()
	c, err := t.dial(ctx)
	if err != nil {
		return err
	}
	return errors.Join(call(ctx, c), c.Close())
}
