package state

import (
	"iter"
	"strings"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

// Bounds on one page of a list.
const (
	// MaxPage is the most records on a page.
	MaxPage = 1000
	// maxPageBytes ends a page early; one record more may follow it.
	maxPageBytes = 2 << 20
	// maxPageScan is how many records a filter may skip before the page ends, maybe empty.
	maxPageScan = 100_000
)

// View is the state at one revision. It never changes and may be used by any number of goroutines. What its methods return is
// shared and must not be changed.
type View struct{ tables }

// View returns the state as it is now. It costs a few hundred nanoseconds whatever the size of the state.
func (s *State) View() *View {
	v := &View{tables{
		shard: s.shard, slots: s.slots, revision: s.revision, lastEffect: s.lastEffect, batches: s.batches,
		limits: s.limits, sweeping: s.sweeping,
		nodes: s.nodes.clone(), jobs: s.jobs.clone(), actors: s.actors.clone(), names: s.names.clone(),
		functions: s.functions.clone(), keys: s.keys.clone(), lineage: s.lineage.clone(),
		clients: s.clients.clone(), results: s.results.clone(), outbox: s.outbox.clone(),
	}}
	return v
}

// Shard returns the number of the shard.
func (v *View) Shard() uint32 { return v.shard }

// Slots returns the slots that the shard owns.
func (v *View) Slots() Slots { return v.slots }

// Revision returns how many commands had changed the state.
func (v *View) Revision() uint64 { return v.revision }

// Limits returns the limits of the state.
func (v *View) Limits() *mobulav1.StateLimits { return v.limits }

// Counts returns the number of records of each table, in the order of mobulav1.Table from TABLE_NODES.
func (v *View) Counts() []uint64 {
	var counts []uint64
	for _, n := range []int{v.nodes.len(), v.jobs.len(), v.actors.len(), v.names.len(), v.functions.len(), v.keys.len(), v.lineage.len()} {
		counts = append(counts, uint64(n))
	}
	return counts
}

// Get returns the record with the given key, one without a kind if there is none, or an InvalidError.
func (v *View) Get(key *mobulav1.RecordKey) (*mobulav1.Record, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	encoded := encodeKey(key)
	for k, record := range v.scan(key.GetTable(), encoded) {
		if k == encoded {
			return v.complete(record), nil
		}
		break
	}
	return &mobulav1.Record{}, nil
}

// List returns one page of a table and the token of the next page, which is empty if there is none. The error is an InvalidError.
func (v *View) List(req *mobulav1.ListRecordsRequest) (records []*mobulav1.Record, next []byte, err error) {
	prefix, err := Prefix(req.GetPrefix())
	if err != nil {
		return nil, nil, err
	}
	from := prefix
	if token := string(req.GetPageToken()); token != "" {
		if !strings.HasPrefix(token, prefix) {
			return nil, nil, invalid("page_token is not from a list with this prefix")
		}
		from = token + "\x00" // The lowest key after the token's.
	}
	most := int(req.GetPageSize())
	if most == 0 || most > MaxPage {
		most = MaxPage
	}
	size, scanned, last := 0, 0, ""
	for key, record := range v.scan(req.GetPrefix().GetTable(), from) {
		if !strings.HasPrefix(key, prefix) {
			return records, nil, nil
		}
		if len(records) == most || size >= maxPageBytes || scanned == maxPageScan {
			return records, []byte(last), nil
		}
		scanned, last = scanned+1, key
		if !wanted(record, req) {
			continue
		}
		if req.GetKeysOnly() {
			record = withoutValue(record)
		}
		record = v.complete(record)
		records = append(records, record)
		size += record.SizeVT()
	}
	return records, nil, nil
}

// Records yields the records whose keys begin with a prefix, in the order of their keys. The error is an InvalidError.
func (v *View) Records(key *mobulav1.RecordKey) (iter.Seq[*mobulav1.Record], error) {
	prefix, err := Prefix(key)
	if err != nil {
		return nil, err
	}
	return func(yield func(*mobulav1.Record) bool) {
		for k, record := range v.scan(key.GetTable(), prefix) {
			if !strings.HasPrefix(k, prefix) || !yield(record) {
				return
			}
		}
	}, nil
}

// scan yields the records of a table from a key on.
func (v *View) scan(table mobulav1.Table, from string) iter.Seq2[string, *mobulav1.Record] {
	switch table {
	case mobulav1.Table_TABLE_NODES:
		return wrap(&v.nodes, from, func(r *mobulav1.NodeRecord) *mobulav1.Record {
			return &mobulav1.Record{Kind: &mobulav1.Record_Node{Node: r}}
		})
	case mobulav1.Table_TABLE_JOBS:
		return wrap(&v.jobs, from, func(r *mobulav1.JobRecord) *mobulav1.Record {
			return &mobulav1.Record{Kind: &mobulav1.Record_Job{Job: r}}
		})
	case mobulav1.Table_TABLE_ACTORS:
		return wrap(&v.actors, from, func(r *mobulav1.ActorRecord) *mobulav1.Record {
			return &mobulav1.Record{Kind: &mobulav1.Record_Actor{Actor: r}}
		})
	case mobulav1.Table_TABLE_NAMES:
		return wrap(&v.names, from, func(r *mobulav1.NameRecord) *mobulav1.Record {
			return &mobulav1.Record{Kind: &mobulav1.Record_Name{Name: r}}
		})
	case mobulav1.Table_TABLE_FUNCTIONS:
		return wrap(&v.functions, from, func(r *mobulav1.FunctionRecord) *mobulav1.Record {
			return &mobulav1.Record{Kind: &mobulav1.Record_Function{Function: r}}
		})
	case mobulav1.Table_TABLE_KEYS:
		return wrap(&v.keys, from, func(r *mobulav1.KeyRecord) *mobulav1.Record {
			return &mobulav1.Record{Kind: &mobulav1.Record_Key{Key: r}}
		})
	case mobulav1.Table_TABLE_LINEAGE:
		return wrap(&v.lineage, from, func(r *mobulav1.LineageRecord) *mobulav1.Record {
			return &mobulav1.Record{Kind: &mobulav1.Record_Lineage{Lineage: r}}
		})
	default:
		return func(func(string, *mobulav1.Record) bool) {}
	}
}

func wrap[R any](t *tree[R], from string, record func(R) *mobulav1.Record) iter.Seq2[string, *mobulav1.Record] {
	return func(yield func(string, *mobulav1.Record) bool) {
		for key, r := range t.from(from) {
			if !yield(key, record(r)) {
				return
			}
		}
	}
}

// complete adds to a name the record of its actor.
func (v *View) complete(record *mobulav1.Record) *mobulav1.Record {
	name := record.GetName()
	if name == nil {
		return record
	}
	actor, _ := v.actors.get(string(name.GetActorId()))
	return &mobulav1.Record{Kind: &mobulav1.Record_Name{Name: &mobulav1.NameRecord{
		Namespace: name.GetNamespace(), Name: name.GetName(), ActorId: name.GetActorId(), Actor: actor,
	}}}
}

func withoutValue(record *mobulav1.Record) *mobulav1.Record {
	key := record.GetKey()
	if key == nil {
		return record
	}
	return &mobulav1.Record{Kind: &mobulav1.Record_Key{Key: &mobulav1.KeyRecord{
		Namespace: key.GetNamespace(), Key: key.GetKey(), Version: key.GetVersion(),
	}}}
}

// wanted reports whether a record passes the filters of a list.
func wanted(record *mobulav1.Record, req *mobulav1.ListRecordsRequest) bool {
	live, job := true, ""
	switch k := record.GetKind().(type) {
	case *mobulav1.Record_Node:
		live = !dead(k.Node)
	case *mobulav1.Record_Job:
		live, job = k.Job.GetStatus() == mobulav1.JobStatus_JOB_STATUS_RUNNING, string(k.Job.GetJobId())
	case *mobulav1.Record_Actor:
		live, job = k.Actor.GetStatus() != mobulav1.ActorStatus_ACTOR_STATUS_DEAD, string(k.Actor.GetJobId())
	}
	return (live || !req.GetLiveOnly()) && (len(req.GetJobId()) == 0 || job == string(req.GetJobId()))
}

// Alive reports whether a life of a node has not ended.
func (v *View) Alive(ref *mobulav1.NodeRef) bool {
	node, ok := v.nodes.get(string(ref.GetNodeId()))
	return ok && node.GetRef().GetEpoch() == ref.GetEpoch() && !dead(node)
}

// Effects yields what waits for a node, after the effect with the given number.
func (v *View) Effects(node []byte, after uint64) iter.Seq[*mobulav1.Effect] {
	return func(yield func(*mobulav1.Effect) bool) {
		id := string(node)
		for key, e := range v.outbox.from(id + ordinal(after) + "\x00") {
			if !strings.HasPrefix(key, id) || !yield(e) {
				return
			}
		}
	}
}
