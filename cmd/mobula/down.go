package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/head"
)

const (
	// shutdownTimeout is how long a node may take to answer that it ends; one that does not is sent a signal.
	shutdownTimeout = 3 * time.Second
	// pollInterval is how often the end of a node is looked for.
	pollInterval = 10 * time.Millisecond
)

func newDown() *cobra.Command {
	var t target
	timeout, force := 30*time.Second, false
	cmd := &cobra.Command{
		Use:   "down",
		Short: "End a node and wait until it has ended",
		Long: `End a node in order, and wait until it has ended. Its jobs end with it. If no node runs there, nothing is done.

  mobula down
  mobula down --address /srv/mobula --timeout 10s --force`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			return t.down(ctx, cmd, force)
		},
	}
	t.flags(cmd)
	cmd.Flags().DurationVar(&timeout, "timeout", timeout, "how long the node may take")
	cmd.Flags().BoolVar(&force, "force", false, "kill the node when it has not ended by then")
	return cmd
}

// down ends the node. The lock on its directory tells the truth about when it has ended, whatever else goes wrong.
func (t *target) down(ctx context.Context, cmd *cobra.Command, force bool) error {
	address, err := t.resolve()
	if err != nil {
		return err
	}
	dir := head.DirOf(address)
	pid, held, err := head.Holder(dir)
	if err != nil {
		return err
	}
	if !held {
		_, err := fmt.Fprintf(cmd.ErrOrStderr(), "no node runs in %s\n", dir)
		return err
	}
	if err := shutdown(ctx, address); err != nil {
		if answer, ok := errors.AsType[*head.APIError](err); ok && answer.Refused() {
			return err
		}
		if pid == 0 {
			return fmt.Errorf("the node does not answer, and its process is not known: %w", err)
		}
		if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("end process %d: %w", pid, err)
		}
	}
	err = awaitEnd(ctx, dir)
	if errors.Is(err, context.DeadlineExceeded) {
		if !force || pid == 0 {
			return fmt.Errorf("process %d has not ended in time; %q kills it", pid, "mobula down --force")
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("kill process %d: %w", pid, err)
		}
		killed, cancel := context.WithTimeout(cmd.Context(), shutdownTimeout)
		defer cancel()
		err = awaitEnd(killed, dir)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "the node in %s has ended\n", dir)
	return err
}

// shutdown asks the node to end.
func shutdown(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, shutdownTimeout)
	defer cancel()
	c, err := head.Dial(ctx, address)
	if err != nil {
		return err
	}
	_, err = c.Shutdown(ctx, &mobulav1.ShutdownRequest{Reason: fmt.Sprintf("mobula down, process %d", os.Getpid())})
	return errors.Join(err, c.Close())
}

// awaitEnd waits until no process has the directory.
func awaitEnd(ctx context.Context, dir string) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		_, held, err := head.Holder(dir)
		if err != nil || !held {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
