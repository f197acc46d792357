// Package head runs a head: a control plane and a node manager in one process. Both the mobula binary and the embedded node of a
// user's program are one.
package head

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/mobula-dev/mobula/controlplane"
	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/nodemanager/resource"
	"github.com/mobula-dev/mobula/nodemanager/service"
)

const (
	// socketName is the session socket in the node's directory.
	socketName = "node.sock"
	// tokenName is the file in the node's directory that holds the secret of drivers.
	tokenName = "token"
)

// Config of a head. The zero value of each field but Dir is usable.
type Config struct {
	// Dir is the node's directory; it is made, for its owner only.
	Dir string
	// CPUs is the number of CPUs that tasks may use; 0 is the machine's.
	CPUs float64
	// GPUs is the number of GPUs; 0 is none.
	GPUs int
	// Memory is the memory that tasks may ask for in bytes; 0 is 70 % of the machine's.
	Memory int64
	// Resources are custom resources, in units.
	Resources map[string]float64
	// StoreBytes is the capacity of the object store; 0 is 30 % of the machine's memory.
	StoreBytes uint64
	// Build is the version that clients see.
	Build string
	// Logger takes the log; nil is slog.Default.
	Logger *slog.Logger `json:"-"`
	// OwnerGone is called when the driver on whose behalf the node was started has ended.
	OwnerGone func() `json:"-"`
}

// Head is a running head.
type Head struct {
	cfg      Config
	node     *service.Node
	listener net.Listener
	lock     *os.File
	running  sync.WaitGroup
	control  *controlplane.Server
	server   *grpc.Server
	client   *grpc.ClientConn
}

// Open starts a head.
func Open(_ context.Context, cfg Config) (*Head, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open head: %w", err)
	}
	h := &Head{cfg: cfg}
	if err := h.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("open head in %s: %w", cfg.Dir, err), h.Close())
	}
	return h, nil
}

func (h *Head) open() error {
	secret, err := writeToken(filepath.Join(h.cfg.Dir, tokenName))
	if err != nil {
		return err
	}
	client, err := h.openControlPlane()
	if err != nil {
		return err
	}
	var node id.Node
	_, _ = rand.Read(node[:]) // never fails: crypto/rand ends the process instead
	cpus := h.cfg.CPUs
	if cpus == 0 {
		cpus = float64(runtime.NumCPU())
	}
	units, err := resource.Units(cpus)
	if err != nil {
		return fmt.Errorf("CPUs: %w", err)
	}
	request := resource.Request{CPUs: units, GPUs: int64(h.cfg.GPUs) * resource.Unit, Memory: h.cfg.Memory, Custom: make(map[string]int64)}
	for name, q := range h.cfg.Resources {
		if request.Custom[name], err = resource.Units(q); err != nil {
			return fmt.Errorf("resource %s: %w", name, err)
		}
	}
	h.node, err = service.New(service.Config{
		NodeID: node, Build: h.cfg.Build, Address: h.Address(), Secret: secret, CPUs: runtime.NumCPU(), Resources: request,
		LogDir: "", StoreBytes: h.cfg.StoreBytes, Logger: h.cfg.Logger, OwnerGone: h.cfg.OwnerGone, OwnProcess: true, ControlPlane: client, Epoch: 1, PID: os.Getpid(),
	})
	if err != nil {
		return err
	}
	path := filepath.Join(h.cfg.Dir, socketName)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove old socket: %w", err)
	}
	if h.listener, err = net.Listen("unix", path); err != nil {
		return fmt.Errorf("listen for drivers: %w", err)
	}
	h.running.Go(func() {
		if err := h.node.Accept(h.listener); err != nil {
			h.cfg.Logger.Error("no more drivers are accepted", "error", err)
		}
	})
	return nil
}

// openControlPlane starts the control plane and connects to it.
func (h *Head) openControlPlane() (mobulav1.ControlPlaneServiceClient, error) {
	var err error
	if h.control, err = controlplane.Open(context.Background(), controlplane.Config{InMemory: true, Logger: h.cfg.Logger}); err != nil {
		return nil, err
	}
	path := filepath.Join(h.cfg.Dir, "api.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen for the API: %w", err)
	}
	h.server = grpc.NewServer()
	h.control.Register(h.server)
	h.running.Go(func() {
		if err := h.server.Serve(l); err != nil {
			h.cfg.Logger.Error("the API ended", "error", err)
		}
	})
	if h.client, err = grpc.NewClient("unix:"+path, grpc.WithTransportCredentials(insecure.NewCredentials())); err != nil {
		return nil, fmt.Errorf("connect to the control plane: %w", err)
	}
	return mobulav1.NewControlPlaneServiceClient(h.client), nil
}

// Address returns what drivers connect to.
func (h *Head) Address() string { return "unix:" + filepath.Join(h.cfg.Dir, socketName) }

// ServeOwner serves the driver on whose behalf the head was started, on the descriptor between the two, until it ends.
func (h *Head) ServeOwner(nc net.Conn) error { return h.node.ServeOwner(nc) }

// Close ends everything that the head has started. It is idempotent.
func (h *Head) Close() error {
	var errs []error
	if h.listener != nil {
		if err := h.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if h.node != nil {
		errs = append(errs, h.node.Close())
	}
	if h.client != nil {
		errs = append(errs, h.client.Close())
	}
	if h.server != nil {
		h.server.Stop()
	}
	if h.control != nil {
		errs = append(errs, h.control.Close())
	}
	h.running.Wait()
	return errors.Join(errs...)
}

// writeToken makes the secret of drivers, which only the owner of the directory can read.
func writeToken(path string) ([]byte, error) {
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails: crypto/rand ends the process instead
	if err := os.WriteFile(path, []byte(hex.EncodeToString(secret[:])+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("write token: %w", err)
	}
	return secret[:], nil
}

// ReadToken reads the secret of the node whose socket an address names.
func ReadToken(address string) (socket string, secret []byte, err error) {
	socket = strings.TrimPrefix(address, "unix:")
	if info, err := os.Stat(socket); err == nil && info.IsDir() {
		socket = filepath.Join(socket, socketName)
	}
	b, err := os.ReadFile(filepath.Join(filepath.Dir(socket), tokenName))
	if err != nil {
		return "", nil, fmt.Errorf("read the node's token: %w", err)
	}
	secret, err = hex.DecodeString(strings.TrimSpace(string(b)))
	if err != nil {
		return "", nil, fmt.Errorf("read the node's token: %w", err)
	}
	return socket, secret, nil
}
