package head

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/mobula-dev/mobula/controlplane"
	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/nodemanager/service"
)

var quiet = slog.New(slog.DiscardHandler)

// serveAPI serves the API of a head whose node has not started yet, in a directory of its own.
func serveAPI(t *testing.T) (dir string, a *api) {
	t.Helper()
	dir = shortDir(t)
	d, err := openDirectory(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	control, err := controlplane.Open(t.Context(), controlplane.Config{InMemory: true, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	a, err = openAPI(dir, d.token, quiet, control, service.NewState(service.StateConfig{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		a.close()
		if err := control.Close(); err != nil {
			t.Error(err)
		}
		if err := d.close(); err != nil {
			t.Error(err)
		}
	})
	return dir, a
}

// shortDir is t.TempDir with a path that is short enough for sockets, whatever the test is called.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "mobula-") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestEveryMethodOfTheAPIDeclaresWhoMayCallIt(t *testing.T) {
	t.Parallel()
	_, a := serveAPI(t)
	methods := 0
	for name, s := range a.server.GetServiceInfo() {
		for _, m := range s.Methods {
			methods++
			if method := "/" + name + "/" + m.Name; rolesOf(method) == 0 {
				t.Errorf("%s declares no role: add it to rolesOf", method)
			}
		}
	}
	if methods < 15 {
		t.Errorf("only %d methods are served", methods)
	}
	if rolesOf("/mobula.v1.NodeService/Unheard") != 0 {
		t.Error("a method that is not declared may be called")
	}
}

func TestTokensProveRoles(t *testing.T) {
	t.Parallel()
	dir, a := serveAPI(t)
	ctx := t.Context()
	for _, c := range []struct {
		name  string
		token []byte
		// What the node's state, the control plane's reads and its writes answer.
		state, reads, writes codes.Code
	}{
		{"the user's", a.userToken, codes.Unavailable, codes.OK, codes.PermissionDenied}, // Unavailable: the node has not started
		{"the node's", a.nodeToken, codes.PermissionDenied, codes.OK, codes.OK},
		{"a wrong", newToken(), codes.Unauthenticated, codes.Unauthenticated, codes.Unauthenticated},
		{"a part of a", a.userToken[:16], codes.Unauthenticated, codes.Unauthenticated, codes.Unauthenticated},
		{"an empty", nil, codes.Unauthenticated, codes.Unauthenticated, codes.Unauthenticated},
	} {
		conn, err := connect(filepath.Join(dir, apiSocketName), c.token)
		if err != nil {
			t.Fatal(err)
		}
		node, control := mobulav1.NewNodeServiceClient(conn), mobulav1.NewControlPlaneServiceClient(conn)
		if _, err = node.GetStatus(ctx, &mobulav1.GetStatusRequest{}); status.Code(err) != c.state {
			t.Errorf("GetStatus with %s token: %v, want %v", c.name, err, c.state)
		}
		if _, err = control.GetShard(ctx, &mobulav1.GetShardRequest{}); status.Code(err) != c.reads {
			t.Errorf("GetShard with %s token: %v, want %v", c.name, err, c.reads)
		}
		batch := &mobulav1.Batch{ClientId: make([]byte, 16), Commands: []*mobulav1.Command{{
			Sequence: 1, Kind: &mobulav1.Command_PutKey{PutKey: &mobulav1.PutKey{Namespace: "ns", Key: "k"}},
		}}}
		if _, err = control.ApplyCommands(ctx, &mobulav1.ApplyCommandsRequest{Batch: batch}); status.Code(err) != c.writes {
			t.Errorf("ApplyCommands with %s token: %v, want %v", c.name, err, c.writes)
		}
		stream, err := control.WatchRecords(ctx, &mobulav1.WatchRecordsRequest{
			Prefix: &mobulav1.RecordKey{Table: mobulav1.Table_TABLE_JOBS}, IncludeExisting: true,
		})
		if err == nil {
			_, err = stream.Recv()
		}
		if status.Code(err) != c.reads {
			t.Errorf("WatchRecords with %s token: %v, want %v", c.name, err, c.reads)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestClientTellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	dir, _ := serveAPI(t)
	ctx := context.WithoutCancel(t.Context())
	for _, address := range []string{dir, "unix:" + dir, "unix:" + filepath.Join(dir, nodeSocketName)} {
		c, err := Dial(ctx, address)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.GetStatus(ctx, &mobulav1.GetStatusRequest{})
		if answer, ok := asError[*APIError](err); !ok || answer.Code != codes.Unavailable || answer.Error() != "the node is starting" || answer.Refused() {
			t.Errorf("%s: %v", address, err)
		}
		if c.Dir() != dir {
			t.Errorf("directory %s", c.Dir())
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := os.Remove(filepath.Join(dir, tokenName)); err != nil {
		t.Fatal(err)
	}
	if _, err := Dial(ctx, dir); err == nil {
		t.Error("dialed without a token")
	}
	if err := os.WriteFile(filepath.Join(dir, tokenName), []byte("not hexadecimal"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Dial(ctx, dir); err == nil {
		t.Error("dialed with a token that is none")
	}
	if _, err := Dial(ctx, filepath.Join(dir, "nowhere")); !isError[*NotRunningError](err) {
		t.Errorf("dialed nowhere: %v", err)
	}
	left := filepath.Join(shortDir(t), apiSocketName)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: left})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Dial(ctx, filepath.Dir(left)); !isError[*NotRunningError](err) {
		t.Errorf("dialed the socket of a dead node: %v", err)
	}
}
