package service

import (
	"context"
	"net"
	"time"

	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/internal/takeover"
	"github.com/mobula-dev/mobula/nodemanager/workerpool"
)

// process is a worker process: a *workerpool.Process, or in tests one that the test plays.
type process interface {
	Worker() id.Worker
	PID() int
	Secret() takeover.Secret
	Conn() *net.UnixConn
	Served()
	Nudge()
}

// processes starts and ends worker processes and tells the node of each, as workerpool.Pool does.
type processes interface {
	Start(ctx context.Context, spec workerpool.Spec) (process, error)
	Stop(worker id.Worker, grace time.Duration, cause workerpool.Cause) error
	Kill(worker id.Worker, cause workerpool.Cause) error
	Forget(job id.Job)
	Close() error
}

// pool is a workerpool.Pool as processes.
type pool struct{ *workerpool.Pool }

// Start implements processes.
func (p pool) Start(ctx context.Context, spec workerpool.Spec) (process, error) {
	pr, err := p.Pool.Start(ctx, spec)
	if err != nil {
		return nil, err // a nil *Process in an interface would not be nil
	}
	return pr, nil
}

// openPool opens the pool of real processes for a node.
func openPool(n *Node) (processes, error) {
	p, err := workerpool.Open(workerpool.Config{
		Notify: func(e workerpool.Event) { n.processEvent(e.Process, e.Exit) },
		Log:    n.workerOutput, Logs: n.cfg.Logs, Logger: n.cfg.Logger, OwnProcess: n.cfg.OwnProcess,
	})
	if err != nil {
		return nil, err
	}
	return pool{p}, nil
}
