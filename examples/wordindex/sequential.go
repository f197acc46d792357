package main

import (
	"context"
	"fmt"
	"reflect"

	"github.com/mobula-dev/mobula/examples/wordindex/index"
)

// sequential makes the index and its summary in this process, one file after the other: the same code without Mobula. It is the
// shortest way, with no batches and nothing to merge.
func sequential(ctx context.Context, c *corpus, top int) (*index.Index, index.Summary, error) {
	x, err := IndexFiles(ctx, c.all())
	if err != nil {
		return nil, index.Summary{}, err
	}
	return x, Summarise(x, c.packageOf, top), nil
}

// compare returns an error if the job's index or summary is not that of the sequential run.
func (j *job) compare(ctx context.Context, got index.Summary, whole *index.Index, want index.Summary) error {
	for n, ref := range j.parts {
		part := index.Part{Number: n, Of: parts}
		if err := ref.View(ctx, func(x *index.Index) error { return x.Compare(whole, part) }); err != nil {
			return fmt.Errorf("compare part %d of the index with the sequential run's: %w", n, err)
		}
	}
	if !reflect.DeepEqual(got, want) {
		return fmt.Errorf("the summary is %+v, but the sequential run's %+v", got, want)
	}
	return nil
}
