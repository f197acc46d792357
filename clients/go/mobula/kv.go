package mobula

import (
	"context"
	"fmt"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"

	"github.com/mobula-dev/mobula/clients/go/mobula/internal/core"
)

// KeyValue is one entry of the key-value table, which the control plane keeps: it is replicated where the control plane is, and
// survives restarts. It is for small things, such as settings and addresses: values are at most 1 MiB, and each write is a commit.
type KeyValue struct {
	Key     string
	Value   []byte // empty in a listing
	Version uint64 // counts the writes of the key, from 1
}

// GetKey returns the entry of a key in the job's namespace; the error is of kind NotFound when there is none. It sees every write that
// was acknowledged before.
func GetKey(ctx context.Context, key string) (KeyValue, error) {
	entries, err := accessKey(ctx, &mobulav1.KeyValue{Op: mobulav1.KeyValue_OP_GET, Key: key})
	if err != nil {
		return KeyValue{}, err
	}
	if len(entries) == 0 {
		return KeyValue{}, &Error{Kind: NotFound, Message: fmt.Sprintf("key %q does not exist", key)}
	}
	return entries[0], nil
}

// PutKey writes a key and returns its new version.
func PutKey(ctx context.Context, key string, value []byte) (version uint64, err error) {
	return writeKey(ctx, &mobulav1.KeyValue{Op: mobulav1.KeyValue_OP_PUT, Key: key, Value: value})
}

// PutKeyIfAbsent writes a key that must not exist; the error is of kind AlreadyExists when it does.
func PutKeyIfAbsent(ctx context.Context, key string, value []byte) (version uint64, err error) {
	return writeKey(ctx, &mobulav1.KeyValue{Op: mobulav1.KeyValue_OP_PUT_IF_ABSENT, Key: key, Value: value})
}

// CompareAndSetKey writes a key that must have the version; the error is of kind AlreadyExists when it has another.
func CompareAndSetKey(ctx context.Context, key string, value []byte, version uint64) (uint64, error) {
	return writeKey(ctx, &mobulav1.KeyValue{Op: mobulav1.KeyValue_OP_COMPARE_AND_SET, Key: key, Value: value, Version: version})
}

// DeleteKey deletes a key; the error is of kind NotFound when it does not exist.
func DeleteKey(ctx context.Context, key string) error {
	_, err := accessKey(ctx, &mobulav1.KeyValue{Op: mobulav1.KeyValue_OP_DELETE, Key: key})
	return err
}

// ListKeys returns the keys that begin with prefix, in order, without their values; at most 10,000.
func ListKeys(ctx context.Context, prefix string) ([]KeyValue, error) {
	return accessKey(ctx, &mobulav1.KeyValue{Op: mobulav1.KeyValue_OP_LIST, Key: prefix})
}

func writeKey(ctx context.Context, q *mobulav1.KeyValue) (uint64, error) {
	entries, err := accessKey(ctx, q)
	if err != nil || len(entries) == 0 {
		return 0, err
	}
	return entries[0].Version, nil
}

func accessKey(ctx context.Context, q *mobulav1.KeyValue) ([]KeyValue, error) {
	r, err := query(ctx, &mobulav1.Query{Kind: &mobulav1.Query_KeyValue{KeyValue: q}})
	if err != nil {
		return nil, err
	}
	entries := make([]KeyValue, 0, len(r.GetEntries()))
	for _, e := range r.GetEntries() {
		entries = append(entries, KeyValue{Key: e.GetKey(), Value: e.GetValue(), Version: e.GetVersion()})
	}
	return entries, nil
}

// query asks the node.
func query(ctx context.Context, q *mobulav1.Query) (*mobulav1.Reply, error) {
	rt, _ := core.From(ctx)
	if rt == nil {
		return nil, public(core.ErrNoRuntime)
	}
	r, err := rt.Session.Query(ctx, q)
	if err != nil {
		return nil, public(err)
	}
	if r.GetError() != nil {
		return nil, public(core.FromValue(r.GetError()))
	}
	return r, nil
}

// Resources returns what the node has and what of it is free, by name: CPUs, GPUs and custom resources in units, memory in bytes. Free amounts
// can be below zero for a moment: a task that waited for another takes its CPU again at once.
func Resources(ctx context.Context) (total, available map[string]float64, err error) {
	r, err := query(ctx, &mobulav1.Query{Kind: &mobulav1.Query_Resources{Resources: &mobulav1.ResourcesQuery{}}})
	if err != nil {
		return nil, nil, err
	}
	return quantities(r.GetTotal()), quantities(r.GetAvailable()), nil
}

// quantities converts fixed-point units.
func quantities(units map[string]int64) map[string]float64 {
	q := make(map[string]float64, len(units))
	for name, u := range units {
		q[name] = float64(u) / unitsPerOne
		if name == "memory" {
			q[name] = float64(u)
		}
	}
	return q
}

// Explain says why the task that makes a ref has not finished, for people: what it waits for, where it was submitted, where it runs.
func Explain(ctx context.Context, ref AnyRef) (string, error) {
	o, err := ref.ref()
	if err != nil {
		return "", public(err)
	}
	if o == nil {
		return "ready: a value of this process", nil
	}
	oid := o.ID()
	r, err := query(ctx, &mobulav1.Query{Kind: &mobulav1.Query_Explain{Explain: &mobulav1.ExplainTask{ObjectId: oid[:]}}})
	if err != nil {
		return "", err
	}
	return r.GetText(), nil
}
