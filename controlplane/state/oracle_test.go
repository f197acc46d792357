package state

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

// drawCommand draws any command over few ids, so that they meet. Four times in five it speaks of the present epoch and incarnation,
// so that histories get somewhere, else of any.
func drawCommand(t *rapid.T, s *State) *mobulav1.Command {
	n := func(label string, from, to int) int { return rapid.IntRange(from, to).Draw(t, label) }
	node, job, actor := n("node", 1, 2), n("job", 10, 13), n("actor", 20, 25)
	name := rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "name")
	epoch, incarnation := uint64(n("epoch", 0, 3)), uint32(n("incarnation", 1, 3))
	if n("present", 0, 4) > 0 {
		if r, ok := s.nodes.get(string(id16(node))); ok {
			epoch = r.GetRef().GetEpoch()
		}
		if r, ok := s.actors.get(string(id16(actor))); ok {
			incarnation = r.GetIncarnation()
		}
	}
	switch n("kind", 0, 19) {
	case 0, 18, 19:
		return register(node, rapid.SampledFrom([]uint64{0, epoch}).Draw(t, "register"))
	case 1:
		return nodeDead(node, epoch)
	case 2:
		return drain(node)
	case 3, 4:
		return startJob(job, node, epoch)
	case 5:
		return finishJob(job)
	case 6, 7, 8:
		c := createActor(actor, job, node, epoch, name)
		c.Detached, c.MaxRestarts = rapid.Bool().Draw(t, "detached"), int32(n("restarts", -1, 2))
		c.GetIfExists = name != "" && rapid.Bool().Draw(t, "get")
		return create(c)
	case 9:
		return actorAlive(actor, incarnation, node, epoch)
	case 10:
		return actorDead(actor, incarnation, rapid.SampledFrom([]mobulav1.CauseKind{crashed, exited}).Draw(t, "cause"))
	case 11:
		return endActor(actor, rapid.Bool().Draw(t, "no restart"))
	case 12:
		return &mobulav1.Command{Kind: &mobulav1.Command_PutFunctions{PutFunctions: &mobulav1.PutFunctions{Functions: []*mobulav1.FunctionRecord{
			{JobId: id16(job), Name: "f" + name, Fingerprint: epoch},
		}}}}
	case 13:
		return putLineage(job, n("task", 40, 45), n("task", 40, 45))
	case 14:
		return &mobulav1.Command{Kind: &mobulav1.Command_DeleteLineage{DeleteLineage: &mobulav1.DeleteLineage{TaskIds: id16(n("task", 40, 45))}}}
	case 15:
		return &mobulav1.Command{Kind: &mobulav1.Command_AckEffects{AckEffects: &mobulav1.AckEffects{Node: ref(node, epoch), Through: uint64(n("through", 0, 20))}}}
	case 16:
		return setLimits(func(l *mobulav1.StateLimits) {
			l.DeadNodes, l.EndedJobs, l.DeadActors = 1, uint32(n("jobs kept", 1, 3)), 2
		})
	default:
		return drawKeyCommand(t)
	}
}

func drawKeyCommand(t *rapid.T) *mobulav1.Command {
	key := rapid.SampledFrom([]string{"k", "kk", "l"}).Draw(t, "key")
	version := uint64(rapid.IntRange(0, 12).Draw(t, "version"))
	if rapid.IntRange(0, 3).Draw(t, "delete") == 0 {
		return &mobulav1.Command{Kind: &mobulav1.Command_DeleteKey{DeleteKey: &mobulav1.DeleteKey{Namespace: "ns", Key: key, Version: version}}}
	}
	c := &mobulav1.PutKey{Namespace: "ns", Key: key, Value: []byte(fmt.Sprint("value", version))}
	switch {
	case version > 4:
		c.Condition, c.Version = mobulav1.PutKey_CONDITION_VERSION, version
	case version > 2:
		c.Condition = mobulav1.PutKey_CONDITION_ABSENT
	}
	return &mobulav1.Command{Kind: &mobulav1.Command_PutKey{PutKey: c}}
}

func drawEntry(t *rapid.T, s *State, sequence *uint64) *mobulav1.LogEntry {
	e := &mobulav1.LogEntry{Version: EntryVersion, TimeUnixNs: int64(*sequence)}
	for range rapid.IntRange(1, 2).Draw(t, "batches") {
		b := &mobulav1.Batch{ClientId: id16(rapid.IntRange(100, 101).Draw(t, "client"))}
		for range rapid.IntRange(1, 8).Draw(t, "commands") {
			*sequence++
			c := drawCommand(t, s)
			c.Sequence = *sequence
			b.Commands = append(b.Commands, c)
		}
		e.Batches = append(e.Batches, b)
	}
	return e
}

// mustApply applies a copy of the entry that went through its wire form, as entries do.
func mustApply(t *rapid.T, s *State, e *mobulav1.LogEntry) Outcome {
	data, err := e.MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	decoded := new(mobulav1.LogEntry)
	if err := decoded.UnmarshalVT(data); err != nil {
		t.Fatal(err)
	}
	out, err := s.Apply(decoded)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func mustRestore(t *rapid.T, s *State) *State {
	var buf, again bytes.Buffer
	if err := s.View().WriteSnapshot(&buf); err != nil {
		t.Fatal(err)
	}
	data := bytes.Clone(buf.Bytes())
	restored, err := Restore(&buf)
	if err != nil {
		t.Fatal(err)
	}
	if err := restored.View().WriteSnapshot(&again); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(data, again.Bytes()) {
		t.Fatal("the snapshot of a restored snapshot differs")
	}
	return restored
}

// TestReplicasAgree applies one history to three replicas: one straight, one that is thrown away and restored from a snapshot now
// and then, and one that starts late and replays everything. Their hashes, results and derived tables are equal throughout, and
// views taken on the way stay as they were.
func TestReplicasAgree(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		straight, restored := New(0, AllSlots()), New(0, AllSlots())
		var sequence uint64
		var history []*mobulav1.LogEntry
		type taken struct {
			view *View
			hash [32]byte
		}
		var views []taken
		for range rapid.IntRange(1, 25).Draw(t, "entries") {
			e := drawEntry(t, straight, &sequence)
			history = append(history, e)
			one, two := mustApply(t, straight, e), mustApply(t, restored, e)
			for i := range one.Results {
				if !proto.Equal(one.Results[i], two.Results[i]) {
					t.Fatalf("results differ: %v, %v", one.Results[i], two.Results[i])
				}
			}
			if rapid.IntRange(0, 4).Draw(t, "restore") == 0 {
				restored = mustRestore(t, restored)
				checkIndexes(t, straight, restored)
				v := straight.View()
				views = append(views, taken{v, v.Hash()})
			}
		}
		replayed := New(0, AllSlots())
		for _, e := range history {
			mustApply(t, replayed, e)
		}
		want := straight.View().Hash()
		if restored.View().Hash() != want || replayed.View().Hash() != want {
			t.Fatal("hashes differ")
		}
		for _, v := range views {
			if v.view.Hash() != v.hash {
				t.Fatal("a view changed")
			}
		}
	})
}

// checkIndexes compares derived tables that were kept up to date with ones that were built anew.
func checkIndexes(t *rapid.T, kept, built *State) {
	for name, pair := range map[string][2]*tree[struct{}]{
		"liveActorsByJob":  {&kept.liveActorsByJob, &built.liveActorsByJob},
		"liveActorsByNode": {&kept.liveActorsByNode, &built.liveActorsByNode},
		"liveJobsByNode":   {&kept.liveJobsByNode, &built.liveJobsByNode},
		"lineageByJob":     {&kept.lineageByJob, &built.lineageByJob},
		"idleClients":      {&kept.idleClients, &built.idleClients},
		"deadNodes":        {&kept.deadNodes, &built.deadNodes},
		"endedJobs":        {&kept.endedJobs, &built.endedJobs},
		"deadActors":       {&kept.deadActors, &built.deadActors},
	} {
		if !slices.Equal(pair[0].keys("", 1<<30), pair[1].keys("", 1<<30)) {
			t.Fatalf("%s: %q kept, %q built", name, pair[0].keys("", 1<<30), pair[1].keys("", 1<<30))
		}
	}
	if kept.keyBytes != built.keyBytes || kept.lineageBytes != built.lineageBytes {
		t.Fatalf("bytes: %d and %d kept, %d and %d built", kept.keyBytes, kept.lineageBytes, built.keyBytes, built.lineageBytes)
	}
}

// TestChangesMirrorTheTables keeps a copy of all tables from changes alone, as a watcher does, and checks what must hold of them
// after every entry.
func TestChangesMirrorTheTables(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := New(0, AllSlots())
		mirror := map[mobulav1.Table]map[string]*mobulav1.Record{}
		for table := mobulav1.Table_TABLE_NODES; table < mobulav1.Table_TABLE_LINEAGE; table++ {
			mirror[table] = map[string]*mobulav1.Record{}
		}
		var sequence, last uint64
		for range rapid.IntRange(1, 25).Draw(t, "entries") {
			out := mustApply(t, s, drawEntry(t, s, &sequence))
			for _, c := range out.Changes {
				revision := c.Event.GetRevision()
				if revision < last || revision > s.Revision() {
					t.Fatalf("revision %d after %d, state is at %d", revision, last, s.Revision())
				}
				last = revision
				if c.Event.GetType() == mobulav1.EventType_EVENT_TYPE_PUT {
					mirror[c.Table][c.Key] = c.Event.GetRecord()
				} else if _, ok := mirror[c.Table][c.Key]; !ok {
					t.Fatalf("%v %q deleted, but was not there", c.Table, c.Key)
				} else {
					delete(mirror[c.Table], c.Key)
				}
			}
			v := s.View()
			for table, records := range mirror {
				keys := slices.Sorted(maps.Keys(records))
				for key, record := range v.scan(table, "") {
					if len(keys) == 0 || keys[0] != key || !proto.Equal(record, records[key]) {
						t.Fatalf("%v: %q is not in the mirror or differs", table, key)
					}
					keys = keys[1:]
				}
				if len(keys) != 0 {
					t.Fatalf("%v: %q are only in the mirror", table, keys)
				}
			}
			checkInvariants(t, mirror, s.limits)
		}
	})
}

// checkInvariants states, dumbly, what must hold of the tables at any revision.
func checkInvariants(t *rapid.T, mirror map[mobulav1.Table]map[string]*mobulav1.Record, limits *mobulav1.StateLimits) {
	nodes, jobs, actors, names := mirror[mobulav1.Table_TABLE_NODES], mirror[mobulav1.Table_TABLE_JOBS], mirror[mobulav1.Table_TABLE_ACTORS], mirror[mobulav1.Table_TABLE_NAMES]
	lives := func(ref *mobulav1.NodeRef) bool {
		n := nodes[string(ref.GetNodeId())].GetNode()
		return n != nil && n.GetRef().GetEpoch() == ref.GetEpoch() && !dead(n)
	}
	var deadNodes, endedJobs, deadActors uint32
	for _, r := range nodes {
		if dead(r.GetNode()) {
			deadNodes++
		}
	}
	for _, r := range jobs {
		if r.GetJob().GetStatus() != mobulav1.JobStatus_JOB_STATUS_RUNNING {
			endedJobs++
		} else if !lives(r.GetJob().GetNode()) {
			t.Fatalf("job runs on a node that does not live: %v", r)
		}
	}
	holders := map[string]int{}
	for _, r := range actors {
		a := r.GetActor()
		if a.GetStatus() == mobulav1.ActorStatus_ACTOR_STATUS_DEAD {
			deadActors++
			continue
		}
		job := jobs[string(a.GetJobId())].GetJob()
		if !lives(a.GetNode()) || (!a.GetDetached() && job.GetStatus() != mobulav1.JobStatus_JOB_STATUS_RUNNING) {
			t.Fatalf("actor lives without its node or job: %v", r)
		}
		if a.GetName() == "" {
			continue
		}
		key := pair(a.GetNamespace(), a.GetName())
		holders[key]++
		if holders[key] > 1 || !bytes.Equal(names[key].GetName().GetActorId(), a.GetActorId()) {
			t.Fatalf("name %q leads to %v, %d actors claim it", key, names[key], holders[key])
		}
	}
	for key, r := range names {
		if actors[string(r.GetName().GetActorId())] == nil {
			t.Fatalf("name %q leads nowhere", key)
		}
		a := actors[string(r.GetName().GetActorId())].GetActor()
		if a.GetStatus() == mobulav1.ActorStatus_ACTOR_STATUS_DEAD && a.GetCause().GetKind() != mobulav1.CauseKind_CAUSE_KIND_NODE_LOST {
			t.Fatalf("name %q leads to an actor that died of %v", key, a.GetCause())
		}
	}
	for _, r := range mirror[mobulav1.Table_TABLE_FUNCTIONS] {
		if jobs[string(r.GetFunction().GetJobId())] == nil {
			t.Fatalf("function without a job: %v", r)
		}
	}
	if deadNodes > limits.GetDeadNodes() || endedJobs > limits.GetEndedJobs() || deadActors > limits.GetDeadActors() {
		t.Fatalf("%d dead nodes, %d ended jobs, %d dead actors under %v", deadNodes, endedJobs, deadActors, limits)
	}
}

// TestKeysBehaveLikeAMap compares the key-value table with a Go map, operation by operation.
func TestKeysBehaveLikeAMap(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		type entry struct {
			value   string
			version uint64
		}
		s, model, revision := New(0, AllSlots()), map[string]entry{}, uint64(0)
		for sequence := uint64(1); sequence <= uint64(rapid.IntRange(1, 40).Draw(t, "commands")); sequence++ {
			c := drawKeyCommand(t)
			c.Sequence = sequence
			want := codeOK
			var key string
			if p := c.GetPutKey(); p != nil {
				key = p.GetKey()
				old, exists := model[key]
				switch {
				case p.GetCondition() == mobulav1.PutKey_CONDITION_ABSENT && exists:
					want = codeExists
				case p.GetCondition() == mobulav1.PutKey_CONDITION_VERSION && !exists:
					want = codeNotFound
				case p.GetCondition() == mobulav1.PutKey_CONDITION_VERSION && old.version != p.GetVersion():
					want = codeConflict
				default:
					revision++
					model[key] = entry{string(p.GetValue()), revision}
				}
			} else {
				key = c.GetDeleteKey().GetKey()
				old, exists := model[key]
				switch v := c.GetDeleteKey().GetVersion(); {
				case !exists:
					want = codeNotFound
				case v != 0 && v != old.version:
					want = codeConflict
				default:
					revision++
					delete(model, key)
				}
			}
			e := &mobulav1.LogEntry{Version: EntryVersion, Batches: []*mobulav1.Batch{{ClientId: id16(1), Commands: []*mobulav1.Command{c}}}}
			if got := mustApply(t, s, e).Results[0].GetResults()[0]; got.GetCode() != want || got.GetRevision() != revision {
				t.Fatalf("%v: %v, want %v at revision %d", c, got, want, revision)
			}
			got, err := s.View().Get(&mobulav1.RecordKey{Table: mobulav1.Table_TABLE_KEYS, Namespace: "ns", Name: key})
			if err != nil {
				t.Fatal(err)
			}
			if m, ok := model[key]; (got.GetKey() != nil) != ok || string(got.GetKey().GetValue()) != m.value || got.GetKey().GetVersion() != m.version {
				t.Fatalf("%q is %v, want %v", key, got, m)
			}
		}
	})
}

// TestRepeatsChangeNothing delivers batches as an unreliable network does, several times and out of order, and compares with a
// state that got each command once, when it first arrived.
func TestRepeatsChangeNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		noisy, clean := New(0, AllSlots()), New(0, AllSlots())
		commands := map[uint64]*mobulav1.Command{}
		results := map[uint64]*mobulav1.CommandResult{}
		for range rapid.IntRange(1, 40).Draw(t, "deliveries") {
			b := &mobulav1.Batch{ClientId: id16(1)}
			for range rapid.IntRange(1, 4).Draw(t, "commands") {
				sequence := uint64(rapid.IntRange(1, 30).Draw(t, "sequence"))
				if commands[sequence] == nil {
					commands[sequence] = drawCommand(t, noisy)
					commands[sequence].Sequence = sequence
				}
				b.Commands = append(b.Commands, commands[sequence])
			}
			out := mustApply(t, noisy, &mobulav1.LogEntry{Version: EntryVersion, Batches: []*mobulav1.Batch{b}})
			for i, c := range b.GetCommands() {
				if results[c.GetSequence()] == nil {
					once := &mobulav1.Batch{ClientId: id16(1), Commands: []*mobulav1.Command{c}}
					r := mustApply(t, clean, &mobulav1.LogEntry{Version: EntryVersion, Batches: []*mobulav1.Batch{once}})
					results[c.GetSequence()] = r.Results[0].GetResults()[0]
				}
				if got := out.Results[0].GetResults()[i]; !proto.Equal(got, results[c.GetSequence()]) {
					t.Fatalf("command %v: %v, first %v", c, got, results[c.GetSequence()])
				}
			}
			if rapid.IntRange(0, 9).Draw(t, "restore") == 0 {
				noisy = mustRestore(t, noisy)
			}
		}
		// The two differ only in how many batches they have seen.
		noisy.batches, clean.batches = 0, 0
		noisy.clients, clean.clients = tree[*mobulav1.ClientRecord]{}, tree[*mobulav1.ClientRecord]{}
		if noisy.View().Hash() != clean.View().Hash() {
			t.Fatal("the states differ")
		}
	})
}
