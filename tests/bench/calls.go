package main

import (
	"context"
	"errors"
	"runtime"
	"sync"

	"github.com/mobula-dev/mobula/clients/go/mobula"
	"github.com/mobula-dev/mobula/tests/bench/workload"
)

// setup prepares a line in its scene and returns the call that is timed.
type setup func(s *scene) (call func() error, err error)

// scene is where a line takes place.
type scene struct {
	// ctx carries the session. It has no deadline and is never cancelled: following either would be part of the cost of a call.
	ctx context.Context
	// isolated gives clients and actors processes of their own; otherwise they share one with all tasks.
	isolated bool
	// actors were made for the line and end with it.
	actors []mobula.Actor
}

// pairs is C of Ray's lines: half of the CPUs.
var pairs = max(1, runtime.NumCPU()/2) //nolint:gochecknoglobals // a constant of the machine

// placed returns options, with those that place an actor or a client where the scene wants it.
func (s *scene) placed(options ...mobula.Option) []mobula.Option {
	if s.isolated {
		options = append(options, mobula.IsolateProcess())
	}
	return options
}

// server makes an actor to call and waits until it is there.
func (s *scene) server(options ...mobula.Option) (workload.ServerHandle, error) {
	h := workload.NewServerRemote(s.ctx, s.placed(options...)...)
	s.actors = append(s.actors, h)
	return h, h.WaitReady(s.ctx)
}

// servers makes as many actors to call as Ray does.
func (s *scene) servers() ([]workload.ServerHandle, error) {
	all := make([]workload.ServerHandle, pairs)
	for i := range all {
		var err error
		if all[i], err = s.server(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// client makes an actor that calls the servers and waits until it is there.
func (s *scene) client(servers ...workload.ServerHandle) (workload.ClientHandle, error) {
	h := workload.NewClientRemote(s.ctx, servers, s.placed()...)
	s.actors = append(s.actors, h)
	return h, h.WaitReady(s.ctx)
}

// close ends the actors.
func (s *scene) close() error {
	var errs []error
	for _, a := range s.actors {
		errs = append(errs, mobula.Kill(a))
	}
	return errors.Join(errs...)
}

// all gets refs of calls that return nothing.
func all(ctx context.Context, refs []mobula.Ref[struct{}]) error {
	for _, r := range refs {
		if _, err := r.Get(ctx); err != nil {
			return err
		}
	}
	return nil
}

// repeat submits n of a call and gets all results.
func repeat(ctx context.Context, n int, submit func() mobula.Ref[struct{}]) error {
	refs := make([]mobula.Ref[struct{}], n)
	for i := range refs {
		refs[i] = submit()
	}
	return all(ctx, refs)
}

func getCalls(s *scene) (func() error, error) {
	r, err := mobula.Put(s.ctx, 0)
	return func() error {
		_, err := r.Get(s.ctx)
		return err
	}, err
}

// putCalls releases each object at once, as the reference count of Ray's interpreter does.
func putCalls(s *scene) (func() error, error) {
	return func() error {
		r, err := mobula.Put(s.ctx, 0)
		r.Release()
		return err
	}, nil
}

func multiPutCalls(s *scene) (func() error, error) {
	return func() error {
		return repeat(s.ctx, 10, func() mobula.Ref[struct{}] { return workload.PutSmallRemote(s.ctx, 100, s.placed()...) })
	}, nil
}

const (
	// elements is the length of Ray's large array of 8-byte integers.
	elements = 100 << 20
	// gigabytes is what Ray counts that array for; its unit is 1.0486 billion bytes.
	gigabytes = 0.8
)

// array makes Ray's array. Like numpy's zeros it is memory that was never written, which the system backs by one page of zeros, so that
// reading it costs next to nothing; written memory is what a real program has.
func array(written bool) []int64 {
	a := make([]int64, elements)
	if written {
		for i := range a {
			a[i] = int64(i)
		}
	}
	return a
}

func putting(written bool) setup {
	return func(s *scene) (func() error, error) {
		a := array(written)
		return func() error {
			r, err := mobula.Put(s.ctx, a)
			r.Release()
			return err
		}, nil
	}
}

// copying copies the array to memory that was written before: what the machine can do at best.
func copying(threads int, written bool) setup {
	return func(*scene) (func() error, error) {
		from, to := array(written), array(true)
		part := len(from) / threads
		return func() error {
			var wg sync.WaitGroup
			for i := range threads {
				wg.Go(func() { copy(to[i*part:(i+1)*part], from[i*part:]) })
			}
			wg.Wait()
			return nil
		}, nil
	}
}

func multiPutGigabytes(s *scene) (func() error, error) {
	return func() error {
		return repeat(s.ctx, 10, func() mobula.Ref[struct{}] { return workload.PutLargeRemote(s.ctx, 10, 10<<20, s.placed()...) })
	}, nil
}

func getManyRefs(s *scene) (func() error, error) {
	r := workload.ManyRefsRemote(s.ctx, 10_000)
	return func() error {
		refs, err := r.Get(s.ctx)
		if err == nil && len(refs) != 10_000 {
			return errors.New("the object does not contain 10,000 refs")
		}
		return err
	}, nil
}

func waitManyRefs(s *scene) (func() error, error) {
	return func() error {
		waiting := make([]mobula.Ref[[]byte], 1000)
		for i := range waiting {
			waiting[i] = workload.SmallValueRemote(s.ctx)
		}
		for len(waiting) > 0 {
			var err error
			if _, waiting, err = mobula.Wait(s.ctx, waiting, 1, 0); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// tasks submits n tasks and gets their results.
func tasks(n int) setup {
	return func(s *scene) (func() error, error) {
		return func() error {
			refs := make([]mobula.Ref[[]byte], n)
			for i := range refs {
				refs[i] = workload.SmallValueRemote(s.ctx)
			}
			return workload.GetAll(s.ctx, refs)
		}, nil
	}
}

func multiTasks(s *scene) (func() error, error) {
	clients := make([]workload.ClientHandle, 4)
	for i := range clients {
		var err error
		if clients[i], err = s.client(); err != nil {
			return nil, err
		}
	}
	return func() error {
		refs := make([]mobula.Ref[struct{}], len(clients))
		for i, c := range clients {
			refs[i] = c.TasksRemote(s.ctx, 10_000)
		}
		return all(s.ctx, refs)
	}, nil
}

// actorCalls makes n calls of one actor, which runs as many of them at a time as it may, and gets their results.
func actorCalls(n, concurrency int) setup {
	return func(s *scene) (func() error, error) {
		h, err := s.server(mobula.MaxConcurrency(concurrency))
		return func() error {
			refs := make([]mobula.Ref[[]byte], n)
			for i := range refs {
				refs[i] = h.SmallValueRemote(s.ctx)
			}
			return workload.GetAll(s.ctx, refs)
		}, err
	}
}

func oneToMany(s *scene) (func() error, error) {
	servers, err := s.servers()
	if err != nil {
		return nil, err
	}
	c, err := s.client(servers...)
	return func() error {
		_, err := c.CallsRemote(s.ctx, 5000).Get(s.ctx)
		return err
	}, err
}

func manyToMany(s *scene) (func() error, error) {
	servers, err := s.servers()
	return func() error {
		return repeat(s.ctx, 4, func() mobula.Ref[struct{}] {
			return workload.CallServersRemote(s.ctx, servers, 5000, s.placed()...)
		})
	}, err
}

func manyToManyWithArg(s *scene) (func() error, error) {
	servers, err := s.servers()
	if err != nil {
		return nil, err
	}
	clients := make([]workload.ClientHandle, len(servers))
	for i, h := range servers {
		if clients[i], err = s.client(h); err != nil {
			return nil, err
		}
	}
	return func() error {
		refs := make([]mobula.Ref[struct{}], len(clients))
		for i, c := range clients {
			refs[i] = c.CallsWithArgRemote(s.ctx, 1000)
		}
		return all(s.ctx, refs)
	}, nil
}
