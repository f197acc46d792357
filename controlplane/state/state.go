package state

import (
	"errors"
	"fmt"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

// ErrHalt is matched by every HaltError.
var ErrHalt = errors.New("state machine halted")

// HaltError says that an entry was written by a newer version of these rules. Nothing of the entry was applied, and nothing after
// it may be.
type HaltError struct{ reason string }

// Error says what is unknown and what to do.
func (e *HaltError) Error() string {
	return "state machine halted: " + e.reason + "; run the version of mobula that wrote it, or a newer one"
}

// Is reports that every HaltError is ErrHalt.
func (e *HaltError) Is(target error) bool { return target == ErrHalt }

// Change is one record that a command made, changed or deleted, as watchers see it.
type Change struct {
	// Table and Key say where it is; Key is the table's own encoding, which prefixes from Prefix match.
	Table mobulav1.Table
	Key   string
	// Event is what watchers are sent. It is shared and must not be changed.
	Event *mobulav1.RecordEvent
}

// Outcome is what applying an entry did.
type Outcome struct {
	// Results answer the entry's batches, in order. They are shared with the state and must not be changed.
	Results []*mobulav1.BatchResult
	// Changes are in the order in which they happened; those of one command share a revision. Lineage is left out.
	Changes []Change
	// Effects says whether there are new effects.
	Effects bool
}

// State is the state of one shard. It is not safe for concurrent use: one goroutine applies, and takes Views for others.
type State struct {
	tables
	indexes

	// The rest is about the command or entry that is being applied.

	now     int64 // The entry's time.
	mutated bool  // Whether the command has advanced the revision.
	changes []Change
	effects bool
}

// tables is all that is in a snapshot and in the hash.
type tables struct {
	shard      uint32
	slots      Slots
	revision   uint64
	lastEffect uint64
	batches    uint64
	limits     *mobulav1.StateLimits
	sweeping   string // Ids of ended jobs whose lineage is being dropped, oldest first.

	nodes     tree[*mobulav1.NodeRecord]
	jobs      tree[*mobulav1.JobRecord]
	actors    tree[*mobulav1.ActorRecord]
	names     tree[*mobulav1.NameRecord]
	functions tree[*mobulav1.FunctionRecord]
	keys      tree[*mobulav1.KeyRecord]
	lineage   tree[*mobulav1.LineageRecord]
	clients   tree[*mobulav1.ClientRecord]
	results   tree[*mobulav1.ResultRecord]
	outbox    tree[*mobulav1.Effect]
}

// New returns the empty state of a shard that owns the given slots.
func New(shard uint32, slots Slots) *State {
	return &State{tables: tables{shard: shard, slots: slots, limits: DefaultLimits()}}
}

// Apply applies one entry of the log. The entry must not be changed afterwards: the state keeps parts of it. The error is a
// HaltError.
func (s *State) Apply(entry *mobulav1.LogEntry) (Outcome, error) {
	if err := checkKnown(entry); err != nil {
		return Outcome{}, err
	}
	s.now, s.changes, s.effects = entry.GetTimeUnixNs(), nil, false
	out := Outcome{Results: make([]*mobulav1.BatchResult, 0, len(entry.GetBatches()))}
	for _, b := range entry.GetBatches() {
		out.Results = append(out.Results, s.applyBatch(b))
	}
	s.sweepLineage()
	out.Changes, out.Effects = s.changes, s.effects
	s.changes = nil
	return out, nil
}

// Revision returns how many commands have changed the state.
func (s *State) Revision() uint64 { return s.revision }

// Limits returns the limits of the state, which must not be changed.
func (s *State) Limits() *mobulav1.StateLimits { return s.limits }

// checkKnown looks through the whole entry before anything of it is applied, so that a halt leaves no half.
func checkKnown(entry *mobulav1.LogEntry) error {
	if v := entry.GetVersion(); v != EntryVersion {
		return &HaltError{fmt.Sprintf("entry has version %d, this build knows %d", v, EntryVersion)}
	}
	for _, b := range entry.GetBatches() {
		for _, c := range b.GetCommands() {
			if c.GetKind() == nil {
				return &HaltError{fmt.Sprintf("command %d of client %x is unknown to this build", c.GetSequence(), b.GetClientId())}
			}
		}
	}
	return nil
}

// applyBatch applies each command of a batch once.
func (s *State) applyBatch(b *mobulav1.Batch) *mobulav1.BatchResult {
	results := make([]*mobulav1.CommandResult, 0, len(b.GetCommands()))
	if err := validateBatchHead(b); err != nil {
		for range b.GetCommands() {
			results = append(results, refuse(mobulav1.ResultCode_RESULT_CODE_INVALID_ARGUMENT, "%v", err))
		}
		return &mobulav1.BatchResult{Results: results}
	}
	client := s.openClient(b)
	for _, c := range b.GetCommands() {
		results = append(results, s.applyOnce(client, c))
	}
	s.forgetClients(client)
	return &mobulav1.BatchResult{Results: results}
}

// applyCommand applies a command that was not applied before.
func (s *State) applyCommand(c *mobulav1.Command) *mobulav1.CommandResult {
	var result *mobulav1.CommandResult
	s.mutated = false
	if err := validateCommand(c); err != nil {
		result = refuse(mobulav1.ResultCode_RESULT_CODE_INVALID_ARGUMENT, "%v", err)
	} else if slot, ok := s.ownsAll(c); !ok {
		result = refuse(mobulav1.ResultCode_RESULT_CODE_WRONG_SHARD, "shard %d does not own slot %d", s.shard, slot)
	} else {
		result = s.dispatch(c)
		s.prune()
	}
	result.Revision = s.revision
	return result
}

func (s *State) dispatch(c *mobulav1.Command) *mobulav1.CommandResult {
	switch k := c.GetKind().(type) {
	case *mobulav1.Command_RegisterNode:
		return s.registerNode(k.RegisterNode)
	case *mobulav1.Command_DrainNode:
		return s.drainNode(k.DrainNode)
	case *mobulav1.Command_MarkNodeDead:
		return s.markNodeDead(k.MarkNodeDead)
	case *mobulav1.Command_StartJob:
		return s.startJob(k.StartJob)
	case *mobulav1.Command_FinishJob:
		return s.finishJob(k.FinishJob)
	case *mobulav1.Command_CreateActor:
		return s.createActor(k.CreateActor)
	case *mobulav1.Command_MarkActorAlive:
		return s.markActorAlive(k.MarkActorAlive)
	case *mobulav1.Command_MarkActorDead:
		return s.markActorDead(k.MarkActorDead)
	case *mobulav1.Command_EndActor:
		return s.endActor(k.EndActor)
	case *mobulav1.Command_PutFunctions:
		return s.putFunctions(k.PutFunctions)
	case *mobulav1.Command_PutKey:
		return s.putKey(k.PutKey)
	case *mobulav1.Command_DeleteKey:
		return s.deleteKey(k.DeleteKey)
	case *mobulav1.Command_PutLineage:
		return s.putLineage(k.PutLineage)
	case *mobulav1.Command_DeleteLineage:
		return s.deleteLineage(k.DeleteLineage)
	case *mobulav1.Command_AckEffects:
		return s.ackEffects(k.AckEffects)
	case *mobulav1.Command_SetLimits:
		return s.setLimits(k.SetLimits)
	default:
		// validateCommand and checkKnown let nothing else through.
		return refuse(mobulav1.ResultCode_RESULT_CODE_INVALID_ARGUMENT, "unknown command")
	}
}

// ownsAll reports whether the shard owns every slot that the command touches, and if not, one that it does not.
func (s *State) ownsAll(c *mobulav1.Command) (uint8, bool) {
	own := func(slots ...uint8) (uint8, bool) {
		for _, slot := range slots {
			if !s.slots.Has(slot) {
				return slot, false
			}
		}
		return 0, true
	}
	switch k := c.GetKind().(type) {
	case *mobulav1.Command_CreateActor:
		return own(clusterSlot, SlotOf(k.CreateActor.GetActorId()))
	case *mobulav1.Command_MarkActorAlive:
		return own(clusterSlot, SlotOf(k.MarkActorAlive.GetActorId()))
	case *mobulav1.Command_MarkActorDead:
		return own(clusterSlot, SlotOf(k.MarkActorDead.GetActorId()))
	case *mobulav1.Command_EndActor:
		return own(clusterSlot, SlotOf(k.EndActor.GetActorId()))
	case *mobulav1.Command_PutLineage:
		for _, r := range k.PutLineage.GetRecords() {
			if slot, ok := own(SlotOf(r.GetTaskId())); !ok {
				return slot, false
			}
		}
		return own(clusterSlot)
	case *mobulav1.Command_DeleteLineage:
		for ids := k.DeleteLineage.GetTaskIds(); len(ids) > 0; ids = ids[idSize:] {
			if slot, ok := own(SlotOf(ids)); !ok {
				return slot, false
			}
		}
		return 0, true
	case *mobulav1.Command_SetLimits:
		return 0, true
	default:
		return own(clusterSlot)
	}
}

// setLimits replaces the limits; what they no longer allow is pruned after the command.
func (s *State) setLimits(c *mobulav1.SetLimits) *mobulav1.CommandResult {
	s.advance()
	s.limits = c.GetLimits()
	return ok()
}

// advance begins the command's revision at its first change.
func (s *State) advance() uint64 {
	if !s.mutated {
		s.mutated = true
		s.revision++
	}
	return s.revision
}

func ok() *mobulav1.CommandResult {
	return &mobulav1.CommandResult{Code: mobulav1.ResultCode_RESULT_CODE_OK}
}

func refuse(code mobulav1.ResultCode, format string, args ...any) *mobulav1.CommandResult {
	return &mobulav1.CommandResult{Code: code, Message: fmt.Sprintf(format, args...)}
}
