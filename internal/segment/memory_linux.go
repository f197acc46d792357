package segment

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// neededSeals are those without which a reader is in danger: a file that shrinks kills whoever reads behind its new end.
const neededSeals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL

// kernel is what the running kernel offers, found out once by trying.
type kernel struct {
	// flags of memfd_create.
	flags int
	// seals that it can set while a writable mapping exists. Without F_SEAL_FUTURE_WRITE (before Linux 5.1, or gVisor) readers are
	// kept from writing by their own read-only mappings only.
	seals int
	// hugeByFault says that huge pages come with a fault on an advised mapping only, and never with fallocate.
	hugeByFault bool
}

var probe = sync.OnceValues(func() (kernel, error) {
	k := kernel{flags: unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING | unix.MFD_NOEXEC_SEAL}
	fd, err := memfd("mobula-probe", k.flags)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3
		k.flags &^= unix.MFD_NOEXEC_SEAL
		fd, err = memfd("mobula-probe", k.flags)
	}
	if err != nil {
		return k, fmt.Errorf("%w: %w", ErrUnsupported, os.NewSyscallError("memfd_create", err))
	}
	f := os.NewFile(uintptr(fd), "mobula-probe")
	defer f.Close() //nolint:errcheck // an empty file of our own has nothing to lose
	k.seals = neededSeals | unix.F_SEAL_FUTURE_WRITE
	if setSeals(f, unix.F_SEAL_FUTURE_WRITE) != nil {
		k.seals = neededSeals
	}
	if err := setSeals(f, neededSeals); err != nil {
		return k, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	policy, err := os.ReadFile("/sys/kernel/mm/transparent_hugepage/shmem_enabled")
	k.hugeByFault = err == nil && bytes.Contains(policy, []byte("[advise]"))
	return k, nil
})

// memfd is memfd_create, again after signals.
func memfd(name string, flags int) (fd int, err error) {
	err = retry(func() error {
		fd, err = unix.MemfdCreate(name, flags)
		return err
	})
	return fd, err
}

func createFile(name string) (*os.File, error) {
	k, err := probe()
	if err != nil {
		return nil, err
	}
	fd, err := memfd(name, k.flags)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

func seal(f *os.File) error {
	k, err := probe()
	if err != nil {
		return err
	}
	return setSeals(f, k.seals)
}

func setSeals(f *os.File, seals int) error {
	_, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals)
	return os.NewSyscallError("fcntl F_ADD_SEALS", err)
}

// checkSeals refuses a file whose length or writability may still change, and files whose pages may be missing when they are read
// though the file is sealed (those of hugetlbfs).
func checkSeals(f *os.File) error {
	k, err := probe()
	if err != nil {
		return err
	}
	seals, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUntrusted, os.NewSyscallError("fcntl F_GET_SEALS", err))
	}
	if seals&unix.F_SEAL_WRITE != 0 {
		seals |= unix.F_SEAL_FUTURE_WRITE // the stronger of the two
	}
	if missing := k.seals &^ seals; missing != 0 {
		return fmt.Errorf("%w: seals are %#x, without %#x", ErrUntrusted, seals, missing)
	}
	var fs unix.Statfs_t
	if err := retry(func() error { return unix.Fstatfs(int(f.Fd()), &fs) }); err != nil {
		return fmt.Errorf("%w: %w", ErrUntrusted, os.NewSyscallError("fstatfs", err))
	}
	if fs.Type != unix.TMPFS_MAGIC {
		return fmt.Errorf("%w: it lies on a file system of type %#x", ErrUntrusted, fs.Type)
	}
	return nil
}

// advise asks for huge pages: nothing where the administrator has not enabled them for shared memory, four times faster first
// puts where they are. Refusal costs nothing.
func advise(data []byte) { _ = unix.Madvise(data, unix.MADV_HUGEPAGE) }

// back puts memory behind [offset, offset+n) of the file and maps it, so that no access can fail and none is slow. fallocate before
// the populating faults takes a tenth to a fifth less processor time than the faults alone; it is left out where it would keep huge pages away.
func back(f *os.File, data []byte, offset, n uint64) error {
	k, err := probe()
	if err != nil {
		return err
	}
	if k.hugeByFault && populate(data, offset, n) == nil {
		return nil
	}
	err = retry(func() error { return unix.Fallocate(int(f.Fd()), 0, int64(offset), int64(n)) })
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoMemory, os.NewSyscallError("fallocate", err))
	}
	// EINVAL is a kernel before 5.14: the memory is there, the first touch maps it.
	if err := populate(data, offset, n); err != nil && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("%w: %w", ErrNoMemory, os.NewSyscallError("madvise MADV_POPULATE_WRITE", err))
	}
	return nil
}

// populate maps the pages of [offset, offset+n) writable. The range is widened to the machine's pages, which may be longer than
// PageBytes.
func populate(data []byte, offset, n uint64) error {
	page := uint64(os.Getpagesize())
	from := offset &^ (page - 1)
	return retry(func() error { return unix.Madvise(data[from:offset+n], unix.MADV_POPULATE_WRITE) })
}

// retry repeats a system call that a signal interrupts; the runtime sends itself signals all the time.
func retry(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
