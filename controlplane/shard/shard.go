package shard

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"

	"github.com/mobula-dev/mobula/controlplane/state"
	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

const (
	// raftTimeout is how long a server waits for its leader. An only voter does not wait at all: Open tells it to stand for election
	// at once, so that these may be the timeouts of a cluster and cost an idle process next to nothing.
	raftTimeout = time.Second
	// standTimeout bounds the wait for Raft to take notice that it shall stand for election.
	standTimeout = time.Second
	// closeTimeout bounds Close when the disk hangs.
	closeTimeout = 5 * time.Second
	// loopsTimeout bounds the wait for the committer and the reader of rounds once Raft has stopped.
	loopsTimeout = time.Second
	// trailingLogs are the entries that stay in the log behind a snapshot, for followers that lag a little.
	trailingLogs = 256
	// keptSnapshots is how many snapshots stay on the disk.
	keptSnapshots = 2
)

// Shard is a running shard. Its methods may be called from any goroutine.
type Shard struct {
	cfg   Config
	id    identity
	fsm   *fsm
	raft  *raft.Raft
	store *store
	trans raft.Transport
	lock  *os.File // nil in memory.
	queue *queue
	reads *rounds
	watch *watch // Of the committer; that of the reader of rounds is its own.

	closing   context.Context // Ends when Close begins.
	close     context.CancelFunc
	wg        sync.WaitGroup
	closeOnce sync.Once
	closeErr  error

	unsnapped    int // Bytes of log since the last snapshot; owned by the committer.
	snapshotting atomic.Bool
}

// Open starts the shard and returns when it serves reads and writes. It creates the directory on the first start.
func Open(ctx context.Context, cfg Config) (*Shard, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("open shard %d: %w", cfg.Number, context.Cause(ctx))
	}
	s := &Shard{cfg: cfg, queue: newQueue(cfg.QueueBytes, cfg.QueueBatches)}
	s.closing, s.close = context.WithCancel(context.Background())
	if err := s.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("open shard %d: %w", cfg.Number, err), s.Close())
	}
	s.reads, s.watch = newRounds(s), newWatch(&s.cfg, "write", s.queue.resume)
	s.wg.Go(s.commitLoop)
	s.wg.Go(s.reads.run)
	if err := s.lead(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open shard %d: %w", cfg.Number, err), s.Close())
	}
	return s, nil
}

// open reads what is on the disk and starts Raft.
func (s *Shard) open() error {
	conf := raft.DefaultConfig()
	conf.HeartbeatTimeout, conf.ElectionTimeout, conf.LeaderLeaseTimeout = raftTimeout, raftTimeout, raftTimeout
	conf.BatchApplyCh = false // Raft answers what it takes, but drops what is in its queue when it is shut down; the committer makes batches.
	conf.ShutdownOnRemove = false
	conf.TrailingLogs = trailingLogs
	conf.NoSnapshotRestoreOnStart = true // readSnapshot has done it.
	conf.NoLegacyTelemetry = true
	conf.Logger = &raftLogger{log: s.cfg.Logger}

	var d durable
	var snaps raft.SnapshotStore
	var err error
	if s.cfg.InMemory {
		d, snaps, err = s.openMemory(conf)
	} else {
		d, snaps, err = s.openDir(conf)
	}
	if err != nil {
		return err
	}
	s.store = newStore(d, s.cfg.Logger, s.cfg.fault)
	return s.startRaft(conf, snaps)
}

// startRaft starts the library, which panics on a log that it cannot read.
func (s *Shard) startRaft(conf *raft.Config, snaps raft.SnapshotStore) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = corrupt(filepath.Join(s.cfg.Dir, logFile), "%v", r)
		}
	}()
	s.raft, err = raft.NewRaft(conf, s.fsm, s.store, s.store, snaps, s.trans)
	if err != nil {
		return fmt.Errorf("start raft: %w", err)
	}
	return nil
}

// connect makes the transport of the only server, which talks to nobody but itself.
func (s *Shard) connect(conf *raft.Config) {
	conf.LocalID = raft.ServerID(s.id.ServerID)
	addr, trans := raft.NewInmemTransportWithTimeout(raft.ServerAddress(s.id.ServerID), standTimeout/10)
	trans.Connect(addr, trans)
	s.trans = trans
}

func (s *Shard) empty() *state.State { return state.New(s.cfg.Number, state.AllSlots()) }

func (s *Shard) openMemory(conf *raft.Config) (durable, raft.SnapshotStore, error) {
	s.id = newIdentity(s.cfg.Number)
	s.connect(conf)
	s.fsm = newFSM(s.empty(), s.cfg.HistoryBytes)
	d, snaps := memory{raft.NewInmemStore()}, raft.NewInmemSnapshotStore()
	return d, snaps, bootstrap(conf, d, snaps, s.trans)
}

// openDir locks the directory, and reads it or fills it.
func (s *Shard) openDir(conf *raft.Config) (durable, raft.SnapshotStore, error) {
	dir := s.cfg.Dir
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("create directory: %w", err)
	}
	var err error
	if s.lock, err = lockDir(dir); err != nil {
		return nil, nil, err
	}
	id, known, err := readIdentity(dir, s.cfg.Number)
	if err != nil {
		return nil, nil, err
	}
	logged, err := exists(filepath.Join(dir, logFile))
	if err != nil {
		return nil, nil, err
	}
	if known && !logged {
		return nil, nil, corrupt(filepath.Join(dir, logFile), "it is missing")
	}
	if !known {
		id = newIdentity(s.cfg.Number)
	}
	s.id = id
	s.connect(conf)
	snaps, err := raft.NewFileSnapshotStoreWithLogger(dir, keptSnapshots, conf.Logger)
	if err != nil {
		return nil, nil, fmt.Errorf("open snapshots: %w", err)
	}
	if !known {
		d, err := s.fill(conf, snaps, logged)
		return d, snaps, err
	}
	from, err := readSnapshot(dir, snaps, s.empty)
	if err != nil {
		return nil, nil, err
	}
	if _, err := checkLog(dir, from.index); err != nil {
		return nil, nil, err
	}
	s.fsm = newFSM(from.state, s.cfg.HistoryBytes)
	s.fsm.index = from.index
	d, err := openBolt(dir, logFile, false)
	if err != nil {
		return nil, nil, err
	}
	return d, snaps, nil
}

// fill makes a new log and writes shard.json, which says that the directory is in use. A log without shard.json is one of a first start
// that was cut off, as long as nothing but the first configuration is in it.
func (s *Shard) fill(conf *raft.Config, snaps raft.SnapshotStore, logged bool) (durable, error) {
	dir := s.cfg.Dir
	if logged {
		entries, err := checkLog(dir, 0)
		if err != nil {
			return nil, err
		}
		if entries > 1 {
			return nil, corrupt(filepath.Join(dir, identityFile), "it is missing, but the log holds %d entries", entries)
		}
		if err := os.Remove(filepath.Join(dir, logFile)); err != nil {
			return nil, fmt.Errorf("remove incomplete log: %w", err)
		}
	}
	if err := s.room(0); err != nil {
		return nil, err
	}
	s.fsm = newFSM(s.empty(), s.cfg.HistoryBytes)
	d, err := createLog(dir, conf, snaps, s.trans)
	if err != nil {
		return nil, err
	}
	if err := writeIdentity(dir, s.id); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// lead makes the only voter the leader, waits until the log is replayed, and proposes limits that differ.
func (s *Shard) lead(ctx context.Context) error {
	leading := s.raft.LeaderCh()
	s.stand()
	if err := s.elected(ctx, leading); err != nil {
		return err
	}
	if err := s.replay(ctx); err != nil {
		return err
	}
	view, _ := s.fsm.current()
	if s.cfg.Limits == nil || proto.Equal(view.Limits(), s.cfg.Limits) {
		return nil
	}
	client := []byte(randomID()[:16])
	result, err := s.Apply(ctx, &mobulav1.Batch{ClientId: client, Acked: 0, Commands: []*mobulav1.Command{{
		Sequence: 1, Kind: &mobulav1.Command_SetLimits{SetLimits: &mobulav1.SetLimits{Limits: s.cfg.Limits}},
	}}})
	if err != nil {
		return fmt.Errorf("set limits: %w", err)
	}
	if r := result.GetResults()[0]; r.GetCode() != mobulav1.ResultCode_RESULT_CODE_OK {
		return fmt.Errorf("set limits: %s", r.GetMessage())
	}
	return nil
}

// stand tells the only voter to stand for election now, instead of after a timeout during which no other server can turn up.
func (s *Shard) stand() {
	if !s.onlyVoter() {
		return
	}
	request := &raft.TimeoutNowRequest{RPCHeader: raft.RPCHeader{
		ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(s.id.ServerID), Addr: []byte(s.trans.LocalAddr()),
	}}
	// Without an answer the ordinary timeout does it.
	_ = s.trans.TimeoutNow(raft.ServerID(s.id.ServerID), s.trans.LocalAddr(), request, new(raft.TimeoutNowResponse))
}

// onlyVoter reports whether this server is the only voter of the group.
func (s *Shard) onlyVoter() bool {
	future := s.raft.GetConfiguration()
	if future.Error() != nil { // It does not wait for anybody.
		return false
	}
	voters := 0
	for _, server := range future.Configuration().Servers {
		if server.Suffrage == raft.Voter {
			voters++
		}
	}
	return voters == 1
}

// await waits for a future, which has no timeout of its own, as long as ctx. The goroutine ends when Raft answers, at the latest
// when it is shut down.
func await(ctx context.Context, f raft.Future) error {
	done := make(chan error, 1)
	go func() { done <- f.Error() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Status is what GetShard tells of the group.
type Status struct {
	Applied uint64 // Index of the last entry applied here.
	Term    uint64
	Leader  bool
}

// Status returns where the group stands.
func (s *Shard) Status() Status {
	_, index := s.fsm.current()
	return Status{Applied: index, Term: s.raft.CurrentTerm(), Leader: s.raft.State() == raft.Leader}
}

// Close stops the shard. Writes that are under way end with an UnknownError or with ErrClosed. It may be called more than once, and
// returns the first call's error; it gives up after five seconds if the disk hangs.
func (s *Shard) Close() error {
	s.closeOnce.Do(func() { s.closeErr = s.shutdown() })
	return s.closeErr
}

// awaitLoops waits for the goroutines of Open. One of them may wait for a future that Raft, which has stopped, will never answer: it drops what
// is in its queues. Nothing comes of that one any more, and its callers have been answered or will be by the watchdog.
func (s *Shard) awaitLoops() {
	ended := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(ended)
	}()
	timer := time.NewTimer(loopsTimeout)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
	}
}

func (s *Shard) shutdown() error {
	s.close()
	s.queue.close()
	if s.store != nil {
		s.store.stop()
	}
	var errs []error
	if s.raft != nil {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		if err := await(ctx, s.raft.Shutdown()); err != nil {
			// The store and the lock stay: somebody still uses them.
			return fmt.Errorf("close shard %d: raft does not stop: %w", s.cfg.Number, err)
		}
	}
	s.awaitLoops()
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close shard %d: %w", s.cfg.Number, err)
	}
	return nil
}
