package state

import (
	"encoding/binary"
	"fmt"
	"strings"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

// indexes is derived from tables: it is not in snapshots but built again from them. Only the set and delete methods below write tables that
// have an index, so the two agree.
type indexes struct {
	liveActorsByJob  tree[struct{}] // job, actor
	liveActorsByNode tree[struct{}] // life, actor
	liveJobsByNode   tree[struct{}] // life, job
	lineageByJob     tree[struct{}] // job, task
	idleClients      tree[struct{}] // last batch, client
	deadNodes        tree[struct{}] // revision of the end, node
	endedJobs        tree[struct{}] // revision of the end, job
	deadActors       tree[struct{}] // revision of the end, actor
	keyBytes         uint64
	lineageBytes     uint64
}

// lineageOverhead is what a lineage record costs beside its spec, roughly: ids, tree and index entries.
const lineageOverhead = 256

// pair is the key of a record under a namespace; namespaces hold no zero byte.
func pair(namespace, name string) string { return namespace + "\x00" + name }

// ordinal is n so that keys sort as numbers do.
func ordinal(n uint64) string { return string(binary.BigEndian.AppendUint64(nil, n)) }

// life is the key of one life of a node.
func life(n *mobulav1.NodeRef) string { return string(n.GetNodeId()) + ordinal(n.GetEpoch()) }

// lifeText names a life of a node for people.
func lifeText(n *mobulav1.NodeRef) string {
	return fmt.Sprintf("node %x epoch %d", n.GetNodeId(), n.GetEpoch())
}

func index(t *tree[struct{}], key string, in bool) {
	if in {
		t.set(key, struct{}{})
	} else {
		t.delete(key)
	}
}

func (s *State) indexNode(r *mobulav1.NodeRecord, in bool) {
	if r.GetStatus() == mobulav1.NodeStatus_NODE_STATUS_DEAD {
		index(&s.deadNodes, ordinal(r.GetEndedRevision())+string(r.GetRef().GetNodeId()), in)
	}
}

func (s *State) setNode(r *mobulav1.NodeRecord) {
	id := string(r.GetRef().GetNodeId())
	if old, ok := s.nodes.get(id); ok {
		s.indexNode(old, false)
	}
	s.nodes.set(id, r)
	s.indexNode(r, true)
}

func (s *State) indexJob(r *mobulav1.JobRecord, in bool) {
	id := string(r.GetJobId())
	if r.GetStatus() == mobulav1.JobStatus_JOB_STATUS_RUNNING {
		index(&s.liveJobsByNode, life(r.GetNode())+id, in)
	} else {
		index(&s.endedJobs, ordinal(r.GetEndedRevision())+id, in)
	}
}

func (s *State) setJob(r *mobulav1.JobRecord) {
	id := string(r.GetJobId())
	if old, ok := s.jobs.get(id); ok {
		s.indexJob(old, false)
	}
	s.jobs.set(id, r)
	s.indexJob(r, true)
}

func (s *State) indexActor(r *mobulav1.ActorRecord, in bool) {
	id := string(r.GetActorId())
	if r.GetStatus() == mobulav1.ActorStatus_ACTOR_STATUS_DEAD {
		index(&s.deadActors, ordinal(r.GetEndedRevision())+id, in)
		return
	}
	index(&s.liveActorsByJob, string(r.GetJobId())+id, in)
	index(&s.liveActorsByNode, life(r.GetNode())+id, in)
}

func (s *State) setActor(r *mobulav1.ActorRecord) {
	id := string(r.GetActorId())
	if old, ok := s.actors.get(id); ok {
		s.indexActor(old, false)
	}
	s.actors.set(id, r)
	s.indexActor(r, true)
}

func keySize(r *mobulav1.KeyRecord) uint64 {
	return uint64(len(r.GetNamespace()) + len(r.GetKey()) + len(r.GetValue()))
}

func (s *State) setKey(r *mobulav1.KeyRecord) {
	key := pair(r.GetNamespace(), r.GetKey())
	if old, ok := s.keys.get(key); ok {
		s.keyBytes -= keySize(old)
	}
	s.keys.set(key, r)
	s.keyBytes += keySize(r)
}

func lineageSize(r *mobulav1.LineageRecord) uint64 { return uint64(len(r.GetSpec())) + lineageOverhead }

func (s *State) setLineage(r *mobulav1.LineageRecord) {
	s.dropLineage(string(r.GetTaskId()))
	s.lineage.set(string(r.GetTaskId()), r)
	s.lineageByJob.set(string(r.GetJobId())+string(r.GetTaskId()), struct{}{})
	s.lineageBytes += lineageSize(r)
}

// dropLineage deletes a lineage record and reports whether it was there.
func (s *State) dropLineage(task string) bool {
	r, ok := s.lineage.get(task)
	if !ok {
		return false
	}
	s.lineage.delete(task)
	s.lineageByJob.delete(string(r.GetJobId()) + task)
	s.lineageBytes -= lineageSize(r)
	return true
}

func (s *State) setClient(r *mobulav1.ClientRecord) {
	id := string(r.GetClientId())
	if old, ok := s.clients.get(id); ok {
		s.idleClients.delete(ordinal(old.GetLastBatch()) + id)
	}
	s.clients.set(id, r)
	s.idleClients.set(ordinal(r.GetLastBatch())+id, struct{}{})
}

// put stores a record and tells watchers.
func (s *State) put(record *mobulav1.Record) {
	revision := s.advance()
	key := KeyOf(record)
	s.store(record)
	s.changes = append(s.changes, Change{key.GetTable(), encodeKey(key), &mobulav1.RecordEvent{
		Type: mobulav1.EventType_EVENT_TYPE_PUT, Key: key, Record: record, Revision: revision,
	}})
}

// store puts a record in its table.
func (s *State) store(record *mobulav1.Record) {
	switch k := record.GetKind().(type) {
	case *mobulav1.Record_Node:
		s.setNode(k.Node)
	case *mobulav1.Record_Job:
		s.setJob(k.Job)
	case *mobulav1.Record_Actor:
		s.setActor(k.Actor)
	case *mobulav1.Record_Name:
		s.names.set(pair(k.Name.GetNamespace(), k.Name.GetName()), k.Name)
	case *mobulav1.Record_Function:
		s.functions.set(string(k.Function.GetJobId())+k.Function.GetName(), k.Function)
	case *mobulav1.Record_Key:
		s.setKey(k.Key)
	case *mobulav1.Record_Lineage:
		s.setLineage(k.Lineage)
	}
}

// deleted tells watchers of a record that was deleted.
func (s *State) deleted(key *mobulav1.RecordKey) {
	s.changes = append(s.changes, Change{key.GetTable(), encodeKey(key), &mobulav1.RecordEvent{
		Type: mobulav1.EventType_EVENT_TYPE_DELETE, Key: key, Revision: s.advance(),
	}})
}

// KeyOf returns the key of a record, one without a table if the record is empty.
func KeyOf(record *mobulav1.Record) *mobulav1.RecordKey {
	switch k := record.GetKind().(type) {
	case *mobulav1.Record_Node:
		return &mobulav1.RecordKey{Table: mobulav1.Table_TABLE_NODES, Id: k.Node.GetRef().GetNodeId()}
	case *mobulav1.Record_Job:
		return &mobulav1.RecordKey{Table: mobulav1.Table_TABLE_JOBS, Id: k.Job.GetJobId()}
	case *mobulav1.Record_Actor:
		return &mobulav1.RecordKey{Table: mobulav1.Table_TABLE_ACTORS, Id: k.Actor.GetActorId()}
	case *mobulav1.Record_Name:
		return nameKey(k.Name.GetNamespace(), k.Name.GetName())
	case *mobulav1.Record_Function:
		return &mobulav1.RecordKey{Table: mobulav1.Table_TABLE_FUNCTIONS, Id: k.Function.GetJobId(), Name: k.Function.GetName()}
	case *mobulav1.Record_Key:
		return &mobulav1.RecordKey{Table: mobulav1.Table_TABLE_KEYS, Namespace: k.Key.GetNamespace(), Name: k.Key.GetKey()}
	case *mobulav1.Record_Lineage:
		return &mobulav1.RecordKey{Table: mobulav1.Table_TABLE_LINEAGE, Id: k.Lineage.GetTaskId()}
	default:
		return &mobulav1.RecordKey{}
	}
}

func nameKey(namespace, name string) *mobulav1.RecordKey {
	return &mobulav1.RecordKey{Table: mobulav1.Table_TABLE_NAMES, Namespace: namespace, Name: name}
}

// encodeKey returns the key of a record, or the prefix of the keys of several, in its table.
func encodeKey(k *mobulav1.RecordKey) string {
	switch k.GetTable() {
	case mobulav1.Table_TABLE_NAMES, mobulav1.Table_TABLE_KEYS:
		if k.GetNamespace() == "" {
			return ""
		}
		return pair(k.GetNamespace(), k.GetName())
	default:
		return string(k.GetId()) + k.GetName()
	}
}

// Prefix checks a prefix as ListRecordsRequest defines it and returns it as keys in Change have it.
func Prefix(k *mobulav1.RecordKey) (string, error) {
	if err := checkFields(k); err != nil {
		return "", err
	}
	if (len(k.GetId()) == 0 && k.GetNamespace() == "") && k.GetName() != "" {
		return "", invalid("a name prefix needs the id or namespace that it is under")
	}
	if len(k.GetId()) != 0 {
		if err := checkID("id", k.GetId()); err != nil {
			return "", err
		}
	}
	return encodeKey(k), nil
}

// checkKey checks the key of one record.
func checkKey(k *mobulav1.RecordKey) error {
	if err := checkFields(k); err != nil {
		return err
	}
	switch k.GetTable() {
	case mobulav1.Table_TABLE_NAMES, mobulav1.Table_TABLE_KEYS:
		return first(checkNamespace(k.GetNamespace()), checkName("name", k.GetName()))
	case mobulav1.Table_TABLE_FUNCTIONS:
		return first(checkID("id", k.GetId()), checkName("name", k.GetName()))
	default:
		return checkID("id", k.GetId())
	}
}

// checkFields refuses fields that mean nothing in the table.
func checkFields(k *mobulav1.RecordKey) error {
	byID, byName := true, false
	switch k.GetTable() {
	case mobulav1.Table_TABLE_NODES, mobulav1.Table_TABLE_JOBS, mobulav1.Table_TABLE_ACTORS, mobulav1.Table_TABLE_LINEAGE:
	case mobulav1.Table_TABLE_FUNCTIONS:
		byName = true
	case mobulav1.Table_TABLE_NAMES, mobulav1.Table_TABLE_KEYS:
		byID, byName = false, true
	default:
		return invalid("unknown table %d", k.GetTable())
	}
	switch {
	case !byID && len(k.GetId()) != 0:
		return invalid("keys of %v have no id", k.GetTable())
	case byID && k.GetNamespace() != "":
		return invalid("keys of %v have no namespace", k.GetTable())
	case !byName && k.GetName() != "":
		return invalid("keys of %v have no name", k.GetTable())
	case strings.IndexByte(k.GetNamespace(), 0) >= 0:
		return invalid("namespace holds a zero byte")
	}
	return nil
}
