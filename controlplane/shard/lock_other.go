//go:build !unix

package shard

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
)

// lockDir makes this process the only one that uses the directory until the returned file is closed. Without file locks, the file
// that bbolt locks is the only guard.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "LOCK"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, errors.Join(&LockedError{Dir: dir}, fmt.Errorf("open lock: %w", err))
	}
	return f, nil
}

// freeBytes is not known here; a full disk is noticed when a write fails.
func freeBytes(string) (uint64, error) { return math.MaxUint64, nil }
