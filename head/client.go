package head

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

// answerMax is the longest answer that a client takes: a list of 10,000 rows, each with the longest texts.
const answerMax = 64 << 20

// NotRunningError says that no node answers at an address.
type NotRunningError struct {
	// Address is what was dialed.
	Address string
	// Err is what the system said.
	Err error
}

// Error names the address.
func (e *NotRunningError) Error() string {
	if errors.Is(e.Err, os.ErrNotExist) {
		return "no node runs at " + e.Address
	}
	return fmt.Sprintf("no node answers at %s: %v", e.Address, e.Err)
}

// Unwrap returns what the system said.
func (e *NotRunningError) Unwrap() error { return e.Err }

// APIError is what a node answered to a call that it refused or could not carry out.
type APIError struct {
	// Code is the kind of error.
	Code codes.Code
	// Message is a sentence for a person.
	Message string
}

// Error returns the sentence.
func (e *APIError) Error() string { return e.Message }

// NotFound reports whether the node does not have what it was asked about.
func (e *APIError) NotFound() bool { return e.Code == codes.NotFound }

// Refused reports whether the node answered that it will not do it, as opposed to not answering.
func (e *APIError) Refused() bool {
	switch e.Code {
	case codes.InvalidArgument, codes.FailedPrecondition, codes.PermissionDenied, codes.Unauthenticated:
		return true
	default:
		return false
	}
}

// Client asks a node about its state.
type Client struct {
	mobulav1.NodeServiceClient
	conn *grpc.ClientConn
	dir  string
}

// Dial connects to the node at an address: "unix:" and the path of its socket, as mobula up prints it, or of its directory. It fails with
// a *NotRunningError if there is none.
func Dial(ctx context.Context, address string) (*Client, error) {
	dir := DirOf(address)
	socket := filepath.Join(dir, apiSocketName)
	probe, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		if op, ok := errors.AsType[*net.OpError](err); ok {
			err = op.Err
		}
		return nil, &NotRunningError{Address: address, Err: err}
	}
	if err := probe.Close(); err != nil {
		return nil, fmt.Errorf("connect to the node at %s: %w", address, err)
	}
	_, token, err := ReadToken(address)
	if err != nil {
		return nil, fmt.Errorf("connect to the node at %s: %w", address, err)
	}
	conn, err := connect(socket, token, grpc.WithUnaryInterceptor(plainErrors))
	if err != nil {
		return nil, fmt.Errorf("connect to the node at %s: %w", address, err)
	}
	return &Client{NodeServiceClient: mobulav1.NewNodeServiceClient(conn), conn: conn, dir: dir}, nil
}

// Dir returns the node's directory.
func (c *Client) Dir() string { return c.dir }

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

// DirOf returns the directory of the node at an address.
func DirOf(address string) string {
	path := strings.TrimPrefix(address, addressScheme)
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return path
	}
	if filepath.Base(path) == nodeSocketName {
		return filepath.Dir(path)
	}
	return path
}

// ReadToken reads the secret of the node that an address names, and returns the socket for drivers beside it.
func ReadToken(address string) (socket string, secret []byte, err error) {
	dir := DirOf(address)
	b, err := os.ReadFile(filepath.Join(dir, tokenName))
	if err != nil {
		return "", nil, fmt.Errorf("read the node's token: %w", err)
	}
	secret, err = hex.DecodeString(strings.TrimSpace(string(b)))
	if err != nil {
		return "", nil, fmt.Errorf("read the node's token: %w", err)
	}
	return filepath.Join(dir, nodeSocketName), secret, nil
}

// connect makes a client of the API on a socket; the connection is made when it is first needed.
func connect(socket string, token []byte, options ...grpc.DialOption) (*grpc.ClientConn, error) {
	// The address is no host's: the dialer knows where to go, and a proxy has no part in it.
	return grpc.NewClient("passthrough:///node", append(options,
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}),
		grpc.WithTransportCredentials(insecure.NewCredentials()), // a Unix socket whose other end is checked
		grpc.WithPerRPCCredentials(bearer{tokenKey: "Bearer " + hex.EncodeToString(token)}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(answerMax)),
	)...)
}

// plainErrors turns the errors of calls into APIErrors.
func plainErrors(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, call grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	err := call(ctx, method, req, reply, cc, opts...)
	if err == nil {
		return nil
	}
	s := status.Convert(err)
	return &APIError{Code: s.Code(), Message: s.Message()}
}

// bearer is the metadata that a client sends with each call.
type bearer map[string]string

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return b, nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials: the socket is local.
func (b bearer) RequireTransportSecurity() bool { return false }
