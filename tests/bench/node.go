package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/mobula-dev/mobula/clients/go/mobula"
)

// node is a node with one session of this process.
type node struct {
	// ctx carries the session.
	ctx context.Context
	// pid is the node's process; 0 when it is not known.
	pid int
	// address is empty when the node is this executable in the node's role.
	address string
	// options are those of every session beside the address.
	options []mobula.InitOption

	closeSession func()
	cmd          *exec.Cmd // nil when this process did not start it
	ended        chan error
	dir          string
}

const (
	// readyTimeout is how long a node may take to start.
	readyTimeout = 10 * time.Second
	// endTimeout is how long a node may take to end.
	endTimeout = 10 * time.Second
)

// startNode starts `mobula up` in a directory of its own and opens a session.
func startNode(ctx context.Context, binary, dir string, options []mobula.InitOption) (*node, error) {
	dir, err := os.MkdirTemp(dir, "node-")
	if err != nil {
		return nil, fmt.Errorf("make the node's directory: %w", err)
	}
	log, err := os.Create(filepath.Join(dir, "output"))
	if err != nil {
		return nil, fmt.Errorf("make the node's log: %w", err)
	}
	defer log.Close() //nolint:errcheck // the node has its own descriptor
	n := &node{
		address: "unix:" + filepath.Join(dir, "node.sock"), options: options, cmd: exec.Command(binary, "up", "--dir", dir),
		ended: make(chan error, 1), dir: dir,
	}
	n.cmd.Stdout, n.cmd.Stderr = log, log
	if err := n.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a node: %w", err)
	}
	n.pid = n.cmd.Process.Pid
	go func() { n.ended <- n.cmd.Wait() }()
	if err := n.await(ctx); err != nil {
		output, _ := os.ReadFile(log.Name()) // only to explain
		return nil, errors.Join(fmt.Errorf("start a node: %w\n%s", err, output), n.close())
	}
	return n, nil
}

// await opens a session as soon as the node takes one.
func (n *node) await(ctx context.Context) error {
	deadline := time.Now().Add(readyTimeout)
	for {
		err := n.open(ctx)
		if err == nil || time.Now().After(deadline) || ctx.Err() != nil {
			return err
		}
		select {
		case ended := <-n.ended:
			n.ended <- ended
			return errors.Join(errors.New("it ended at once"), ended)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// open opens a session; it replaces one that was closed.
func (n *node) open(ctx context.Context) error {
	var err error
	n.ctx, n.closeSession, err = mobula.Init(context.WithoutCancel(ctx), append([]mobula.InitOption{mobula.WithAddress(n.address)}, n.options...)...)
	if err != nil {
		n.closeSession = nil
		return err
	}
	if n.address == "" {
		n.pid, err = embedded()
	}
	return err
}

// embedded finds the process of the embedded node: the only child of this one that runs the same executable.
func embedded() (int, error) {
	children, err := descendants(os.Getpid())
	if err != nil {
		return 0, err
	}
	for _, pid := range children {
		if sameProgram(pid) {
			return pid, nil
		}
	}
	return 0, errors.New("the embedded node's process is not there")
}

// reopen replaces the session.
func (n *node) reopen(ctx context.Context) error {
	n.closeSession()
	return n.open(ctx)
}

// close ends the session, and the node if this process started it.
func (n *node) close() error {
	if n.closeSession != nil {
		n.closeSession()
	}
	if n.cmd == nil {
		return nil
	}
	err := n.cmd.Process.Signal(syscall.SIGTERM)
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	select {
	case ended := <-n.ended:
		err = errors.Join(err, ended)
	case <-time.After(endTimeout):
		err = errors.Join(err, errors.New("the node did not end in time"), n.cmd.Process.Kill())
		err = errors.Join(err, <-n.ended)
	}
	return errors.Join(err, os.RemoveAll(n.dir))
}

// build builds a command of this module, as a user would.
func build(ctx context.Context, root, pkg, output string, flags ...string) error {
	args := append([]string{"build", "-o", output}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, pkg)...)
	cmd.Dir = root
	if b, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", pkg, err, b)
	}
	return nil
}

// moduleRoot returns the directory of the module that this program is part of.
func moduleRoot(ctx context.Context) (string, error) {
	b, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/mobula-dev/mobula").Output()
	if err != nil {
		return "", fmt.Errorf("find the module's directory: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}
