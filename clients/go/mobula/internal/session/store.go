package session

import (
	"context"
	"errors"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

type store struct{}

func (*store) init(*Session)    {}
func (*store) close()           {}
func (*store) failLocked(error) {}
func (*store) frameLocked(mobulav1.FrameKind, []byte) error {
	return errors.New("store")
}

func (s *Session) Store(ctx context.Context, size int, write func([]byte) error, b Blocker) (*mobulav1.Block, error) {
	return nil, errors.New("store")
}
func (s *Session) Mapped(*mobulav1.Block) ([]byte, error) { return nil, errors.New("store") }
