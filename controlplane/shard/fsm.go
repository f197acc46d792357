package shard

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"

	"github.com/hashicorp/raft"

	"github.com/mobula-dev/mobula/controlplane/state"
	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

// The data of a log entry is a format byte, the CRC-32C of the rest (little-endian) and a LogEntry. The log store checks nothing
// that it reads back.
const (
	dataFormat = 1
	dataHead   = 5
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encodeEntry returns an entry as the log holds it.
func encodeEntry(e *mobulav1.LogEntry) ([]byte, error) {
	data := make([]byte, dataHead+e.SizeVT())
	data[0] = dataFormat
	if _, err := e.MarshalToSizedBufferVT(data[dataHead:]); err != nil {
		return nil, fmt.Errorf("encode entry: %w", err)
	}
	binary.LittleEndian.PutUint32(data[1:], crc32.Checksum(data[dataHead:], castagnoli))
	return data, nil
}

// checkData reports whether the data of a log entry is what was written.
func checkData(data []byte) error {
	switch {
	case len(data) < dataHead || data[0] != dataFormat:
		return errors.New("unknown format")
	case binary.LittleEndian.Uint32(data[1:]) != crc32.Checksum(data[dataHead:], castagnoli):
		return errors.New("checksum does not match")
	}
	return nil
}

// decodeEntry reads the data of a log entry.
func decodeEntry(data []byte) (*mobulav1.LogEntry, error) {
	if err := checkData(data); err != nil {
		return nil, err
	}
	e := new(mobulav1.LogEntry)
	if err := e.UnmarshalVT(data[dataHead:]); err != nil {
		return nil, fmt.Errorf("decode entry: %w", err)
	}
	return e, nil
}

// applied is what fsm.Apply answers.
type applied struct {
	results []*mobulav1.BatchResult
	err     error
}

// fsm connects the state machine to Raft. Raft calls Apply, Snapshot and Restore from one goroutine; everybody else reads views.
type fsm struct {
	changed signal // Fires after each entry.
	history *history

	mu     sync.Mutex
	state  *state.State // guarded by mu, as are the fields below.
	view   *state.View  // Of the state as it is now; nil if nobody has asked since it changed.
	index  uint64       // Of the last entry applied.
	halted error        // Why no more entries are applied.
}

var _ raft.FSM = (*fsm)(nil)

func newFSM(s *state.State, historyBytes int) *fsm {
	h := &history{limit: historyBytes}
	h.reset(s.Revision())
	return &fsm{state: s, history: h}
}

// Apply applies one committed entry. An entry that cannot be understood stops the machine for good: whatever is committed after it
// stays in the log, for a build that can.
func (f *fsm) Apply(l *raft.Log) any {
	defer f.changed.fire()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.halted != nil {
		return &applied{err: f.halted}
	}
	entry, err := decodeEntry(l.Data)
	if err != nil {
		f.halted = fmt.Errorf("log entry %d: %w", l.Index, err)
		return &applied{err: f.halted}
	}
	out, err := f.state.Apply(entry)
	if err != nil {
		f.halted = fmt.Errorf("log entry %d: %w", l.Index, err)
		return &applied{err: f.halted}
	}
	f.index, f.view = l.Index, nil
	f.history.append(out.Changes, f.state.Revision())
	return &applied{results: out.Results}
}

// Snapshot takes a view; writing it out runs beside Apply.
func (f *fsm) Snapshot() (raft.FSMSnapshot, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.halted != nil {
		return nil, f.halted // A snapshot would claim entries that were not applied.
	}
	return &snapshot{view: f.state.View()}, nil
}

// Restore replaces the state by a snapshot that the leader sent.
func (f *fsm) Restore(r io.ReadCloser) error {
	defer f.changed.fire()
	s, err := state.Restore(r)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state, f.view = s, nil
	f.history.reset(s.Revision())
	return nil
}

// current returns a view of the state as it is, and the index of the last entry in it.
func (f *fsm) current() (*state.View, uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.view == nil {
		f.view = f.state.View()
	}
	return f.view, f.index
}

func (f *fsm) haltedBy() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.halted
}

// snapshot is a view on its way to the disk.
type snapshot struct{ view *state.View }

// Persist writes the snapshot; Raft calls it beside Apply.
func (s *snapshot) Persist(sink raft.SnapshotSink) error {
	if err := s.view.WriteSnapshot(sink); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	return sink.Close()
}

// Release does nothing: the view goes with the last reference to it.
func (s *snapshot) Release() {}
