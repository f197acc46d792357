//go:build !linux

package segment

import (
	"errors"
	"os"
)

// createFile makes a file in the temporary directory that is unlinked at once. Nothing can be sealed here: that nobody shrinks the
// file, or writes what is not his, rests on its name being gone and on the processes of one job trusting each other.
func createFile(name string) (*os.File, error) {
	f, err := os.CreateTemp("", name+"-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func seal(*os.File) error { return nil }

func checkSeals(*os.File) error { return nil }

func advise([]byte) {}

// zeros is what back writes.
var zeros [64 << 10]byte

// back takes room on the disk by writing zeros, so that a full disk is an error and not a signal.
func back(f *os.File, _ []byte, offset, n uint64) error {
	for n > 0 {
		k, err := f.WriteAt(zeros[:min(n, uint64(len(zeros)))], int64(offset))
		if err != nil {
			return errors.Join(ErrNoMemory, err)
		}
		offset, n = offset+uint64(k), n-uint64(k)
	}
	return nil
}
