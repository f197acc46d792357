package takeover

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

// Starter is the starter's side of one takeover. Its methods are for one goroutine, but Close may be called from any.
type Starter struct {
	role  Role
	fd    int
	conn  *net.UnixConn
	child *os.File
}

// New makes the descriptor pair for a process that will find its end as descriptor fd. The role message is in the socket before
// the process exists, so neither side ever waits for the other to write it. The caller starts the process with Env and File,
// then calls Started, and Close at the end.
func New(role Role, fd int) (*Starter, error) {
	if fd < 3 {
		return nil, fmt.Errorf("prepare takeover: descriptor %d is a standard stream", fd)
	}
	if role.Secret == (Secret{}) {
		role.Secret = NewSecret()
	}
	msg, err := encode(role)
	if err != nil {
		return nil, err
	}
	conn, child, err := socketPair()
	if err != nil {
		return nil, fmt.Errorf("prepare takeover: %w", err)
	}
	s := &Starter{role: role, fd: fd, conn: conn, child: child}
	if err := s.send(msg); err != nil {
		return nil, errors.Join(fmt.Errorf("prepare takeover: %w", err), s.Close())
	}
	return s, nil
}

func (s *Starter) send(msg []byte) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(ioTimeout)); err != nil {
		return fmt.Errorf("set deadline: %w", err)
	}
	if _, err := s.conn.Write(msg); err != nil {
		return fmt.Errorf("write role message: %w", err)
	}
	if err := s.conn.SetWriteDeadline(time.Time{}); err != nil {
		return fmt.Errorf("clear deadline: %w", err)
	}
	return nil
}

// Prepare makes cmd start a process with the role: environment, inherited descriptor and empty standard input. After cmd.Start,
// whether it succeeded or not, the caller calls Started. It sets no parent-death signal: that would come when the calling *thread* ends. The
// process learns of its starter's end from Child.Gone instead.
func Prepare(cmd *exec.Cmd, role Role) (*Starter, error) {
	s, err := New(role, 3+len(cmd.ExtraFiles))
	if err != nil {
		return nil, err
	}
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(Environ(cmd.Env), s.Env()...)
	cmd.ExtraFiles = append(cmd.ExtraFiles, s.File())
	cmd.Stdin = nil // exec opens the null device.
	return s, nil
}

// Env returns the variables that the started process needs beside its own.
func (s *Starter) Env() []string {
	return []string{
		EnvRole + "=" + string(s.role.Kind),
		EnvFD + "=" + strconv.Itoa(s.fd),
		EnvProof + "=" + s.role.Secret.proof(),
	}
}

// File is the end of the started process. It stays owned by the Starter.
func (s *Starter) File() *os.File { return s.child }

// Proof is what the started process checks the secret of its role message against, for one that does not find it in its environment.
func (s *Starter) Proof() string { return s.role.Secret.proof() }

// Secret is what the started process will present when it opens its session.
func (s *Starter) Secret() Secret { return s.role.Secret }

// Conn is the connection to the started process. After Await has returned nil it is free for a session.
func (s *Starter) Conn() *net.UnixConn { return s.conn }

// Started drops the starter's copy of the other end, so that the end of the process is the end of the connection.
func (s *Starter) Started() {
	_ = s.child.Close() // Nothing was written through it; closing twice is harmless.
}

// Await waits until the process has taken over. A timeout of zero means DefaultTimeout. The error is a *TimeoutError, a
// *RefusedError, ErrClosed, or the context's cause.
func (s *Starter) Await(ctx context.Context, timeout time.Duration) error {
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	if err := s.conn.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return fmt.Errorf("await takeover: %w", err)
	}
	stop := context.AfterFunc(ctx, func() {
		_ = s.conn.SetReadDeadline(time.Unix(1, 0)) // Fails only on a closed connection, whose read has ended.
	})
	err := s.readAnswer()
	if !stop() && ctx.Err() != nil && err != nil {
		return context.Cause(ctx)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &TimeoutError{After: timeout}
	}
	if err != nil {
		return err
	}
	return s.conn.SetReadDeadline(time.Time{})
}

func (s *Starter) readAnswer() error {
	var b [1]byte
	if _, err := s.conn.Read(b[:]); err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		return ErrClosed // End of file, or a reset when the process left the role message unread.
	}
	switch b[0] {
	case readyByte:
		return nil
	case refuseByte:
		reason, err := readBlob(s.conn, reasonMax)
		if err != nil {
			return fmt.Errorf("read why the process refused its role: %w", err)
		}
		return &RefusedError{Reason: string(reason)}
	default:
		return fmt.Errorf("the process answered its role with byte %#x", b[0])
	}
}

// Close closes both ends. The started process takes it for the end of its starter.
func (s *Starter) Close() error {
	s.Started()
	if err := s.conn.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("close role connection: %w", err)
	}
	return nil
}

// socketPair returns the starter's end and the end to inherit, both close-on-exec.
func socketPair() (*net.UnixConn, *os.File, error) {
	syscall.ForkLock.RLock() // No fork between the two calls; portable where SOCK_CLOEXEC is not.
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, fmt.Errorf("make socket pair: %w", err)
	}
	child := os.NewFile(uintptr(fds[1]), "takeover")
	conn, err := unixConn(os.NewFile(uintptr(fds[0]), "takeover"))
	if err != nil {
		return nil, nil, errors.Join(err, child.Close())
	}
	return conn, child, nil
}

// unixConn makes a connection of a descriptor and closes the file.
func unixConn(f *os.File) (*net.UnixConn, error) {
	c, err := net.FileConn(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("a socket of network %q, want a Unix socket", c.LocalAddr().Network()), c.Close())
	}
	return u, nil
}
