package shard

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"

	"github.com/mobula-dev/mobula/controlplane/state"
)

const snapshotDir = "snapshots"

// recovered is what the newest snapshot holds: the state as of an entry of the log.
type recovered struct {
	state *state.State
	index uint64
}

// readSnapshot reads the newest snapshot, or returns an empty state if there is none. The Raft library would pass over a snapshot
// that it cannot read and go on with an older one; here that is an error.
func readSnapshot(dir string, snaps raft.SnapshotStore, empty func() *state.State) (recovered, error) {
	newest, err := newestSnapshot(filepath.Join(dir, snapshotDir))
	if err != nil || newest == "" {
		return recovered{state: empty()}, err
	}
	path := filepath.Join(dir, snapshotDir, newest)
	metas, err := snaps.List()
	if err != nil {
		return recovered{}, fmt.Errorf("list snapshots: %w", err)
	}
	if len(metas) == 0 || metas[0].ID != newest {
		return recovered{}, corrupt(path, "its meta.json cannot be read")
	}
	meta, source, err := snaps.Open(newest)
	if err != nil {
		return recovered{}, &CorruptError{Path: path, Err: err}
	}
	s, err := state.Restore(source)
	if err := errors.Join(err, source.Close()); err != nil {
		return recovered{}, &CorruptError{Path: path, Err: err}
	}
	return recovered{state: s, index: meta.Index}, nil
}

// newestSnapshot returns the name of the newest complete snapshot, "term-index-milliseconds", or "" if there is none, and
// removes what was left incomplete.
func newestSnapshot(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read snapshots: %w", err)
	}
	newest, best := "", [3]uint64{}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".tmp") {
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return "", fmt.Errorf("remove incomplete snapshot: %w", err)
			}
			continue
		}
		var at [3]uint64
		parts := strings.Split(e.Name(), "-")
		if !e.IsDir() || len(parts) != len(at) {
			continue
		}
		for i, p := range parts {
			if at[i], err = strconv.ParseUint(p, 10, 64); err != nil {
				return "", corrupt(filepath.Join(dir, e.Name()), "not the name of a snapshot")
			}
		}
		if newest == "" || at[0] > best[0] || (at[0] == best[0] && (at[1] > best[1] || (at[1] == best[1] && at[2] > best[2]))) {
			newest, best = e.Name(), at
		}
	}
	return newest, nil
}

// checkLog reads all that will be replayed from the log, the entries after the snapshot, and returns how many entries there are in all.
// Damage that bbolt would meet with a panic, a fault of the memory map or an older state of the file is an error here.
func checkLog(dir string, snapshotIndex uint64) (entries uint64, err error) {
	path := filepath.Join(dir, logFile)
	if err := checkMeta(path); err != nil {
		return 0, err
	}
	// A page that points beyond the end of the file faults; a page of nonsense panics. Both happen on this goroutine.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = corrupt(path, "%v", r)
		}
	}()
	s, err := openBolt(dir, logFile, true)
	if err != nil {
		return 0, err
	}
	entries, err = checkEntries(path, s, snapshotIndex)
	return entries, errors.Join(err, s.Close())
}

func checkEntries(path string, s *raftboltdb.BoltStore, snapshotIndex uint64) (uint64, error) {
	first, err := s.FirstIndex()
	if err != nil {
		return 0, &CorruptError{Path: path, Err: err}
	}
	last, err := s.LastIndex()
	if err != nil {
		return 0, &CorruptError{Path: path, Err: err}
	}
	switch {
	case last == 0 && snapshotIndex > 0:
		return 0, corrupt(path, "it is empty, but there is a snapshot of entry %d", snapshotIndex)
	case last > 0 && first > snapshotIndex+1:
		return 0, corrupt(path, "it begins at entry %d, but the newest snapshot ends at %d", first, snapshotIndex)
	}
	var term uint64
	for i := max(first, snapshotIndex+1); i <= last && last > 0; i++ {
		var l raft.Log
		if err := s.GetLog(i, &l); err != nil {
			return 0, corrupt(path, "entry %d: %w", i, err)
		}
		if l.Index != i || l.Term < term {
			return 0, corrupt(path, "entry %d says that it is entry %d of term %d, after term %d", i, l.Index, l.Term, term)
		}
		if l.Type == raft.LogCommand {
			if err := checkData(l.Data); err != nil {
				return 0, corrupt(path, "entry %d: %w", i, err)
			}
		}
		term = l.Term
	}
	if saved, err := s.GetUint64([]byte("CurrentTerm")); err == nil && saved < term {
		return 0, corrupt(path, "its term is %d, but an entry has term %d", saved, term)
	}
	return last, nil
}

// checkMeta reads the two meta pages with which a bbolt file begins and compares the size that the newer one states with that of the file.
// bbolt would go on with the older page if the newer one is damaged, and so lose the last commit; a torn write does not look
// like that, because a meta page's content is within one sector.
func checkMeta(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	defer f.Close() //nolint:errcheck // Only read.
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("stat log: %w", err)
	}
	pageSize, pages, err := readMeta(f, 0)
	if err != nil {
		return &CorruptError{Path: path, Err: err}
	}
	_, other, err := readMeta(f, pageSize)
	if err != nil {
		return &CorruptError{Path: path, Err: err}
	}
	if want := max(pages, other) * uint64(pageSize); uint64(info.Size()) < want {
		return corrupt(path, "it has %d bytes, but %d were written", info.Size(), want)
	}
	return nil
}

// readMeta reads the meta page at an offset: page size and number of pages.
func readMeta(f *os.File, offset int64) (pageSize int64, pages uint64, err error) {
	const (
		pageHead = 16 // Before the meta in its page.
		magic    = 0xED0CDAED
		sumAt    = 56 // After magic, version, page size, flags (4 bytes each), root (16), free list, pages, transaction (8 each).
	)
	buf := make([]byte, pageHead+sumAt+8)
	if _, err := f.ReadAt(buf, offset); err != nil {
		return 0, 0, fmt.Errorf("read meta page: %w", err)
	}
	meta := buf[pageHead:]
	order := binary.NativeEndian // As bbolt does.
	sum := fnv.New64a()
	sum.Write(meta[:sumAt]) // Never an error.
	if order.Uint32(meta) != magic || order.Uint64(meta[sumAt:]) != sum.Sum64() {
		return 0, 0, errors.New("the checksum of a meta page does not match")
	}
	return int64(order.Uint32(meta[8:])), order.Uint64(meta[40:]), nil
}
