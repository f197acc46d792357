package workerpool

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	zygoteMessageMax = 64 << 10
	zygoteWriteLimit = 5 * time.Second
)

// What is said between the pool and a zygote.
const (
	opFork   = "fork"
	opReap   = "reap"
	opForked = "forked"
	opFailed = "failed"
	opExited = "exited"
)

// zygoteMessage is one message between the pool and a zygote, as JSON behind four bytes of length, big-endian.
type zygoteMessage struct {
	Op string `json:"op"`
	// Worker is the id, in hexadecimal: of fork, forked, failed.
	Worker string `json:"worker,omitempty"`
	// Proof is what the worker checks its role message's secret against: of fork.
	Proof string `json:"proof,omitempty"`
	// Mark is the value of guard.EnvMark for the worker and its subprocesses: of fork.
	Mark string `json:"mark,omitempty"`
	// PID is the worker's process: of forked, exited, reap.
	PID int `json:"pid,omitempty"`
	// Status is how it ended, as wait(2) has it: of exited.
	Status uint32 `json:"status,omitempty"`
	// Error says why nothing was forked: of failed.
	Error string `json:"error,omitempty"`
	// Threads is how many threads the zygote has, when that is why: of failed.
	Threads int `json:"threads,omitempty"`
}

// readZygoteMessage reads one message.
func readZygoteMessage(r io.Reader) (zygoteMessage, error) {
	var m zygoteMessage
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return m, fmt.Errorf("read length of a zygote's message: %w", err)
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > zygoteMessageMax {
		return m, fmt.Errorf("a zygote's message claims %d bytes, at most %d are allowed", n, zygoteMessageMax)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return m, fmt.Errorf("read a zygote's message: %w", err)
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return m, fmt.Errorf("decode a zygote's message: %w", err)
	}
	if m.PID < 0 || m.Op == opForked && m.PID <= 1 {
		return m, errors.New("a zygote's message names an impossible process")
	}
	return m, nil
}

// encodeZygoteMessage returns a message with its length before it.
func encodeZygoteMessage(m zygoteMessage) ([]byte, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode message to a zygote: %w", err)
	}
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...), nil
}

// write sends a message, with descriptors beside its first byte.
func (z *zygote) write(m zygoteMessage, files []*os.File) error {
	b, err := encodeZygoteMessage(m)
	if err != nil {
		return err
	}
	z.writeMu.Lock()
	defer z.writeMu.Unlock()
	conn := z.proc.Conn()
	if err := conn.SetWriteDeadline(time.Now().Add(zygoteWriteLimit)); err != nil {
		return fmt.Errorf("set deadline: %w", err)
	}
	if len(files) > 0 {
		fds := make([]int, len(files))
		for i, f := range files {
			fds[i] = int(f.Fd())
		}
		n, _, err := conn.WriteMsgUnix(b, unix.UnixRights(fds...), nil)
		if err != nil {
			return fmt.Errorf("write to zygote: %w", err)
		}
		b = b[n:]
	}
	if len(b) > 0 {
		if _, err := conn.Write(b); err != nil {
			return fmt.Errorf("write to zygote: %w", err)
		}
	}
	return nil
}
