package main

import (
	"context"
	"sync"

	"github.com/mobula-dev/mobula/examples/wordindex/index"
)

// These are the functions that run as tasks. They are ordinary functions: the comment above each makes go generate write a stub
// beside it, IndexFilesRemote for IndexFiles, which submits a call in place of making it. See job.go for the calls.

// builders are kept for the next task: the tasks of a job share a process, which stays.
var builders = sync.Pool{New: func() any { return index.NewBuilder() }}

// IndexFiles returns the index of the files of a batch.
//
//mobula:remote
func IndexFiles(ctx context.Context, batch Batch) (*index.Index, error) {
	b, _ := builders.Get().(*index.Builder)
	defer builders.Put(b)
	b.Reset()
	if err := batch.read(ctx, func(number int, text []byte) { b.Add(uint32(number), text) }); err != nil {
		return nil, err
	}
	return b.Index(), nil
}

// Merge returns one part of up to four indexes as one; those that are nil are left out. The arguments are views of shared memory: a
// task reads its part of them where they lie, and pays for nothing else.
//
//mobula:remote
func Merge(part index.Part, a, b, c, d *index.Index) *index.Index {
	from := make([]*index.Index, 0, mergeMax)
	for _, x := range []*index.Index{a, b, c, d} {
		if x != nil {
			from = append(from, x)
		}
	}
	return index.Merge(part, from...)
}

// mergeMax is how many indexes a call of Merge takes.
const mergeMax = 4

// Summarise returns the summary of a part of the index; packageOf has the number of each file's package.
//
//mobula:remote
func Summarise(part *index.Index, packageOf []uint32, top int) index.Summary {
	return index.Summarise(part, packageOf, top)
}
