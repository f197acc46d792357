package main

import (
	"context"
	"slices"

	"github.com/mobula-dev/mobula/clients/go/mobula"
	"github.com/mobula-dev/mobula/examples/wordindex/index"
)

// parts is the number of parts of the finished index. Each has a tree of merges of its own, so that even the last merges, at the roots,
// are as many as the CPUs of a small machine.
const parts = 8

// job is an index that is being made.
type job struct {
	// steps are the results that only other tasks of the job need. Those that are done leave the list: see advance.
	steps []step
	// parts has the parts of the finished index, and summaries their summaries.
	parts     [parts]mobula.Ref[*index.Index]
	summaries [parts]mobula.Ref[index.Summary]
	// tasks is the number of all tasks, and ended that of those which advance has seen to be done.
	tasks, ended int
	// read is the size of the files of the batches that advance has seen to be done.
	read int64
}

// step is a result on the way to the finished index.
type step struct {
	ref mobula.Ref[*index.Index]
	// bytes is the size of the files that were read for it; 0 for a merge.
	bytes int64
}

// start submits all tasks of the job at once. Results that are not there yet are the arguments of other tasks: the runtime starts each
// task when its arguments are there, and this program waits for none of them.
func start(ctx context.Context, c *corpus, batches []Batch, fan, top int) (*job, error) {
	packageOf, err := mobula.Put(ctx, c.packageOf) // sent once, and not with each call
	if err != nil {
		return nil, err
	}
	j := &job{}
	var indexes []mobula.Ref[*index.Index]
	for _, b := range batches {
		x := IndexFilesRemote(ctx, b)
		indexes = append(indexes, x)
		j.steps = append(j.steps, step{ref: x, bytes: b.Bytes})
	}
	for n := range j.parts {
		j.parts[n] = j.merge(ctx, index.Part{Number: n, Of: parts}, indexes, fan)
		j.summaries[n] = SummariseRefs(ctx, j.parts[n], packageOf, mobula.Val(top))
	}
	j.tasks = len(j.steps) + len(j.parts) + len(j.summaries)
	return j, nil
}

// merge submits a tree of merges that makes one part of an index from the indexes of all batches, and returns its root. At most fan
// indexes are merged at a time.
func (j *job) merge(ctx context.Context, part index.Part, indexes []mobula.Ref[*index.Index], fan int) mobula.Ref[*index.Index] {
	for {
		var merged []mobula.Ref[*index.Index]
		for group := range slices.Chunk(indexes, fan) {
			var from [mergeMax]mobula.Ref[*index.Index]
			for i := range from {
				from[i] = mobula.Val[*index.Index](nil)
			}
			copy(from[:], group)
			merged = append(merged, MergeRefs(ctx, mobula.Val(part), from[0], from[1], from[2], from[3]))
		}
		if len(merged) == 1 {
			return merged[0]
		}
		for _, x := range merged {
			j.steps = append(j.steps, step{ref: x})
		}
		indexes = merged
	}
}

// summary waits for the job and returns the summary of the whole index. When a task fails, so do all that need its result: every
// part needs every batch, and so the first wait returns the error.
func (j *job) summary(ctx context.Context, top int) (index.Summary, error) {
	var all [parts]index.Summary
	for n, ref := range j.summaries {
		var err error
		if all[n], err = ref.Get(ctx); err != nil {
			return index.Summary{}, err
		}
	}
	return index.Combine(top, all[:]...), nil
}

// advance looks which tasks are done, for the progress bar, and releases results that are not needed any more: their memory then serves the
// next ones. It must not run concurrently with itself.
func (j *job) advance() {
	waiting := j.steps[:0]
	for _, s := range j.steps {
		if !s.ref.Ready() {
			waiting = append(waiting, s)
			continue
		}
		s.ref.Release() // a task that still needs it holds it
		j.read += s.bytes
	}
	j.steps = waiting
	j.ended = j.tasks - len(j.steps)
	for n := range j.parts {
		if !j.parts[n].Ready() {
			j.ended--
		}
		if !j.summaries[n].Ready() {
			j.ended--
		}
	}
}
