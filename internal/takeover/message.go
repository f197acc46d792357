package takeover

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/mobula-dev/mobula/internal/id"
)

// message is the JSON form of a Role.
type message struct {
	Version  int               `json:"version"`
	Kind     Kind              `json:"kind"`
	Secret   Secret            `json:"secret"`
	Socket   string            `json:"socket,omitempty"`
	Node     string            `json:"node,omitempty"`
	Job      string            `json:"job,omitempty"`
	Worker   string            `json:"worker,omitempty"`
	Isolated bool              `json:"isolated,omitempty"`
	Settings map[string]string `json:"settings,omitempty"`
}

// encode returns the role message with its length before it.
func encode(r Role) ([]byte, error) {
	if !r.Kind.valid() {
		return nil, fmt.Errorf("encode role: unknown kind %q", r.Kind)
	}
	body, err := json.Marshal(message{
		Version: version, Kind: r.Kind, Secret: r.Secret, Socket: r.Socket,
		Node: r.Node.String(), Job: r.Job.String(), Worker: r.Worker.String(),
		Isolated: r.Isolated, Settings: r.Settings,
	})
	if err != nil {
		return nil, fmt.Errorf("encode role: %w", err)
	}
	if len(body) > messageMax {
		return nil, fmt.Errorf("encode role: message has %d bytes, at most %d are allowed", len(body), messageMax)
	}
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...), nil
}

// readMessage reads one role message and nothing beyond it.
func readMessage(r io.Reader) (message, error) {
	body, err := readBlob(r, messageMax)
	if err != nil {
		return message{}, err
	}
	var m message
	if err := json.Unmarshal(body, &m); err != nil {
		return message{}, fmt.Errorf("decode role message: %w", err)
	}
	return m, nil
}

// role validates the message. Its secret has been checked before.
func (m message) role() (Role, error) {
	if m.Version != version {
		return Role{}, fmt.Errorf("role message has version %d, this program understands %d: "+
			"build the program and the node with the same release", m.Version, version)
	}
	if !m.Kind.valid() {
		return Role{}, fmt.Errorf("role message has the unknown kind %q", m.Kind)
	}
	r := Role{Kind: m.Kind, Secret: m.Secret, Socket: m.Socket, Isolated: m.Isolated, Settings: m.Settings}
	var errs [3]error
	r.Node, errs[0] = parseID[id.Node](m.Node)
	r.Job, errs[1] = parseID[id.Job](m.Job)
	r.Worker, errs[2] = parseID[id.Worker](m.Worker)
	if err := errors.Join(errs[:]...); err != nil {
		return Role{}, fmt.Errorf("decode role message: %w", err)
	}
	return r, nil
}

// parseID reads an id that may be left out.
func parseID[A ~[16]byte](s string) (A, error) {
	if s == "" {
		var zero A
		return zero, nil
	}
	return id.Parse[A](s)
}

// readBlob reads a length of four bytes and so many bytes.
func readBlob(r io.Reader, limit int) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, fmt.Errorf("read message length: %w", err)
	}
	n := binary.BigEndian.Uint32(head[:])
	if int64(n) > int64(limit) {
		return nil, fmt.Errorf("message claims %d bytes, at most %d are allowed", n, limit)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, fmt.Errorf("read message: %w", err)
	}
	return body, nil
}
