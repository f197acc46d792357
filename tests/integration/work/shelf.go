package work

import (
	"context"

	"github.com/mobula-dev/mobula/clients/go/mobula"
)

// Shelf is an actor that keeps what programs give it.
//
//mobula:actor
type Shelf struct {
	kept []mobula.Ref[[]byte]
}

// NewShelf makes an empty shelf.
func NewShelf() *Shelf { return &Shelf{} }

// Keep keeps refs and returns how many there are.
func (s *Shelf) Keep(refs []mobula.Ref[[]byte]) int {
	s.kept = append(s.kept, refs...)
	return len(s.kept)
}

// Kept returns the refs that are kept.
func (s *Shelf) Kept() []mobula.Ref[[]byte] { return s.kept }

// Sizes returns how long the values are that are kept.
func (s *Shelf) Sizes(ctx context.Context) ([]int, error) {
	sizes := make([]int, len(s.kept))
	for i, r := range s.kept {
		v, err := r.Get(ctx)
		if err != nil {
			return nil, err
		}
		sizes[i] = len(v)
	}
	return sizes, nil
}

// Make returns so many bytes.
func (s *Shelf) Make(n int) []byte { return make([]byte, n) }

// Size returns how many bytes it was given.
func (s *Shelf) Size(b []byte) int { return len(b) }

// Put puts so many bytes and returns their ref, beside that of a task which makes as many.
func (s *Shelf) Put(ctx context.Context, n int) ([]mobula.Ref[[]byte], error) {
	put, err := mobula.Put(ctx, make([]byte, n))
	return []mobula.Ref[[]byte]{put, MakeRemote(ctx, n)}, err
}

// Clear drops what is kept.
func (s *Shelf) Clear() {
	for _, r := range s.kept {
		r.Release()
	}
	s.kept = nil
}
