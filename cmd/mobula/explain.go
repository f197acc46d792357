package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/head"
)

func newExplain() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use:   "explain ID",
		Short: "Say why a task, an actor or an object is not ready",
		Long: `Say why a task, an actor or an object is not ready: what it waits for, and what that waits for, with places in the source.

  mobula list tasks --state waiting
  mobula explain 0c6e2a19b1f94d7700000000000000a3`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("say what to explain: the id of one task, actor or object")
			}
			id, err := hex.DecodeString(args[0])
			if err != nil || len(id) != 16 && len(id) != 20 {
				return fmt.Errorf("%q is not an id: a task or an actor has 32 hexadecimal digits, an object 40", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := hex.DecodeString(args[0])
			if err != nil {
				return err
			}
			return t.ask(cmd, func(ctx context.Context, c *head.Client) error {
				r, err := c.Explain(ctx, &mobulav1.ExplainRequest{Id: id})
				if err != nil {
					return err
				}
				_, err = fmt.Fprintln(cmd.OutOrStdout(), cleanLines(r.GetText()))
				return err
			})
		},
	}
	t.flags(cmd)
	return cmd
}
