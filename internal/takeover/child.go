package takeover

import (
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/mobula-dev/mobula/internal/takeover/guard"
)

// GuardPool is the setting that names the pool of a guard.
const GuardPool = "pool"

// Child is the started process's side of a takeover.
type Child struct {
	Role
	conn     *net.UnixConn
	goneOnce sync.Once
	gone     chan struct{}
}

// Take returns the role that this process was started in, false when it was started in none. It must be called before any user code that could
// start a process; the first call reads the descriptor and cleans the environment, later calls return the same. On an error the
// caller must not go on as if there were no role: it calls Exit. In the role of a guard Take does not return.
func Take() (*Child, bool, error) {
	c, err := takeOnce()
	return c, c != nil && err == nil, err
}

var takeOnce = sync.OnceValues(func() (*Child, error) {
	c, err := take(os.LookupEnv, os.Unsetenv)
	if err != nil || c == nil {
		return nil, err
	}
	// exec by descriptor leaves the descriptor's number as the name that ps shows. A nicety: systems without the file do without.
	_ = os.WriteFile("/proc/self/comm", []byte("mobula:"+string(c.Kind)), 0o600)
	if c.Kind == KindGuard {
		_ = c.Ready() // Fails when the node has ended already: then there is work to do.
		guard.Serve(c.conn, c.Settings[GuardPool])
		exit(0)
	}
	return c, nil
})

// take does the work of Take on a given environment.
func take(lookup func(string) (string, bool), unset func(string) error) (*Child, error) {
	kind, hasKind := lookup(EnvRole)
	number, hasFD := lookup(EnvFD)
	proof, hasProof := lookup(EnvProof)
	if !hasKind && !hasFD && !hasProof {
		return nil, nil
	}
	if err := errors.Join(unset(EnvRole), unset(EnvFD), unset(EnvProof)); err != nil {
		return nil, fmt.Errorf("take over: clean the environment: %w", err)
	}
	if !hasKind || !hasFD || !hasProof {
		return nil, errors.New("take over: the variables " + EnvRole + ", " + EnvFD + " and " + EnvProof +
			" are set by Mobula for the processes that it starts, all three or none; unset them to run this program by hand")
	}
	conn, err := inherit(number)
	if err != nil {
		return nil, fmt.Errorf("take over the role %q: %s=%q: %w (unset %s to run this program by hand)", kind, EnvFD, number, err, EnvRole)
	}
	c, err := receive(conn, Kind(kind), proof)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("take over the role %q: %w", kind, err), conn.Close())
	}
	return c, nil
}

// inherit opens the descriptor with the given number and keeps it from subprocesses.
func inherit(number string) (*net.UnixConn, error) {
	fd, err := strconv.Atoi(number)
	if err != nil || fd < 3 || fd > 1<<20 {
		return nil, errors.New("not the number of an inherited descriptor")
	}
	var stat syscall.Stat_t
	if err := syscall.Fstat(fd, &stat); err != nil {
		return nil, fmt.Errorf("inspect the descriptor: %w", err)
	}
	if stat.Mode&syscall.S_IFMT != syscall.S_IFSOCK {
		return nil, errors.New("the descriptor is not a socket")
	}
	syscall.CloseOnExec(fd)
	return unixConn(os.NewFile(uintptr(fd), "takeover"))
}

// receive reads the role message and checks it. Only a starter whose secret fits is told why its role is refused.
func receive(conn *net.UnixConn, kind Kind, proof string) (*Child, error) {
	if err := conn.SetDeadline(time.Now().Add(ioTimeout)); err != nil {
		return nil, fmt.Errorf("set deadline: %w", err)
	}
	m, err := readMessage(conn)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare([]byte(m.Secret.proof()), []byte(proof)) != 1 {
		return nil, errors.New("the secret on the descriptor is not the one that the environment promises")
	}
	c := &Child{conn: conn, gone: make(chan struct{})}
	c.Role, err = m.role()
	if err == nil && c.Kind != kind {
		err = fmt.Errorf("the descriptor offers the role %q", c.Kind)
	}
	if err != nil {
		return nil, errors.Join(err, c.Refuse(err.Error()))
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return nil, fmt.Errorf("clear deadline: %w", err)
	}
	return c, nil
}

// Ready tells the starter that this process has taken over. It is called once, before the connection is used for anything else.
func (c *Child) Ready() error {
	if _, err := c.conn.Write([]byte{readyByte}); err != nil {
		return fmt.Errorf("tell the starter that the role is taken over: %w", err)
	}
	return nil
}

// Refuse tells the starter, instead of Ready, why this process cannot serve its role. The caller then calls Exit.
func (c *Child) Refuse(reason string) error {
	reason = reason[:min(len(reason), reasonMax)]
	answer := binary.BigEndian.AppendUint32([]byte{refuseByte}, uint32(len(reason)))
	if _, err := c.conn.Write(append(answer, reason...)); err != nil {
		return fmt.Errorf("tell the starter why the role is refused: %w", err)
	}
	return nil
}

// Conn is the connection to the starter, free for a session after Ready. A session on it notices the starter's end by itself; otherwise use Gone.
func (c *Child) Conn() *net.UnixConn { return c.conn }

// Gone returns a channel that is closed when the starter has ended. The first call begins to read the connection, which then cannot
// carry a session.
func (c *Child) Gone() <-chan struct{} {
	c.goneOnce.Do(func() {
		go func() { // Lives as long as the process or the connection.
			_, _ = io.Copy(io.Discard, c.conn) // Every way for it to end means the same.
			close(c.gone)
		}()
	})
	return c.gone
}

// EndGroup ends this process at once, and with it its process group when it leads one, as workers do: subprocesses of user code do not
// outlive the worker. It does not return.
func EndGroup(code int) {
	if pgid, err := syscall.Getpgid(0); err == nil && pgid == os.Getpid() {
		_ = syscall.Kill(-pgid, syscall.SIGKILL) // Reaches this process too; the exit below is for where it cannot.
	}
	exit(code)
}
