//go:build !mobula_thin

package mobula

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/mobula-dev/mobula/clients/go/mobula/internal/session"
	"github.com/mobula-dev/mobula/head"
	"github.com/mobula-dev/mobula/internal/takeover"
)

// embed starts a node of this program's own executable, and opens a session on the descriptor between the two.
func embed(ctx context.Context, c *initConfig, cfg session.Config) (*session.Session, func(context.Context) error, error) {
	dir, err := os.MkdirTemp("", "mobula-node-")
	if err != nil {
		return nil, nil, fmt.Errorf("make the node's directory: %w", err)
	}
	settings, err := json.Marshal(head.Config{
		Dir: dir, CPUs: c.cpus, GPUs: c.gpus, Memory: c.memory, Resources: c.resources, StoreBytes: c.storeBytes, Build: Version(),
	})
	if err != nil {
		return nil, nil, fmt.Errorf("start a node: %w", err)
	}
	cmd := exec.Command(selfPath) // not CommandContext: the node must outlive Init's ctx until stop
	cmd.Args = []string{os.Args[0]}
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	// A terminal sends its signals to a whole process group. What Ctrl-C means is the driver's to say: it may want to finish its work.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	starter, err := takeover.Prepare(cmd, takeover.Role{Kind: takeover.KindNode, Settings: map[string]string{head.EmbeddedSetting: string(settings)}})
	if err != nil {
		return nil, nil, fmt.Errorf("start a node: %w", err)
	}
	err = cmd.Start()
	starter.Started()
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("start a node: %w", err), starter.Close(), os.RemoveAll(dir))
	}
	ended := make(chan struct{})
	go func() { // ends with the node; how it ended is in its own output
		defer close(ended)
		_ = cmd.Wait()
	}()
	closeNode := func(ctx context.Context) error {
		_ = starter.Close() // the session closed it; the node takes its end for the driver's
		var err error
		select {
		case <-ended:
		case <-ctx.Done():
			err = errors.Join(errors.New("the node did not end in time and was killed"), cmd.Process.Kill())
			<-ended
		}
		return errors.Join(err, os.RemoveAll(dir))
	}
	if err := starter.Await(ctx, 0); err != nil {
		end, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		return nil, nil, errors.Join(fmt.Errorf("start a node: %w", err), closeNode(end))
	}
	cfg.Hello.OwnsNode = true
	s, err := sessionOn(ctx, starter.Conn(), cfg)
	if err != nil {
		end, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		return nil, nil, errors.Join(err, closeNode(end))
	}
	return s, closeNode, nil
}

// runNode is the embedded node: it serves its driver and ends with it.
func runNode(child *takeover.Child) error { return head.ServeEmbedded(child) }
