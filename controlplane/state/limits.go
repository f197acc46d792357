package state

import (
	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

// Bounds on single commands and records. They are part of the rules by which entries are applied, so a change of one needs a new
// EntryVersion.
const (
	// MaxName is the longest name, namespace, key, address or label in bytes.
	MaxName = 256
	// MaxValue is the longest value of a key in bytes.
	MaxValue = 1 << 20
	// MaxLineageSpec is the longest lineage spec in bytes; larger arguments become objects.
	MaxLineageSpec = 4 << 10
	// MaxActorSpec is the longest actor spec in bytes.
	MaxActorSpec = 64 << 10
	// MaxMessage is the longest text for people in bytes.
	MaxMessage = 4 << 10
	// MaxBatchBytes is the largest batch: below the 4 MiB that a gRPC server takes by default, and room for the largest value.
	MaxBatchBytes = 3 << 20
	// MaxBatch is the most commands in a batch, functions or lineage records in a command.
	MaxBatch = 4096
	// MaxEpoch is the highest epoch that a node may ask for, so that there is always a next one.
	MaxEpoch = 1 << 62
	// MaxLabels is the most labels or resources of a node.
	MaxLabels = 64
)

// EntryVersion is the version of the rules in this package. Entries of a newer one halt the state machine.
const EntryVersion = 1

// idSize is the length of node, job, actor, task, worker and client ids.
const idSize = 16

// DefaultLimits returns the limits of a new state. The worst case that they allow is about 1 GB, nearly all of it keys and
// lineage.
func DefaultLimits() *mobulav1.StateLimits {
	return &mobulav1.StateLimits{
		DeadNodes:        1000,
		EndedJobs:        1000,
		DeadActors:       10_000,
		Clients:          4096,
		ResultsPerClient: 2 * MaxBatch, // A batch that is repeated must find all its results.
		Results:          1 << 18,      // Some 60 MB.
		KeyBytes:         256 << 20,
		LineageBytes:     512 << 20,
		Effects:          1 << 16,
		LiveActors:       1 << 20,
		FunctionsPerJob:  16 << 10,
	}
}

// validateLimits refuses limits under which the state could not keep its promises.
func validateLimits(l *mobulav1.StateLimits) error {
	switch {
	case l == nil:
		return invalid("limits are missing")
	case l.GetDeadNodes() == 0, l.GetEndedJobs() == 0, l.GetDeadActors() == 0, l.GetClients() == 0, l.GetKeyBytes() == 0,
		l.GetLineageBytes() == 0, l.GetEffects() == 0, l.GetLiveActors() == 0, l.GetFunctionsPerJob() == 0:
		return invalid("a limit is zero")
	case l.GetResultsPerClient() < MaxBatch || l.GetResults() < l.GetResultsPerClient():
		return invalid("results_per_client must be at least %d, the size of a batch, and results at least as much", MaxBatch)
	}
	return nil
}
