// Mobula is the one binary of Mobula: it runs nodes and tells what they do. See docs/cli.md.
//
// This package turns flags into configurations and requests, and prints the answers; everything else is done by the packages that
// it starts.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/mobula-dev/mobula/head"
	"github.com/mobula-dev/mobula/internal/takeover"
)

// Exit statuses; 0 is done.
const (
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	// A node starts its own program as the guard of its workers. Take serves that role and does not return.
	child, ok, err := takeover.Take()
	switch {
	case err != nil:
		takeover.Exit(err)
	case ok:
		os.Exit(embedded(child))
	}
	os.Exit(run())
}

// embedded is the role in which this process was started: the node of a driver whose program is no Go program, and so cannot be one itself.
func embedded(child *takeover.Child) int {
	if child.Kind != takeover.KindNode {
		takeover.Exit(errors.Join(fmt.Errorf("the mobula binary cannot be a %s", child.Kind), child.Refuse("the mobula binary cannot be a "+string(child.Kind))))
	}
	if err := head.ServeEmbedded(child); err != nil {
		fmt.Fprintln(os.Stderr, "mobula:", err)
		return exitFailed
	}
	return 0
}

// run runs the command that the arguments name and returns the exit status.
func run() int {
	err := newRoot().ExecuteContext(context.Background())
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "mobula:", err)
	if _, usage := errors.AsType[*usageError](err); usage {
		return exitUsage
	}
	return exitFailed
}

// usageError is a mistake in the command line.
type usageError struct {
	err     error
	command string
}

// Error says what was wrong and where to read more.
func (e *usageError) Error() string {
	return fmt.Sprintf("%v\nSee %q.", e.err, e.command+" --help")
}

// Unwrap returns what was wrong.
func (e *usageError) Unwrap() error { return e.err }

const rootHelp = `Mobula runs the functions and actors of your program as tasks, on this machine.

A program in Go or Python starts a node of its own, and needs nothing of this. Start one here to share it between programs,
or to keep what it knows:

  mobula up --detach                 start a node in the background
  export MOBULA_ADDRESS=…            as it prints; your programs use that node now
  mobula status                      what it has and does
  mobula list tasks --state running
  mobula explain ID                  why something is not ready
  mobula logs                        what workers have printed
  mobula down                        end it

With the Python package there is "mobula compare" besides: a program on an installed Ray and on Mobula, in turn.`

// newRoot makes the command with all below it.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "mobula",
		Short:         "Distributed tasks, actors and objects",
		Long:          rootHelp,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		Version:       buildVersion(),
	}
	root.SetVersionTemplate("mobula {{.Version}}\n")
	root.SetOut(os.Stdout)
	root.SetErr(os.Stderr)
	root.AddGroup(&cobra.Group{ID: "node", Title: "Run a node:"}, &cobra.Group{ID: "state", Title: "See what it does:"})
	add := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
		}
		root.AddCommand(commands...)
	}
	add("node", newUp(), newDown())
	add("state", newStatus(), newList(), newLogs(), newExplain())
	root.AddCommand(newVersion())
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return &usageError{err: err, command: cmd.CommandPath()} })
	markUsage(root)
	return root
}

// markUsage makes the errors of a command's checks of its arguments usage errors, and so for all commands below it.
func markUsage(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return &usageError{err: err, command: cmd.CommandPath()}
			}
			return nil
		}
	}
	for _, c := range cmd.Commands() {
		markUsage(c)
	}
}
