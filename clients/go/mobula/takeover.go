package mobula

import (
	"context"
	"fmt"
	"os"
	"runtime"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"

	"github.com/mobula-dev/mobula/clients/go/mobula/internal/core"
	"github.com/mobula-dev/mobula/clients/go/mobula/internal/session"
	"github.com/mobula-dev/mobula/clients/go/mobula/internal/worker"
	"github.com/mobula-dev/mobula/internal/takeover"
	"github.com/mobula-dev/mobula/internal/telemetry"
)

// selfPath is this program's executable, even when its file was replaced or deleted.
const selfPath = "/proc/self/exe"

// Takeover turns the process into a worker or a node when it was started as one, and then never returns. Generated code calls it from an
// init function of package main, after all registrations and before main; a program without generated code calls it first thing in main.
func Takeover() {
	child, ok, err := takeover.Take()
	if err != nil {
		takeover.Exit(err)
	}
	if !ok {
		return
	}
	switch child.Kind {
	case takeover.KindWorker:
		err = runWorker(child)
	case takeover.KindNode:
		err = runNode(child)
	default:
		err = fmt.Errorf("this program cannot be a %q", child.Kind)
	}
	code := 0
	if err != nil {
		fmt.Fprintln(os.Stderr, "mobula:", err)
		code = 1
	}
	if child.Kind == takeover.KindWorker {
		takeover.EndGroup(code) // what user code has started ends too
	}
	os.Exit(code) //nolint:forbidigo // in a role there is no main to return to: it is the user's, and must not run
}

// runWorker serves tasks until the node ends the session.
func runWorker(child *takeover.Child) error {
	if err := child.Ready(); err != nil {
		return err
	}
	ctx := context.Background()
	tracer, err := telemetry.Open(ctx, telemetry.Config{Role: "worker", InstallGlobal: true, NodeID: child.Node, JobID: child.Job, WorkerID: child.Worker})
	if err != nil {
		core.Warn("tracing is off: " + err.Error())
	}
	w := worker.New()
	s, err := session.Open(ctx, child.Conn(), session.Config{
		Hello: &mobulav1.Hello{
			Build: Version(), Role: mobulav1.Role_ROLE_WORKER, Secret: child.Secret[:], Language: mobulav1.Language_LANGUAGE_GO,
			LanguageVersion: runtime.Version(), Program: os.Args[0], Functions: core.Infos(), WorkerId: child.Worker[:],
		},
		Worker: w,
		Opened: func(s *session.Session) {
			rt := &core.Runtime{Session: s, Tracer: tracer, Worker: w}
			s.SetOwner(rt)
			w.Attach(rt)
			core.SetDefault(rt)
		},
	})
	if err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	select {
	case <-s.Done():
	case <-w.Exiting():
	}
	end, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	return tracer.Close(end)
}
