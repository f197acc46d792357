package shard

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"
)

// durable is what raft needs from a disk.
type durable interface {
	raft.LogStore
	raft.StableStore
	io.Closer
}

// memory is a durable that forgets.
type memory struct{ *raft.InmemStore }

// Close does nothing.
func (memory) Close() error { return nil }

// Retries of a term or vote that could not be saved.
const (
	retryFirst = 20 * time.Millisecond
	retryMost  = time.Second
)

// store guards a durable. The Raft library panics when a term cannot be saved, which would turn a full disk into the end of the
// process: so saving is tried again until it works, and meanwhile there is no leader. What fails in the log is passed on; the
// library then steps down and elects anew.
//
// While the store closes, saving a term pretends to succeed. That binds nobody: the store takes no more log entries, and the transport sends
// nothing, so no vote or entry of that term leaves this process.
type store struct {
	durable
	log     *slog.Logger
	fault   func(op string) error // For tests: fails an operation by name. Never nil.
	closing chan struct{}

	mu    sync.Mutex
	saved map[string][]byte // What the durable holds for terms and votes; guarded by mu.
	last  error             // Why the last write failed; nil if it did not. Guarded by mu.
}

func newStore(d durable, log *slog.Logger, fault func(op string) error) *store {
	if fault == nil {
		fault = func(string) error { return nil }
	}
	return &store{durable: d, log: log, fault: fault, closing: make(chan struct{}), saved: make(map[string][]byte)}
}

// failure returns why the last write failed, or nil if it did not.
func (s *store) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// note remembers how the last write went.
func (s *store) note(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = err
}

// stop ends retries and refuses log entries from now on.
func (s *store) stop() { close(s.closing) }

func (s *store) stopped() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}

// StoreLog stores one entry.
func (s *store) StoreLog(l *raft.Log) error { return s.StoreLogs([]*raft.Log{l}) }

// StoreLogs stores entries, all or none.
func (s *store) StoreLogs(logs []*raft.Log) error {
	if s.stopped() {
		return ErrClosed
	}
	err := s.fault("store logs")
	if err == nil {
		err = s.durable.StoreLogs(logs)
	}
	s.note(err)
	return err
}

// Set saves a value, however long it takes.
func (s *store) Set(key, value []byte) error {
	return s.save(key, value, func() error { return s.durable.Set(key, value) })
}

// SetUint64 saves a number, however long it takes.
func (s *store) SetUint64(key []byte, n uint64) error {
	return s.save(key, fmt.Appendf(nil, "%d", n), func() error { return s.durable.SetUint64(key, n) })
}

// save saves what is not saved already. The library saves its term at each start although it has just read it: skipping that makes a
// start on a full disk possible.
func (s *store) save(key, value []byte, write func() error) error {
	s.mu.Lock()
	same := bytes.Equal(s.saved[string(key)], value)
	s.mu.Unlock()
	if same {
		return nil
	}
	for wait := retryFirst; ; wait = min(2*wait, retryMost) {
		err := s.fault("save")
		if err == nil {
			err = write()
		}
		s.note(err)
		if err == nil {
			s.remember(key, value)
			return nil
		}
		s.log.Warn("raft state cannot be saved, trying again", "key", string(key), "error", err)
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-s.closing:
			timer.Stop()
			return nil
		}
	}
}

func (s *store) remember(key, value []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.saved[string(key)] = bytes.Clone(value)
}

// GetUint64 reads a number and remembers that it is saved.
func (s *store) GetUint64(key []byte) (uint64, error) {
	n, err := s.durable.GetUint64(key)
	if err == nil {
		s.remember(key, fmt.Appendf(nil, "%d", n))
	}
	return n, err
}

// isFull reports whether an error says that there is no room on the disk.
func isFull(err error) bool {
	return errors.Is(err, ErrDiskFull) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}

const logFile = "raft.db"

// boltOptions are for a file whose list of free pages is rebuilt at open instead of written with each commit, which is what makes
// appends slow after a burst; mapping it large from the start spares remapping, and takes no memory.
func boltOptions(readOnly bool) *bbolt.Options {
	return &bbolt.Options{
		Timeout:         time.Second,
		NoFreelistSync:  true,
		FreelistType:    bbolt.FreelistMapType,
		InitialMmapSize: 64 << 20,
		ReadOnly:        readOnly,
	}
}

func openBolt(dir, name string, readOnly bool) (*raftboltdb.BoltStore, error) {
	s, err := raftboltdb.New(raftboltdb.Options{Path: filepath.Join(dir, name), BoltOptions: boltOptions(readOnly)})
	if err != nil {
		return nil, fmt.Errorf("open log %s: %w", filepath.Join(dir, name), err)
	}
	return s, nil
}
