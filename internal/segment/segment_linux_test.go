package segment

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func newTestSegment(tb testing.TB, length uint64) *Segment {
	tb.Helper()
	s, err := Create("mobula-test", length)
	must(tb, err)
	tb.Cleanup(func() { must(tb, s.Close()) })
	return s
}

func TestReaderCanNeitherWriteNorResize(t *testing.T) {
	t.Parallel()
	k, err := probe()
	must(t, err)
	if k.seals&unix.F_SEAL_FUTURE_WRITE == 0 {
		t.Skip("this kernel has no F_SEAL_FUTURE_WRITE")
	}
	s := newTestSegment(t, 1<<20)
	must(t, s.Back(1<<20))
	f := dup(t, s.File())
	defer func() { must(t, f.Close()) }()
	fd := int(f.Fd())
	view, err := unix.Mmap(fd, 0, 1<<20, unix.PROT_READ, unix.MAP_SHARED)
	must(t, err)
	defer func() { must(t, unix.Munmap(view)) }()
	attacks := map[string]func() error{
		"map writable":    func() error { _, err := unix.Mmap(fd, 0, 1<<20, unix.PROT_WRITE, unix.MAP_SHARED); return err },
		"make writable":   func() error { return unix.Mprotect(view, unix.PROT_READ|unix.PROT_WRITE) },
		"write":           func() error { _, err := unix.Pwrite(fd, []byte{1}, 0); return err },
		"shrink":          func() error { return unix.Ftruncate(fd, 0) },
		"grow":            func() error { return unix.Ftruncate(fd, 2<<20) },
		"grow by reserve": func() error { return unix.Fallocate(fd, 0, 1<<20, 1<<20) },
		"punch a hole": func() error {
			return unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, PageBytes)
		},
		"seal":    func() error { _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_WRITE); return err },
		"execute": func() error { return unix.Fchmod(fd, 0o777) },
		"reopen and write": func() error {
			g, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", fd), os.O_RDWR, 0)
			if err != nil {
				return err
			}
			_, err = g.WriteAt([]byte{1}, 0)
			return errors.Join(err, g.Close())
		},
	}
	for name, attack := range attacks {
		err := attack()
		if name == "execute" && k.flags&unix.MFD_NOEXEC_SEAL == 0 {
			continue
		}
		if !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES) {
			t.Errorf("%s: %v", name, err)
		}
	}
	copy(s.bytes(0, 5), "hello")
	if string(view[:5]) != "hello" {
		t.Error("the writer's own mapping is cut off")
	}
}

func TestCheckRefusesWhatMayKillAReader(t *testing.T) {
	t.Parallel()
	const length = 1 << 20
	made := func(flags, seals int) func(*testing.T) *os.File {
		return func(t *testing.T) *os.File {
			t.Helper()
			fd, err := unix.MemfdCreate("mobula-test", flags|unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
			if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOSYS) {
				t.Skip("this kernel cannot make the file")
			}
			must(t, err)
			f := os.NewFile(uintptr(fd), "fake")
			must(t, f.Truncate(2*length))
			must(t, setSeals(f, seals))
			return f
		}
	}
	const all = neededSeals | unix.F_SEAL_FUTURE_WRITE
	tests := map[string]struct {
		file   func(*testing.T) *os.File
		length uint64
		ok     bool
	}{
		"a segment":                      {made(0, all), 2 * length, true},
		"sealed for writing":             {made(0, neededSeals|unix.F_SEAL_WRITE), 2 * length, true},
		"too short":                      {made(0, all), 4 * length, false},
		"too long":                       {made(0, all), length, false},
		"no length":                      {made(0, all), 0, false},
		"half a page":                    {made(0, all), 2*length - 1, false},
		"beyond all lengths":             {made(0, all), 1 << 63, false},
		"unsealed":                       {made(0, 0), 2 * length, false},
		"may shrink":                     {made(0, all&^unix.F_SEAL_SHRINK), 2 * length, false},
		"may be sealed":                  {made(0, all&^unix.F_SEAL_SEAL), 2 * length, false},
		"huge pages that may be missing": {made(unix.MFD_HUGETLB|unix.MFD_HUGE_2MB, all), 2 * length, false},
		"a file": {func(t *testing.T) *os.File {
			t.Helper()
			f, err := os.Create(filepath.Join(t.TempDir(), "f"))
			must(t, err)
			must(t, f.Truncate(length))
			return f
		}, length, false},
		"a directory": {func(t *testing.T) *os.File {
			t.Helper()
			f, err := os.Open(t.TempDir())
			must(t, err)
			return f
		}, PageBytes, false},
		"a pipe": {func(t *testing.T) *os.File {
			t.Helper()
			r, w, err := os.Pipe()
			must(t, err)
			must(t, w.Close())
			return r
		}, PageBytes, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := test.file(t)
			m := NewMapper()
			err := m.Add(1, f, test.length)
			if test.ok != (err == nil) || (err != nil && !errors.Is(err, ErrUntrusted)) {
				t.Errorf("got %v", err)
			}
			if err := f.Close(); !errors.Is(err, os.ErrClosed) {
				t.Errorf("the descriptor is still open: %v", err)
			}
			must(t, m.Close())
		})
	}
}

// resident returns for each page of the first n bytes whether it has memory.
func resident(tb testing.TB, s *Segment, n uint64) []bool {
	tb.Helper()
	vec := make([]byte, n/PageBytes)
	_, _, errno := unix.Syscall(unix.SYS_MINCORE, addressOf(s.data), uintptr(n), addressOf(vec))
	if errno != 0 {
		tb.Fatal(errno)
	}
	got := make([]bool, len(vec))
	for i := range vec {
		got[i] = vec[i]&1 != 0
	}
	return got
}

func TestMemoryIsBackedBeforeUseAndNotLongBefore(t *testing.T) {
	t.Parallel()
	s := newTestSegment(t, DefaultBytes)
	for _, used := range []uint64{0, 1, stepBytes, 9<<20 + 1} {
		must(t, s.Back(used))
		for i, got := range resident(t, s, DefaultBytes) {
			at := uint64(i) * PageBytes
			if want := at < s.Backed(); got != want {
				t.Fatalf("page at %d, with %d bytes backed, is resident: %v", at, s.Backed(), got)
			}
		}
		if got := s.Backed(); got < used || got >= used+stepBytes {
			t.Errorf("%d bytes are backed for %d", got, used)
		}
	}
}

func TestFullMachineIsAnErrorAndNotASignal(t *testing.T) {
	t.Parallel()
	// Huge pages of a pool that is empty are memory that is not there, whatever else the machine does.
	fd, err := unix.MemfdCreate("mobula-test", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_HUGETLB|unix.MFD_HUGE_2MB)
	if err != nil {
		t.Skip("this kernel has no huge pages")
	}
	f := os.NewFile(uintptr(fd), "full")
	defer func() { must(t, f.Close()) }()
	const length = 1 << 40 // more than any pool has
	must(t, f.Truncate(length))
	data, err := unix.Mmap(fd, 0, length, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_NORESERVE)
	must(t, err)
	s := &Segment{file: f, data: data[:length:length]}
	defer func() { must(t, unix.Munmap(data)) }()
	s.back = func(offset, n uint64) error { return back(f, data, offset, n) }
	if err := back(f, data, 0, length); !errors.Is(err, ErrNoMemory) {
		t.Errorf("fallocate: %v", err)
	}
	if free, err := os.ReadFile("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages"); err != nil || string(free) != "0\n" {
		t.Skip("this machine has huge pages to spare")
	}
	if err := populate(data, 0, pieceBytes); err == nil {
		t.Error("faulting in pages that are not there: no error")
	}
	if err := s.Back(100 << 20); !errors.Is(err, ErrNoMemory) || s.Backed() != 0 {
		t.Errorf("%d bytes are backed: %v", s.Backed(), err)
	}
}

func TestPrefaultingBeginsWithTheFirstLargePut(t *testing.T) {
	t.Parallel()
	w := newTestWriter(t, WriterConfig{}, newNode(DefaultBytes, 1<<40))
	b, _ := acquire(t, w, 200<<10)
	s := w.byID[b.Segment].segment
	w.background.Wait()
	if s.Backed() > stepBytes {
		t.Errorf("%d bytes are backed for a small object", s.Backed())
	}
	for _, want := range []uint64{200<<10 + 3<<20 + pieceBytes, 200<<10 + 6<<20} {
		b, _ = acquire(t, w, 3<<20)
		w.waitAhead()
		if got := s.Backed(); got < want || got > 2*(b.End()+pieceBytes) {
			t.Errorf("%d bytes are backed for %d", got, b.End())
		}
	}
}

// waitAhead waits until no pre-faulting is under way. No idle timer may be running.
func (w *Writer) waitAhead() { w.background.Wait() }

func TestClosedSegmentsLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	const name = "mobula-leak-test"
	n := newNode(1<<20, 1<<40)
	w, m := NewWriter(WriterConfig{Name: name}, n), NewMapper()
	for range 3 {
		b, _ := acquire(t, w, 900<<10)
		must(t, w.Seal(b))
		must(t, m.Add(b.Segment, dup(t, n.announced[b.Segment]), n.length[b.Segment]))
	}
	if fds, maps := traces(t, name); fds != 3 || maps != 6 {
		t.Errorf("%d descriptors and %d mappings, want 3 and 6", fds, maps)
	}
	must(t, w.Close())
	must(t, m.Close())
	if fds, maps := traces(t, name); fds != 0 || maps != 0 {
		t.Errorf("%d descriptors and %d mappings are left", fds, maps)
	}
}

// traces counts the descriptors and mappings of this process whose name contains a word.
func traces(tb testing.TB, word string) (fds, maps int) {
	tb.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	must(tb, err)
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.Contains(to, word) {
			fds++
		}
	}
	all, err := os.ReadFile("/proc/self/maps")
	must(tb, err)
	return fds, bytes.Count(all, []byte(word))
}

// startRole runs this test binary as the other process, with one end of a socket pair as its descriptor 3.
func startRole(t *testing.T, role string) (*exec.Cmd, *net.UnixConn) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	theirs := os.NewFile(uintptr(pair[1]), "theirs")
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "MOBULA_TEST_SEGMENT_ROLE="+role)
	cmd.ExtraFiles = []*os.File{theirs}
	must(t, cmd.Start())
	must(t, theirs.Close())
	conn := connOf(t, os.NewFile(uintptr(pair[0]), "ours"))
	return cmd, conn
}

func connOf(tb testing.TB, f *os.File) *net.UnixConn {
	tb.Helper()
	c, err := net.FileConn(f)
	must(tb, errors.Join(err, f.Close()))
	tb.Cleanup(func() { must(tb, c.Close()) })
	return c.(*net.UnixConn) //nolint:errcheck // the socket pair is one of Unix sockets
}

// sendSegment passes a descriptor and receiveSegment gets one, with a word beside it.
func sendSegment(c *net.UnixConn, word string, f *os.File) error {
	_, _, err := c.WriteMsgUnix([]byte(word), unix.UnixRights(int(f.Fd())), nil)
	return err
}

func receiveSegment(c *net.UnixConn) (string, *os.File, error) {
	word, oob := make([]byte, 100), make([]byte, 100)
	n, oobn, _, _, err := c.ReadMsgUnix(word, oob)
	if err != nil {
		return "", nil, err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(messages) != 1 {
		return "", nil, fmt.Errorf("%d control messages: %w", len(messages), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return "", nil, err
	}
	return string(word[:n]), os.NewFile(uintptr(fds[0]), "received"), nil
}

func TestAnotherProcessReadsAndCannotWrite(t *testing.T) {
	t.Parallel()
	n := newNode(1<<20, 1<<40)
	w := newTestWriter(t, WriterConfig{}, n)
	acquire(t, w, 1)
	b, buf := acquire(t, w, 300<<10)
	pattern(buf, 42)
	must(t, w.Seal(b))
	cmd, conn := startRole(t, "reader")
	must(t, sendSegment(conn, fmt.Sprintf("%d %d %d", b.Segment, b.Offset, b.Size), n.announced[b.Segment]))
	answer := make([]byte, 100)
	k, err := conn.Read(answer)
	must(t, err)
	if got := string(answer[:k]); got != "read" {
		t.Errorf("the reader says: %s", got)
	}
	// It then writes to the object, which must end it, and only it.
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 2 {
		t.Errorf("the reader that wrote ended with %v, want a fatal error", err)
	}
	if !samePattern(buf, 42) {
		t.Error("the reader wrote to the object")
	}
}

func TestObjectOutlivesItsWriter(t *testing.T) {
	t.Parallel()
	cmd, conn := startRole(t, "writer")
	word, f, err := receiveSegment(conn)
	must(t, err)
	var b Block
	if _, err := fmt.Sscan(word, &b.Segment, &b.Offset, &b.Size); err != nil {
		t.Fatal(err)
	}
	m := NewMapper()
	must(t, m.Add(b.Segment, f, 1<<20))
	v, err := m.View(b)
	must(t, err)
	must(t, cmd.Process.Kill())
	if err := cmd.Wait(); err == nil {
		t.Error("the writer was not killed")
	}
	if !samePattern(v.Bytes(), 7) {
		t.Error("the object is not what the writer wrote")
	}
	must(t, v.Release())
	must(t, m.Close())
}

// runRole is the other process.
func runRole(role string) error {
	c, err := net.FileConn(os.NewFile(3, "theirs"))
	if err != nil {
		return err
	}
	conn := c.(*net.UnixConn) //nolint:errcheck // the socket pair is one of Unix sockets
	if role == "reader" {
		return runReader(conn)
	}
	return runWriter(conn)
}

func runReader(conn *net.UnixConn) error {
	word, f, err := receiveSegment(conn)
	if err != nil {
		return err
	}
	var b Block
	if _, err := fmt.Sscan(word, &b.Segment, &b.Offset, &b.Size); err != nil {
		return err
	}
	m := NewMapper()
	if err := m.Add(b.Segment, f, 1<<20); err != nil {
		return err
	}
	v, err := m.View(b)
	if err != nil {
		return err
	}
	if !samePattern(v.Bytes(), 42) {
		return errors.New("the object is not what the writer wrote")
	}
	if _, err := conn.Write([]byte("read")); err != nil {
		return err
	}
	v.Bytes()[0]++
	return nil
}

func runWriter(conn *net.UnixConn) error {
	s, err := Create("mobula-test", 1<<20)
	if err != nil {
		return err
	}
	b := Block{Segment: 9, Offset: PageBytes, Size: 100 << 10}
	if err := s.Back(b.End()); err != nil {
		return err
	}
	pattern(s.bytes(b.Offset, b.Size), 7)
	if err := sendSegment(conn, fmt.Sprintf("%d %d %d", b.Segment, b.Offset, b.Size), s.File()); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 1)) // until it is killed
	return err
}
