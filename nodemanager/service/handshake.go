package service

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/internal/wire"
	"github.com/mobula-dev/mobula/nodemanager/objectstore"
	"github.com/mobula-dev/mobula/nodemanager/workerpool"
)

// helloTimeout is how long a client may take to say hello.
const helloTimeout = 5 * time.Second

// refusal is why a session cannot be; the client is told.
type refusal struct{ value *mobulav1.ErrorValue }

// Error implements error.
func (r *refusal) Error() string { return r.value.GetMessage() }

func refuse(kind mobulav1.ErrorKind, hint, format string, args ...any) error {
	return &refusal{value: &mobulav1.ErrorValue{Kind: kind, Message: fmt.Sprintf(format, args...), Hint: hint}}
}

// handshake reads Hello, answers it, and serves the session to its end. w is the worker to whose process the connection belongs, or nil.
func (n *Node) handshake(nc net.Conn, w *worker) error { return n.handshakeAs(nc, w, false) }

func (n *Node) handshakeAs(nc net.Conn, w *worker, owner bool) error {
	conn := wire.NewConn(nc, 0)
	s := &session{conn: conn, worker: w, sent: make(map[uint32]bool), segments: make(map[uint32]bool)}
	stop := context.AfterFunc(n.ctx, func() { conn.Fail(context.Canceled) })
	defer stop()
	timer := time.AfterFunc(helloTimeout, func() { conn.Fail(errors.New("no hello within 5 s")) })
	err := n.hello(s, owner)
	timer.Stop()
	if r, ok := errors.AsType[*refusal](err); ok {
		if conn.Send(mobulav1.FrameKind_FRAME_KIND_REFUSED, &mobulav1.Refused{Error: r.value}) == nil {
			err = errors.Join(err, conn.Flush())
		}
	}
	if err != nil {
		conn.DropFiles()
		_ = conn.Close() // the refusal is what counts
		return err
	}
	n.serve(s)
	return nil
}

// hello reads and checks the first frame and opens the session.
func (n *Node) hello(s *session, owner bool) error {
	kind, payload, err := s.conn.ReadFrame()
	if err != nil {
		return fmt.Errorf("read hello: %w", err)
	}
	if kind != mobulav1.FrameKind_FRAME_KIND_HELLO {
		return &wire.ProtocolError{Reason: fmt.Sprintf("%v in place of Hello", kind)}
	}
	h := new(mobulav1.Hello)
	if err := h.UnmarshalVT(payload); err != nil {
		return &wire.ProtocolError{Reason: "hello: " + err.Error()}
	}
	var executable *os.File
	if h.GetHasExecutable() {
		if executable, err = s.conn.TakeFile(); err != nil {
			return err
		}
	}
	if err := n.admit(s, h, owner); err != nil {
		return err
	}
	s.pid, s.wantsLogs, s.flow.mayPushBytes = h.GetPid(), h.GetWantsLogs(), h.GetResultCreditBytes()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.now = n.clock()
	if n.closed {
		return refuse(mobulav1.ErrorKind_ERROR_KIND_UNAVAILABLE, "", "the node is shutting down")
	}
	if s.worker != nil {
		err = n.openWorker(s, h)
	} else {
		err = n.openDriver(s, h, executable, owner)
	}
	if err != nil {
		return err
	}
	n.welcome(s)
	n.settle()
	for _, d := range n.takeDirty(nil) {
		d.conn.TryFlush()
	}
	return nil
}

// admit checks who the peer is.
func (n *Node) admit(s *session, h *mobulav1.Hello, owner bool) error {
	if h.GetProtocolVersion() != wire.ProtocolVersion {
		return refuse(mobulav1.ErrorKind_ERROR_KIND_INVALID_ARGUMENT, "build the program with the node's version of Mobula",
			"the client speaks protocol %d (build %s), the node %d (build %s)", h.GetProtocolVersion(), h.GetBuild(), wire.ProtocolVersion, n.cfg.Build)
	}
	if err := samePeer(s.conn.NetConn(), max(h.GetPid(), 1)); err != nil {
		return refuse(mobulav1.ErrorKind_ERROR_KIND_PERMISSION_DENIED, "run the program as the user who started the node", "%v", err)
	}
	var want []byte
	switch {
	case s.worker != nil && h.GetRole() == mobulav1.Role_ROLE_WORKER:
		secret := s.worker.process.Secret()
		want = secret[:]
	case s.worker == nil && h.GetRole() == mobulav1.Role_ROLE_DRIVER && owner:
		return nil // it holds the other end of the descriptor that the node was born with
	case s.worker == nil && h.GetRole() == mobulav1.Role_ROLE_DRIVER:
		want = n.cfg.Secret
	default:
		return refuse(mobulav1.ErrorKind_ERROR_KIND_PERMISSION_DENIED, "", "role %v is not for this connection", h.GetRole())
	}
	if len(want) == 0 || subtle.ConstantTimeCompare(want, h.GetSecret()) != 1 {
		return refuse(mobulav1.ErrorKind_ERROR_KIND_PERMISSION_DENIED, "use the address that mobula up printed", "the client's secret is not that of the node")
	}
	return nil
}

// openWorker attaches a worker's session.
func (n *Node) openWorker(s *session, h *mobulav1.Hello) error {
	w := s.worker
	if h.GetLanguage() != w.language {
		err := refuse(mobulav1.ErrorKind_ERROR_KIND_INVALID_ARGUMENT, "", "a %v worker was started, and a %v worker came", w.language, h.GetLanguage())
		n.startFailed(w.job, err)
		w.refused = true
		return err
	}
	if stale := staleFunctions(w.job.functions, h.GetFunctions()); w.language == w.job.language && len(stale) > 0 {
		err := refuse(mobulav1.ErrorKind_ERROR_KIND_STALE_STUBS, "run go generate, build, and start the program again",
			"the driver's stubs do not match what the worker serves: %s", strings.Join(stale, ", "))
		n.startFailed(w.job, err)
		w.refused = true
		return err
	}
	s.job = w.job
	w.session, w.ready = s, true
	n.register(s)
	n.sched.WorkerStarted(w.sched, n.now)
	return nil
}

// staleFunctions lists the functions of the driver's stubs that the worker does not serve as they are, at most 20.
func staleFunctions(want map[string]uint64, have []*mobulav1.FunctionInfo) []string {
	served := make(map[string]uint64, len(have))
	for _, f := range have {
		served[f.GetName()] = f.GetFingerprint()
	}
	var stale []string
	for name, fingerprint := range want {
		if got, ok := served[name]; !ok {
			stale = append(stale, name+" (missing)")
		} else if got != fingerprint {
			stale = append(stale, name+" (signature changed)")
		}
	}
	slices.Sort(stale)
	const most = 20
	if len(stale) > most {
		stale = append(stale[:most], fmt.Sprintf("and %d more", len(stale)-most))
	}
	return stale
}

// openDriver starts a job for a driver's session.
func (n *Node) openDriver(s *session, h *mobulav1.Hello, executable *os.File, owner bool) error {
	if reason := badEnv(h.GetWorkerEnv()); reason != "" {
		return refuse(mobulav1.ErrorKind_ERROR_KIND_INVALID_ARGUMENT, "", "the environment of the job's workers: %s", reason)
	}
	if n.draining != "" {
		return refuse(mobulav1.ErrorKind_ERROR_KIND_UNAVAILABLE, "use another node", "the node takes no new work: %s", n.draining)
	}
	if len(h.GetNamespace()) > n.limits.name {
		return refuse(mobulav1.ErrorKind_ERROR_KIND_INVALID_ARGUMENT, "", "namespace is longer than %d bytes", n.limits.name)
	}
	if _, err := parseRuntimeEnv(h.GetWorkerEnv()[envRuntime]); err != nil {
		return refuse(mobulav1.ErrorKind_ERROR_KIND_RUNTIME_ENV, "", "%v", err)
	}
	if h.GetLanguage() == mobulav1.Language_LANGUAGE_PYTHON && len(h.GetWorkerArgs()) == 0 {
		return refuse(mobulav1.ErrorKind_ERROR_KIND_INVALID_ARGUMENT, "", "a Python driver names the interpreter of its workers in worker_args")
	}
	j := &job{
		program: h.GetProgram(), language: h.GetLanguage(), driver: s, executable: executable,
		workerArgs: h.GetWorkerArgs(), workingDir: h.GetWorkingDir(), env: h.GetWorkerEnv(),
		functions: make(map[string]uint64, len(h.GetFunctions())), templates: make(map[string]*template),
		envs: make(map[string]map[string]string), started: time.Now().UnixNano(), maxBytes: n.cfg.JobBytes, maxTasks: n.cfg.JobTasks,
		ownsNode: owner && h.GetOwnsNode(),
	}
	_, _ = rand.Read(j.id[:]) // never fails: crypto/rand ends the process instead
	if j.namespace = h.GetNamespace(); j.namespace == "" {
		j.namespace = "anonymous-" + j.id.String()[:12]
	}
	for _, f := range h.GetFunctions() {
		j.functions[f.GetName()] = f.GetFingerprint()
	}
	j.sched = n.sched.NewJob(j)
	n.jobs[j.id] = j
	s.job = j
	n.register(s)
	n.recordJobStart(j, h.GetPid())
	n.prestart(j)
	return nil
}

// register gives a session its number.
func (n *Node) register(s *session) {
	n.nextSession++
	s.id = n.nextSession
	n.sessions[s.id] = s
	if err := n.store.Open(objectstore.Session(s.id), s.job.id); err != nil {
		panic("invariant: " + err.Error())
	}
}

// welcome answers Hello.
func (n *Node) welcome(s *session) {
	var root [8]byte
	_, _ = rand.Read(root[:]) // never fails: crypto/rand ends the process instead
	s.flow.grantedBytes, s.flow.grantedCount, s.flow.grantedItemBytes = creditWindow, creditCount, creditWindow
	n.send(s, mobulav1.FrameKind_FRAME_KIND_WELCOME, &mobulav1.Welcome{
		NodeId: n.id[:], SessionId: uint64(s.id), JobId: s.job.id[:], IdRoot: root[:], Build: n.cfg.Build, Namespace: s.job.namespace,
		Address: n.cfg.Address, NodePid: int32(os.Getpid()), CreditBytes: creditWindow, CreditCount: creditCount, ItemCreditBytes: creditWindow,
		Limits: &mobulav1.Limits{
			FrameBytes: wire.MaxPayload, InlineBytes: 100 << 10, NameBytes: uint32(n.limits.name), Args: uint32(n.limits.args),
			Returns: n.limits.returns, RefsPerValue: 40_000, JobBytes: n.cfg.JobBytes, JobTasks: uint64(n.cfg.JobTasks), StoreBytes: n.cfg.StoreBytes,
		},
	})
}

// sessionEnded drops what a session held; a driver's job ends with it.
func (n *Node) sessionEnded(s *session, err error) {
	n.locked(func() {
		delete(n.sessions, s.id)
		if err != nil && !n.closed {
			n.log.Info("session ended", "session", s.String(), "error", err)
		}
		if s.worker == nil && s.job.ownsNode && n.cfg.OwnerGone != nil {
			n.cfg.OwnerGone() // the whole node ends: nothing needs to be given back
			return
		}
		n.dir.SessionGone(s.id)
		n.settle() // frees what it held before the store forgets it
		n.store.SessionGone(objectstore.Session(s.id))
		for _, a := range n.actors {
			a.callerGone(s.id)
		}
		if w := s.worker; w != nil {
			w.session = nil
			switch {
			case w.exit != nil:
				n.workerEnded(w.id, *w.exit)
			case n.workers[w.id] == w:
				n.sched.Retire(w.sched, n.now) // nothing new goes to it; another one is started
				n.killWorkerSoon(w)
			}
		} else {
			n.endJob(s.job, err)
		}
		n.readerGone()
		n.collectCircles(s.job)
	})
}

// lostGrace is how long a process whose session has ended may take to end by itself.
const lostGrace = time.Second

// killWorkerSoon ends a process whose session has ended, if it does not end by itself, with a reason that is better than ours.
func (n *Node) killWorkerSoon(w *worker) {
	time.AfterFunc(lostGrace, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.closed || n.workers[w.id] != w {
			return
		}
		if err := n.pool.Stop(w.id, workerStopGrace, workerpoolCause(w)); err != nil && !errors.Is(err, workerpool.ErrNotRunning) {
			n.log.Error("worker without a session could not be stopped", "pid", w.pid(), "error", err)
		}
	})
}

// sortedIDs returns ids in order, so that nothing depends on a map's.
func sortedIDs[K id.Actor | id.Worker, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b K) int { return bytes.Compare(a[:], b[:]) })
	return keys
}
