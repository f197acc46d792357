// Package workload holds the tasks and actors that the benchmark calls: those of `ray microbenchmark`, under the same names where Ray
// gives them one, and the few that the benchmark's own rows need. Every method returns the two bytes "ok", as Ray's do.
package workload

import (
	"context"
	"fmt"

	"github.com/mobula-dev/mobula/clients/go/mobula"
)

// ok is what every task and method returns.
var ok = []byte("ok")

// SmallValue is the empty task.
//
//mobula:remote
func SmallValue() []byte { return ok }

// After is a task that waits for an argument.
//
//mobula:remote
func After(gate []byte) []byte { return gate }

// PutSmall puts the number 0 n times and drops each object.
//
//mobula:remote
func PutSmall(ctx context.Context, n int) error {
	for range n {
		r, err := mobula.Put(ctx, 0)
		if err != nil {
			return err
		}
		r.Release()
	}
	return nil
}

// PutLarge makes and puts an array of zeros n times and drops each object.
//
//mobula:remote
func PutLarge(ctx context.Context, n, elements int) error {
	for range n {
		r, err := mobula.Put(ctx, make([]int64, elements))
		if err != nil {
			return err
		}
		r.Release()
	}
	return nil
}

// ManyRefs puts n objects and returns their refs.
//
//mobula:remote
func ManyRefs(ctx context.Context, n int) ([]mobula.Ref[int], error) {
	refs := make([]mobula.Ref[int], n)
	for i := range refs {
		var err error
		if refs[i], err = mobula.Put(ctx, 1); err != nil {
			return nil, err
		}
	}
	return refs, nil
}

// CallServers makes n calls, one server after the other in turn, and gets all results.
//
//mobula:remote
func CallServers(ctx context.Context, servers []ServerHandle, n int) error {
	refs := make([]mobula.Ref[[]byte], n)
	for i := range refs {
		refs[i] = servers[i%len(servers)].SmallValueRemote(ctx)
	}
	return GetAll(ctx, refs)
}

// GetAll gets every ref and checks that it is what a workload returns.
func GetAll(ctx context.Context, refs []mobula.Ref[[]byte]) error {
	for i := range refs {
		v, err := refs[i].Get(ctx)
		if err != nil {
			return fmt.Errorf("result %d of %d: %w", i, len(refs), err)
		}
		if string(v) != string(ok) {
			return fmt.Errorf("result %d of %d is %q", i, len(refs), v)
		}
	}
	return nil
}

// Server is an actor that is called.
//
//mobula:actor cpu=0
type Server struct{}

// NewServer makes a server.
func NewServer() *Server { return &Server{} }

// SmallValue is the empty method.
func (*Server) SmallValue() []byte { return ok }

// SmallValueArg takes an argument and returns what SmallValue does.
func (*Server) SmallValueArg(int) []byte { return ok }

// Client is an actor that calls: servers, or tasks.
//
//mobula:actor cpu=0
type Client struct{ servers []ServerHandle }

// NewClient makes a client of the servers.
func NewClient(servers []ServerHandle) *Client { return &Client{servers: servers} }

// Tasks submits n tasks and gets all results.
func (*Client) Tasks(ctx context.Context, n int) error {
	refs := make([]mobula.Ref[[]byte], n)
	for i := range refs {
		refs[i] = SmallValueRemote(ctx)
	}
	return GetAll(ctx, refs)
}

// Calls makes n calls of each server and gets all results.
func (c *Client) Calls(ctx context.Context, n int) error {
	refs := make([]mobula.Ref[[]byte], 0, n*len(c.servers))
	for _, s := range c.servers {
		for range n {
			refs = append(refs, s.SmallValueRemote(ctx))
		}
	}
	return GetAll(ctx, refs)
}

// CallsWithArg puts one object, passes its ref in n calls of each server, and gets all results.
func (c *Client) CallsWithArg(ctx context.Context, n int) error {
	x, err := mobula.Put(ctx, 0)
	if err != nil {
		return err
	}
	refs := make([]mobula.Ref[[]byte], 0, n*len(c.servers))
	for _, s := range c.servers {
		for range n {
			refs = append(refs, s.SmallValueArgRefs(ctx, x))
		}
	}
	return GetAll(ctx, refs)
}

// Gate holds back what waits for it until it is opened.
//
//mobula:actor cpu=0 max_concurrency=2
type Gate struct{ opened chan struct{} }

// NewGate makes a closed gate.
func NewGate() *Gate { return &Gate{opened: make(chan struct{})} }

// Pass returns when the gate is open.
func (g *Gate) Pass(ctx context.Context) ([]byte, error) {
	select {
	case <-g.opened:
		return ok, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Open opens the gate, once.
func (g *Gate) Open() { close(g.opened) }
