// Package controlplane is the part of Mobula that remembers: which nodes, jobs, actors, names, functions and keys there are, and how
// lost tasks are run again. It is what survives when everything else restarts.
//
// The package wires three layers. Package state decides, as a pure state machine; package shard makes its decisions durable and agreed upon,
// with Raft; package service speaks gRPC. Today one shard owns all 256 slots.
package controlplane

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/mobula-dev/mobula/controlplane/service"
	"github.com/mobula-dev/mobula/controlplane/shard"
	"github.com/mobula-dev/mobula/controlplane/state"
	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

// Config says how to run the control plane. The zero value needs a Dir.
type Config struct {
	// Dir is where the control plane keeps what it knows; it is created, and one process may use it at a time. Required unless
	// InMemory.
	Dir string
	// InMemory keeps everything in memory, for tests.
	InMemory bool
	// Logger gets what a person should know; nil discards it.
	Logger *slog.Logger
	// Limits bound what is remembered. They are kept with the state: nil leaves those that are there, which are
	// state.DefaultLimits at first. Fields that are zero are the defaults.
	Limits *mobulav1.StateLimits
	// QueueBytes bounds the writes that wait for the disk; beyond it they are refused. 0 is 64 MiB.
	QueueBytes int
	// HistoryBytes bounds the changes from which a watch can resume. 0 is 16 MiB.
	HistoryBytes int
	// SnapshotBytes is how much log is written before a snapshot replaces it. 0 is 64 MiB.
	SnapshotBytes int
	// DiskReserve is the room on the disk below which writes are refused. 0 is 32 MiB.
	DiskReserve uint64
	// DiskTimeout is how long a caller waits for a disk that does not answer; then writes are refused until it does. 0 is 3 s.
	DiskTimeout time.Duration
	// MaxStreams bounds the watches that are open at a time. 0 is 4,096.
	MaxStreams int
}

func (c Config) validate() error {
	if !c.InMemory && c.Dir == "" {
		return errors.New("control plane config: Dir is empty")
	}
	if c.QueueBytes < 0 || c.HistoryBytes < 0 || c.SnapshotBytes < 0 || c.DiskTimeout < 0 || c.MaxStreams < 0 {
		return errors.New("control plane config: a bound is negative")
	}
	return nil
}

// limits returns the limits with their defaults, or nil if those of the state shall stay.
func (c Config) limits() *mobulav1.StateLimits {
	if c.Limits == nil {
		return nil
	}
	limits := state.DefaultLimits()
	proto.Merge(limits, c.Limits)
	return limits
}

// Server is a running control plane.
type Server struct {
	shard   *shard.Shard
	handler *service.Handler
}

// Open starts the control plane and returns when it serves. A directory that another process uses is a shard.LockedError, one that
// is damaged a shard.CorruptError, and a disk that takes nothing shard.ErrDiskFull or shard.ErrDiskStalled.
func Open(ctx context.Context, cfg Config) (*Server, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	maxStreams := cfg.MaxStreams
	if maxStreams == 0 {
		maxStreams = 4096
	}
	s, err := shard.Open(ctx, shard.Config{
		Dir:           filepath.Join(cfg.Dir, "shard-0"),
		InMemory:      cfg.InMemory,
		Logger:        cfg.Logger,
		Limits:        cfg.limits(),
		QueueBytes:    cfg.QueueBytes,
		HistoryBytes:  cfg.HistoryBytes,
		SnapshotBytes: cfg.SnapshotBytes,
		DiskReserve:   cfg.DiskReserve,
		DiskTimeout:   cfg.DiskTimeout,
	})
	if err != nil {
		return nil, fmt.Errorf("open control plane: %w", err)
	}
	return &Server{shard: s, handler: service.New(s, maxStreams)}, nil
}

// Register makes a gRPC server serve the control plane. Call it before the server starts.
func (s *Server) Register(r grpc.ServiceRegistrar) {
	mobulav1.RegisterControlPlaneServiceServer(r, s.handler)
}

// Close stops the control plane: streams end, writes under way are answered. It may be called more than once and gives up after
// five seconds if the disk hangs. Stop the gRPC server as well; which of the two comes first does not matter.
func (s *Server) Close() error { return s.shard.Close() }
