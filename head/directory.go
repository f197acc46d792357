package head

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mobula-dev/mobula/internal/id"
)

// The files of a node's directory; the package comment says what they are.
const (
	nodeSocketName = "node.sock"
	snapshotsName  = "runtime" // of directories and modules that jobs send to their workers
	apiSocketName  = "api.sock"
	tokenName      = "token"
	pidName        = "pid"
	nodeName       = "node"
	controlName    = "control"
	logsName       = "logs"
	nodeLogName    = "node.log" // in logs
)

// addressScheme begins the address of a node on this machine.
const addressScheme = "unix:"

// socketPathMax is the longest path of a socket, in bytes, that every system takes.
const socketPathMax = 103

// LockedError says that another process has the directory.
type LockedError struct {
	// Dir is the directory.
	Dir string
	// PID is the process that has it; 0 if that is not known.
	PID int
}

// Error names the holder.
func (e *LockedError) Error() string {
	holder := "another process"
	if e.PID != 0 {
		holder = fmt.Sprintf("process %d", e.PID)
	}
	return fmt.Sprintf("a node runs there already: %s has the directory", holder)
}

// directory is a node's directory, held by this process.
type directory struct {
	path  string
	lock  *os.File // the pid file; the lock goes with the process, however that ends
	token []byte
	node  id.Node
	epoch uint64
}

// openDirectory makes the directory this process's own and prepares it for a new life of its node.
func openDirectory(path string, durable bool) (*directory, error) {
	if n := len(filepath.Join(path, nodeSocketName)); n > socketPathMax {
		return nil, fmt.Errorf("the path of its sockets would have %d bytes, and systems take %d: choose a shorter directory", n, socketPathMax)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	if err := checkOwner(path); err != nil {
		return nil, err
	}
	d := &directory{path: path}
	var err error
	if d.lock, err = lockDir(path); err != nil {
		return nil, err
	}
	if err := d.prepare(durable); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

// checkOwner refuses a directory in which others could put a token or a socket of theirs.
func checkOwner(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return errors.New("it is not a directory")
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Getuid() {
		return fmt.Errorf("the directory belongs to user %d, not to user %d", st.Uid, os.Getuid())
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return fmt.Errorf("others may write to the directory (mode %o): give the node one of its own", mode)
	}
	return nil
}

// lockDir makes this process the one that has the directory.
func lockDir(path string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(path, pidName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := tryLock(f); err != nil {
		defer f.Close() //nolint:errcheck // nothing was written
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, &LockedError{Dir: path, PID: readPID(f)}
		}
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	if err := errors.Join(f.Truncate(0), writePID(f)); err != nil {
		return nil, errors.Join(fmt.Errorf("write %s: %w", f.Name(), err), f.Close())
	}
	return f, nil
}

// tryLock locks a file. It tries for a moment, because Holder locks it for the time of a look.
func tryLock(f *os.File) error {
	for tries := 5; ; tries-- {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if tries == 1 || !errors.Is(err, unix.EWOULDBLOCK) {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// unlock gives a lock back. Closing the file is not enough: a process that is being forked has it open until it runs its program.
func unlock(f *os.File) error {
	if err := unix.Flock(int(f.Fd()), unix.LOCK_UN); err != nil {
		return fmt.Errorf("unlock %s: %w", f.Name(), err)
	}
	return nil
}

func writePID(f *os.File) error {
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// readPID reads who has the directory, 0 if that cannot be read.
func readPID(f *os.File) int {
	b := make([]byte, 32)
	n, _ := f.ReadAt(b, 0) // what was read says all
	pid, err := strconv.Atoi(strings.TrimSpace(string(b[:n])))
	if err != nil {
		return 0
	}
	return pid
}

// Holder returns the process whose head has a directory, and whether there is one. The pid is 0 if it is not known.
func Holder(dir string) (pid int, held bool, err error) {
	f, err := os.OpenFile(filepath.Join(dir, pidName), os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("look for a node in %s: %w", dir, err)
	}
	defer f.Close() //nolint:errcheck // nothing was written
	switch err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB); {
	case err == nil:
		return 0, false, unlock(f)
	case errors.Is(err, unix.EWOULDBLOCK):
		return readPID(f), true, nil
	default:
		return 0, false, fmt.Errorf("look for a node in %s: %w", dir, err)
	}
}

// prepare makes the token and says who the node is. The sockets of a former life are removed.
func (d *directory) prepare(durable bool) error {
	for _, name := range []string{nodeSocketName, apiSocketName} {
		if err := os.Remove(filepath.Join(d.path, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove the socket of a former life: %w", err)
		}
	}
	d.token = newToken()
	if err := replaceFile(filepath.Join(d.path, tokenName), []byte(hex.EncodeToString(d.token)+"\n"), false); err != nil {
		return fmt.Errorf("write token: %w", err)
	}
	if !durable {
		_, _ = rand.Read(d.node[:]) // never fails: crypto/rand ends the process instead
		d.epoch = 1
		return nil
	}
	return d.identify()
}

// newToken makes a secret.
func newToken() []byte {
	token := make([]byte, 32)
	_, _ = rand.Read(token) // never fails: crypto/rand ends the process instead
	return token
}

// identity is the file that says who the node is.
type identity struct {
	// Node is the node's id in hexadecimal.
	Node string `json:"node"`
	// Epoch counts the node's lives, from 1.
	Epoch uint64 `json:"epoch"`
}

// identify reads who the node is and begins its next life. The file is written before anybody hears of the life, so that no two lives
// have one epoch.
func (d *directory) identify() error {
	path := filepath.Join(d.path, nodeName)
	var who identity
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		_, _ = rand.Read(d.node[:]) // never fails: crypto/rand ends the process instead
	case err != nil:
		return fmt.Errorf("read who the node is: %w", err)
	default:
		if err = json.Unmarshal(b, &who); err == nil {
			d.node, err = id.Parse[id.Node](who.Node)
		}
		if err != nil || who.Epoch == 0 || d.node == (id.Node{}) {
			return fmt.Errorf("%s does not say who the node is: remove it, and %s beside it, to begin anew", path, controlName)
		}
	}
	d.epoch = who.Epoch + 1
	text, err := json.Marshal(identity{Node: d.node.String(), Epoch: d.epoch})
	if err != nil {
		return err
	}
	if err := replaceFile(path, append(text, '\n'), true); err != nil {
		return fmt.Errorf("write who the node is: %w", err)
	}
	return nil
}

// replaceFile writes a file that only its owner can read, whole or not at all; durably if that is wanted.
func replaceFile(path string, content []byte, durable bool) error {
	next := path + ".new"
	if err := os.Remove(next); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if durable {
		err = errors.Join(err, f.Sync())
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(next, path); err != nil || !durable {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// close gives the directory back.
func (d *directory) close() error {
	return errors.Join(d.lock.Truncate(0), unlock(d.lock), d.lock.Close())
}

// listen makes a Unix socket that only its owner can connect to.
func listen(path string) (net.Listener, error) {
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}
