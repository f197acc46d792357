package head

import (
	"context"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/nodemanager/service"
)

// role is who calls: what a token proves.
type role uint8

const (
	// nodeRole is a node manager of this head. Its token never leaves the process.
	nodeRole role = 1 << iota
	// userRole is whoever can read the token in the node's directory: the command line, tools, drivers.
	userRole
)

// rolesOf returns who may call a method: this is the one place that says so. Nobody may call what is not listed.
func rolesOf(method string) role {
	switch method {
	case mobulav1.NodeService_GetStatus_FullMethodName,
		mobulav1.NodeService_ListTasks_FullMethodName,
		mobulav1.NodeService_SummarizeTasks_FullMethodName,
		mobulav1.NodeService_ListActors_FullMethodName,
		mobulav1.NodeService_ListObjects_FullMethodName,
		mobulav1.NodeService_ListNodes_FullMethodName,
		mobulav1.NodeService_ListJobs_FullMethodName,
		mobulav1.NodeService_ListWorkers_FullMethodName,
		mobulav1.NodeService_ListRuntimeEnvs_FullMethodName,
		mobulav1.NodeService_ListEvents_FullMethodName,
		mobulav1.NodeService_ListLogs_FullMethodName,
		mobulav1.NodeService_ReadLog_FullMethodName,
		mobulav1.NodeService_Explain_FullMethodName,
		mobulav1.NodeService_Shutdown_FullMethodName:
		return userRole
	case mobulav1.ControlPlaneService_GetRecords_FullMethodName,
		mobulav1.ControlPlaneService_ListRecords_FullMethodName,
		mobulav1.ControlPlaneService_WatchRecords_FullMethodName,
		mobulav1.ControlPlaneService_GetShard_FullMethodName:
		return nodeRole | userRole
	case mobulav1.ControlPlaneService_ApplyCommands_FullMethodName,
		mobulav1.ControlPlaneService_WatchEffects_FullMethodName:
		return nodeRole
	default:
		return 0
	}
}

// tokenKey is the metadata that carries a token, as "Bearer" and its hexadecimal form.
const tokenKey = "authorization"

// api is the gRPC server of a head.
type api struct {
	server    *grpc.Server
	nodeToken []byte
	userToken []byte
	serving   sync.WaitGroup
}

// registrar is a part of the head that serves over the API.
type registrar interface{ Register(grpc.ServiceRegistrar) }

// openAPI serves the parts on the socket in the directory.
func openAPI(dir string, userToken []byte, log *slog.Logger, parts ...registrar) (*api, error) {
	a := &api{nodeToken: newToken(), userToken: userToken}
	l, err := listen(filepath.Join(dir, apiSocketName))
	if err != nil {
		return nil, fmt.Errorf("listen for the API: %w", err)
	}
	a.server = grpc.NewServer(grpc.UnaryInterceptor(a.unary), grpc.StreamInterceptor(a.stream))
	for _, p := range parts {
		p.Register(a.server)
	}
	a.serving.Go(func() {
		if err := a.server.Serve(&samePeerListener{Listener: l, log: log}); err != nil {
			log.Error("the API ended", "error", err)
		}
	})
	return a, nil
}

// close ends the server: calls under way have a moment to be answered.
func (a *api) close() {
	ended := make(chan struct{})
	go func() {
		a.server.GracefulStop()
		close(ended)
	}()
	timer := time.AfterFunc(closeTimeout/2, a.server.Stop) // which ends GracefulStop
	<-ended
	timer.Stop()
	a.serving.Wait()
}

func (a *api) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if err := a.authorize(ctx, info.FullMethod); err != nil {
		return nil, err
	}
	return handler(ctx, req)
}

func (a *api) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if err := a.authorize(ss.Context(), info.FullMethod); err != nil {
		return err
	}
	return handler(srv, ss)
}

// authorize checks that the caller's token is one of the head's, and of a role that may call the method.
func (a *api) authorize(ctx context.Context, method string) error {
	values := metadata.ValueFromIncomingContext(ctx, tokenKey)
	if len(values) != 1 {
		return status.Error(codes.Unauthenticated, "the call carries no token: send that of the node's directory")
	}
	text, _ := strings.CutPrefix(values[0], "Bearer ")
	token, err := hex.DecodeString(text)
	if err != nil {
		return status.Error(codes.Unauthenticated, "the call's token is not hexadecimal")
	}
	var caller role
	switch {
	case subtle.ConstantTimeCompare(token, a.nodeToken) == 1:
		caller = nodeRole
	case subtle.ConstantTimeCompare(token, a.userToken) == 1:
		caller = userRole
	default:
		return status.Error(codes.Unauthenticated, "the call's token is not that of this node")
	}
	if rolesOf(method)&caller == 0 {
		return status.Errorf(codes.PermissionDenied, "%s is not for the role that the token proves", method)
	}
	return nil
}

// samePeerListener lets in processes of this user only.
type samePeerListener struct {
	net.Listener
	log *slog.Logger
}

// Accept implements net.Listener.
func (l *samePeerListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		err = service.SamePeer(c)
		if err == nil {
			return c, nil
		}
		l.log.Warn("connection to the API refused", "error", err)
		_ = c.Close() // nothing was sent
	}
}
