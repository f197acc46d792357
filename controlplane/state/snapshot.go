package state

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

// A snapshot is a magic number and a version, then frames. A frame is the length of its payload, the CRC-32C of its payload (both
// little-endian, 4 bytes) and the payload, a SnapshotRecord. The header comes first; the records of each table follow in the order
// of their keys; the trailer has the number of frames and the hash of their payloads. Equal states have equal bytes.
const (
	snapshotMagic   = "mobula/s"
	snapshotVersion = 1
	// maxFrame is above the largest record, a key with a value of 1 MiB.
	maxFrame = MaxValue + 64<<10
)

// ErrSnapshot is matched by errors about snapshots that cannot be read: damaged, cut short, or of another version.
var ErrSnapshot = errors.New("unreadable snapshot")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Hash returns the SHA-256 of the state. Replicas that have applied the same entries have the same one. It reads everything.
func (v *View) Hash() [sha256.Size]byte {
	f := frames{hash: sha256.New()}
	f.writeAll(v)
	return [sha256.Size]byte(f.hash.Sum(nil))
}

// WriteSnapshot writes the state.
func (v *View) WriteSnapshot(w io.Writer) error {
	f := frames{hash: sha256.New(), w: bufio.NewWriterSize(w, 256<<10)}
	head := binary.LittleEndian.AppendUint32([]byte(snapshotMagic), snapshotVersion)
	if _, err := f.w.Write(head); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	f.writeAll(v)
	f.write(&mobulav1.SnapshotRecord{Kind: &mobulav1.SnapshotRecord_Trailer{
		Trailer: &mobulav1.SnapshotTrailer{Frames: f.count, Hash: f.hash.Sum(nil)},
	}})
	if f.err == nil {
		f.err = f.w.Flush()
	}
	if f.err != nil {
		return fmt.Errorf("write snapshot: %w", f.err)
	}
	return nil
}

// frames writes and hashes frames; after the first error it does nothing.
type frames struct {
	hash  hash.Hash
	w     *bufio.Writer // nil when only the hash is wanted.
	count uint64
	buf   []byte
	err   error
}

func (f *frames) writeAll(v *View) {
	f.write(&mobulav1.SnapshotRecord{Kind: &mobulav1.SnapshotRecord_Header{Header: &mobulav1.StateHeader{
		Shard: v.shard, Slots: v.slots[:], Revision: v.revision, LastEffect: v.lastEffect, Batches: v.batches,
		Limits: v.limits, SweepingJobs: []byte(v.sweeping),
	}}})
	for table := mobulav1.Table_TABLE_NODES; table <= mobulav1.Table_TABLE_LINEAGE; table++ {
		for _, r := range v.scan(table, "") {
			f.write(&mobulav1.SnapshotRecord{Kind: &mobulav1.SnapshotRecord_Record{Record: r}})
		}
	}
	for _, c := range v.clients.from("") {
		f.write(&mobulav1.SnapshotRecord{Kind: &mobulav1.SnapshotRecord_Client{Client: c}})
	}
	for _, r := range v.results.from("") {
		f.write(&mobulav1.SnapshotRecord{Kind: &mobulav1.SnapshotRecord_Result{Result: r}})
	}
	for _, e := range v.outbox.from("") {
		f.write(&mobulav1.SnapshotRecord{Kind: &mobulav1.SnapshotRecord_Effect{Effect: e}})
	}
}

func (f *frames) write(r *mobulav1.SnapshotRecord) {
	if f.err != nil {
		return
	}
	size := r.SizeVT()
	if cap(f.buf) < size {
		f.buf = make([]byte, 2*size)
	}
	payload := f.buf[:size]
	if _, f.err = r.MarshalToSizedBufferVT(payload); f.err != nil {
		return
	}
	f.count++
	f.hash.Write(payload) // Never an error.
	if f.w == nil {
		return
	}
	var head [8]byte
	binary.LittleEndian.PutUint32(head[:4], uint32(size))
	binary.LittleEndian.PutUint32(head[4:], crc32.Checksum(payload, castagnoli))
	if _, f.err = f.w.Write(head[:]); f.err == nil {
		_, f.err = f.w.Write(payload)
	}
}

// Restore reads a state that WriteSnapshot wrote; it may read beyond its end. Errors about the content match ErrSnapshot.
func Restore(r io.Reader) (*State, error) {
	in := bufio.NewReaderSize(r, 256<<10)
	head := make([]byte, len(snapshotMagic)+4)
	if _, err := io.ReadFull(in, head); err != nil {
		return nil, unreadable("read head: %w", err)
	}
	if string(head[:len(snapshotMagic)]) != snapshotMagic {
		return nil, unreadable("not a snapshot")
	}
	if v := binary.LittleEndian.Uint32(head[len(snapshotMagic):]); v != snapshotVersion {
		return nil, unreadable("version %d, this build knows %d", v, snapshotVersion)
	}
	var s *State
	sum := sha256.New()
	var payload []byte
	var err error
	for n := uint64(0); ; n++ {
		if payload, err = readFrame(in, payload); err != nil {
			return nil, unreadable("frame %d: %w", n, err)
		}
		record := new(mobulav1.SnapshotRecord)
		if err := record.UnmarshalVT(payload); err != nil {
			return nil, unreadable("frame %d: %w", n, err)
		}
		if t := record.GetTrailer(); t != nil {
			if s == nil || t.GetFrames() != n || string(t.GetHash()) != string(sum.Sum(nil)) {
				return nil, unreadable("trailer after %d frames does not match", n)
			}
			return s, nil
		}
		sum.Write(payload) // Never an error.
		if h := record.GetHeader(); h != nil && s == nil {
			s, err = fromHeader(h)
		} else {
			err = s.load(record)
		}
		if err != nil {
			return nil, unreadable("frame %d: %w", n, err)
		}
	}
}

func unreadable(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrSnapshot, fmt.Errorf(format, args...))
}

// readFrame returns the payload of the next frame, in buf if it fits.
func readFrame(r io.Reader, buf []byte) ([]byte, error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	size := binary.LittleEndian.Uint32(head[:4])
	if size > maxFrame {
		return nil, fmt.Errorf("length %d is above %d", size, maxFrame)
	}
	if uint32(cap(buf)) < size {
		buf = make([]byte, size)
	}
	payload := buf[:size]
	if _, err := io.ReadFull(r, payload); err != nil {
		return nil, err
	}
	if crc32.Checksum(payload, castagnoli) != binary.LittleEndian.Uint32(head[4:]) {
		return nil, errors.New("checksum does not match")
	}
	return payload, nil
}

func fromHeader(h *mobulav1.StateHeader) (*State, error) {
	if len(h.GetSlots()) != len(Slots{}) || len(h.GetSweepingJobs())%idSize != 0 {
		return nil, errors.New("malformed header")
	}
	if err := validateLimits(h.GetLimits()); err != nil {
		return nil, err
	}
	s := New(h.GetShard(), Slots(h.GetSlots()))
	s.revision, s.lastEffect, s.batches = h.GetRevision(), h.GetLastEffect(), h.GetBatches()
	s.limits, s.sweeping = h.GetLimits(), string(h.GetSweepingJobs())
	return s, nil
}

// load puts one record of a snapshot where it belongs. Ids are checked because indexes take them apart.
func (s *State) load(record *mobulav1.SnapshotRecord) error {
	if s == nil {
		return errors.New("the header is not first")
	}
	switch k := record.GetKind().(type) {
	case *mobulav1.SnapshotRecord_Record:
		return s.loadRecord(k.Record)
	case *mobulav1.SnapshotRecord_Client:
		if err := checkID("client_id", k.Client.GetClientId()); err != nil {
			return err
		}
		s.setClient(k.Client)
		return nil
	case *mobulav1.SnapshotRecord_Result:
		if err := checkID("client_id", k.Result.GetClientId()); err != nil {
			return err
		}
		if k.Result.GetResult() == nil {
			return errors.New("a result is missing")
		}
		s.results.set(string(k.Result.GetClientId())+ordinal(k.Result.GetSequence()), k.Result)
		return nil
	case *mobulav1.SnapshotRecord_Effect:
		if err := checkNode(k.Effect.GetNode()); err != nil {
			return err
		}
		s.outbox.set(string(k.Effect.GetNode().GetNodeId())+ordinal(k.Effect.GetId()), k.Effect)
		return nil
	default:
		return errors.New("unknown kind of record")
	}
}

func (s *State) loadRecord(r *mobulav1.Record) error {
	err := checkKey(KeyOf(r))
	switch k := r.GetKind().(type) {
	case *mobulav1.Record_Job:
		err = first(err, checkNode(k.Job.GetNode()))
	case *mobulav1.Record_Actor:
		err = first(err, checkID("job_id", k.Actor.GetJobId()), checkNode(k.Actor.GetNode()))
	case *mobulav1.Record_Lineage:
		err = first(err, checkID("job_id", k.Lineage.GetJobId()))
	}
	if err != nil {
		return err
	}
	s.store(r)
	return nil
}
