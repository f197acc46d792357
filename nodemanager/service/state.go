package service

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"net"
	"os"
	"slices"
	"sync/atomic"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

const (
	// listDefault and listMax bound the rows of a list.
	listDefault, listMax = 1000, 10_000
	// scanPiece is how many records are looked at, and rowPiece how many rows are made, while the node's lock is held: some 50 µs each.
	scanPiece, rowPiece = 512, 64
	// textMax bounds errors and exits in rows, in bytes.
	textMax = 1000
	// filterMax bounds what a filter may contain.
	filterMax = 256
	// answerMax is the length in bytes of an answer's rows at which the rest must be asked for: a session's reply has at most 1 MiB.
	answerMax = 512 << 10
	// holdersMax bounds the holders of one object's row.
	holdersMax = 100
)

// StateConfig is what a node's state API needs beside the node.
type StateConfig struct {
	// Shutdown begins to end the process and returns at once. Nil: the node belongs to a driver and ends with it.
	Shutdown func(reason string)
	// ControlDir is where the control plane keeps its data; empty when it keeps them in memory.
	ControlDir string
}

// State serves the state of a node. It is made before the node, because one gRPC server serves it and the control plane that the node
// needs. Its methods may be called from any goroutine.
type State struct {
	mobulav1.UnimplementedNodeServiceServer
	cfg  StateConfig
	node atomic.Pointer[Node] // nil until Attach
}

// NewState returns the state of a node that Attach will name; until then it answers UNAVAILABLE.
func NewState(cfg StateConfig) *State { return &State{cfg: cfg} }

// Register makes a gRPC server serve the state. Call it before the server starts; who may call what is the server's to check.
func (s *State) Register(r grpc.ServiceRegistrar) { mobulav1.RegisterNodeServiceServer(r, s) }

// Attach names the node, whose sessions may then ask for its state too.
func (s *State) Attach(n *Node) {
	s.node.Store(n)
	n.state.Store(s)
}

// stateCall answers a session's call of a method that reads the state.
func (n *Node) stateCall(ctx context.Context, q *mobulav1.StateCall, r *mobulav1.Reply) error {
	s := n.state.Load()
	i := slices.IndexFunc(mobulav1.NodeService_ServiceDesc.Methods, func(m grpc.MethodDesc) bool { return m.MethodName == q.GetMethod() })
	if s == nil || i < 0 || q.GetMethod() == "Shutdown" {
		r.Error = &mobulav1.ErrorValue{
			Kind: mobulav1.ErrorKind_ERROR_KIND_INVALID_ARGUMENT, Message: fmt.Sprintf("this node does not answer the state call %q", q.GetMethod()),
		}
		return nil
	}
	decode := func(m any) error { return proto.Unmarshal(q.GetRequest(), m.(proto.Message)) } //nolint:forcetypeassert,errcheck // all are messages
	resp, err := mobulav1.NodeService_ServiceDesc.Methods[i].Handler(s, ctx, decode, nil)
	if err != nil {
		r.Error = &mobulav1.ErrorValue{Kind: mobulav1.ErrorKind_ERROR_KIND_INVALID_ARGUMENT, Message: q.GetMethod() + ": " + status.Convert(err).Message()}
		return nil
	}
	r.State, err = proto.Marshal(resp.(proto.Message)) //nolint:forcetypeassert,errcheck // all are messages
	return err
}

// attached returns the node.
func (s *State) attached() (*Node, error) {
	n := s.node.Load()
	if n == nil {
		return nil, status.Error(codes.Unavailable, "the node is starting")
	}
	return n, nil
}

// SamePeer checks that the process at the other end of a Unix socket belongs to the user of this one.
func SamePeer(nc net.Conn) error { return samePeer(nc, 0) }

// Shutdown implements mobulav1.NodeServiceServer.
func (s *State) Shutdown(_ context.Context, r *mobulav1.ShutdownRequest) (*mobulav1.ShutdownResponse, error) {
	if s.cfg.Shutdown == nil {
		return nil, status.Error(codes.FailedPrecondition, "this node belongs to the driver that started it, and ends with it")
	}
	if len(r.GetReason()) > filterMax {
		return nil, status.Errorf(codes.InvalidArgument, "reason has %d bytes, at most %d are possible", len(r.GetReason()), filterMax)
	}
	s.cfg.Shutdown(r.GetReason())
	return &mobulav1.ShutdownResponse{Pid: int32(os.Getpid())}, nil
}

// scan calls visit for each item under the node's lock, which it gives back after every piece: visit may rely on nothing from before.
// What the sequence goes through may change between pieces. between, if it is not nil, is called there without the lock.
func scan[T any](ctx context.Context, n *Node, items iter.Seq[T], piece int, visit func(T), between func()) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	i := 0
	for item := range items {
		if i++; i%piece == 0 {
			n.mu.Unlock()
			err := ctx.Err()
			if between != nil {
				between()
			}
			n.mu.Lock()
			if err != nil {
				return status.FromContextError(err).Err()
			}
		}
		visit(item)
	}
	return nil
}

// candidate is an item that may become a row, with what orders the rows.
type candidate struct {
	key  int64
	id   [20]byte
	item any // a pointer
}

// before says which of two candidates comes first.
func (c candidate) before(d candidate) int {
	return cmp.Or(cmp.Compare(c.key, d.key), bytes.Compare(c.id[:], d.id[:]))
}

// shortlist keeps the candidates with the least keys, of those that come after the last one of the answer before.
type shortlist struct {
	limit int
	total uint64
	kept  []candidate
	after *candidate // nil in the first answer
	last  *candidate // what comes after it will not be kept; nil while all are
}

// newList makes a shortlist for a request with that limit and page token.
func newList(limit uint32, token []byte) (*shortlist, error) {
	switch {
	case limit > listMax:
		return nil, status.Errorf(codes.InvalidArgument, "limit is %d, at most %d is possible", limit, listMax)
	case limit == 0:
		limit = listDefault
	}
	l := &shortlist{limit: int(limit)}
	if len(token) > 0 {
		if len(token) != tokenSize {
			return nil, status.Errorf(codes.InvalidArgument, "page token has %d bytes, want %d: it is that of an answer", len(token), tokenSize)
		}
		l.after = &candidate{key: int64(binary.BigEndian.Uint64(token)), id: [20]byte(token[8:])}
	}
	return l, nil
}

// tokenSize is the length of a page token: the key and the id of the last row.
const tokenSize = 8 + 20

// token is the page token of an answer that ends with the candidate.
func (c candidate) token() []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(c.key)), c.id[:]...)
}

// add takes a candidate.
func (l *shortlist) add(key int64, id []byte, item any) {
	c := candidate{key: key, item: item}
	copy(c.id[:], id)
	l.total++
	if l.after != nil && l.after.before(c) >= 0 {
		return
	}
	if l.last == nil || c.before(*l.last) < 0 {
		l.kept = append(l.kept, c)
	}
}

// trim drops what will not be kept, once that is as much as what will. It is for the pauses of scan: sorting takes its time.
func (l *shortlist) trim() {
	if len(l.kept) >= 2*l.limit {
		l.cut()
	}
}

func (l *shortlist) cut() {
	slices.SortFunc(l.kept, candidate.before)
	if len(l.kept) > l.limit {
		clear(l.kept[l.limit:])
		l.kept = l.kept[:l.limit]
	}
	if len(l.kept) == l.limit {
		last := l.kept[l.limit-1]
		l.last = &last
	}
}

// makeRows makes a row of each kept item under the node's lock, in pieces; nil is an item that is gone meanwhile. The page token is that with which
// the list goes on, if the rows are too long for one answer.
func makeRows[T, R any](ctx context.Context, n *Node, l *shortlist, row func(T) *R) (rows []*R, token []byte, err error) {
	l.cut()
	rows = make([]*R, 0, len(l.kept))
	size := 0
	var last candidate
	err = scan(ctx, n, slices.Values(l.kept), rowPiece, func(c candidate) {
		if size > answerMax {
			token = last.token()
			return
		}
		last = c
		if r := row(c.item.(T)); r != nil { //nolint:forcetypeassert,errcheck // a list has items of one type
			rows = append(rows, r)
			size += proto.Size(any(r).(proto.Message)) //nolint:forcetypeassert,errcheck // all rows are messages
		}
	}, nil)
	return rows, token, err
}

// checkID refuses a filter that is not an id of that length.
func checkID(what string, id []byte, size int) error {
	if len(id) != 0 && len(id) != size {
		return status.Errorf(codes.InvalidArgument, "%s id has %d bytes, want %d", what, len(id), size)
	}
	return nil
}

// checkJob refuses a filter that is not a job's id.
func checkJob(id []byte) error { return checkID("job", id, 16) }

// same reports whether an id passes a filter.
func same(filter, id []byte) bool { return len(filter) == 0 || bytes.Equal(filter, id) }

// checkText refuses a filter that is longer than any name.
func checkText(field, text string) error {
	if len(text) > filterMax {
		return status.Errorf(codes.InvalidArgument, "%s has %d bytes, at most %d are possible", field, len(text), filterMax)
	}
	return nil
}

// records yields the records of a table of the control plane, page by page, until the context ends.
func (n *Node) records(ctx context.Context, table mobulav1.Table, job []byte, visit func([]*mobulav1.Record)) error {
	r := &mobulav1.ListRecordsRequest{Prefix: &mobulav1.RecordKey{Table: table}, JobId: job}
	for {
		page, err := n.cfg.ControlPlane.ListRecords(ctx, r)
		if err != nil {
			return status.Errorf(status.Code(err), "control plane: %s", status.Convert(err).Message())
		}
		visit(page.GetRecords())
		if r.PageToken = page.GetNextPageToken(); len(r.PageToken) == 0 {
			return nil
		}
	}
}

// wall turns a time on the node's clock into Unix nanoseconds.
func (n *Node) wall(at int64) int64 { return n.startedAt.UnixNano() + at }

// shorten cuts a text for a row.
func shorten(text string) string {
	if len(text) <= textMax {
		return text
	}
	return fmt.Sprintf("%.*s…", textMax/4, text) // at most 4 bytes to a character
}
