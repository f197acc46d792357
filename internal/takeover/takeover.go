// Package takeover is the contract between a process that starts another in a Mobula role and the process that is started:
// the node manager and its workers, a driver and its embedded node.
//
// A role is an inherited descriptor plus a one-time secret. It never comes from the command line, and nothing that
// the environment shows is worth stealing. Clients in every language keep to this:
//
//   - MOBULA_ROLE is "worker", "node", "guard" or "zygote"; MOBULA_ROLE_FD is the number of an inherited Unix stream socket;
//     MOBULA_ROLE_PROOF is the hexadecimal SHA-256 of the secret's 32 bytes. Standard input is empty.
//   - On the socket the started process finds one message: four bytes of length, big-endian, and so many bytes of JSON:
//     {"version":1, "kind", "secret", "socket", "node", "job", "worker", "isolated", "settings"}; ids and secret in hexadecimal.
//   - The process removes the three variables, marks the descriptor close-on-exec, and checks that the message's secret has
//     the digest of MOBULA_ROLE_PROOF and that both kinds agree. Anything wrong: a sentence on standard error and exit code 3. It never goes on
//     to run the user's program. Before that check has passed it writes nothing to a descriptor that may be someone else's.
//   - It answers one byte 1 once it has taken over, or one byte 2, four bytes of length and a reason, when it cannot serve the role.
//   - From then on the socket is a plain connection between the two, free for a session. Its end is the end of the starter, and the
//     process then ends itself and its process group.
//
// The variables are gone after takeover, so a subprocess of user code does not become a worker.
//
// # Forked workers
//
// A zygote is a process of an interpreted language that has imported what its workers need and forks them: it takes over the role "zygote"
// as above, after which its socket carries requests to fork in place of a session (package workerpool has them). A forked worker takes over by the
// same contract, except that descriptor and proof come in such a request and never were in an environment: it reads the role message from
// the descriptor, checks the secret against the proof and the kind, and answers 1 or 2.
package takeover

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/mobula-dev/mobula/internal/id"
)

// The variables that carry a role. Users must not set them.
const (
	EnvRole  = "MOBULA_ROLE"
	EnvFD    = "MOBULA_ROLE_FD"
	EnvProof = "MOBULA_ROLE_PROOF"
)

const (
	// ExitCode is the exit code of a process that was given a role and could not take it over.
	ExitCode = 3
	// DefaultTimeout is how long a started process has until it must have taken over.
	DefaultTimeout = 10 * time.Second

	version = 1
	// messageMax bounds the role message, so that it always fits the buffer of a socket nobody reads yet.
	messageMax = 32 << 10
	reasonMax  = 4 << 10
	readyByte  = 1
	refuseByte = 2
	// ioTimeout bounds reads and writes of a message that should be there already.
	ioTimeout = 5 * time.Second
)

// Kind says what a started process is to be.
type Kind string

// The kinds of process. A guard needs nothing from the program that it runs in: Take serves it and does not return. A zygote forks workers; no Go
// program takes over that role.
const (
	KindWorker Kind = "worker"
	KindNode   Kind = "node"
	KindGuard  Kind = "guard"
	KindZygote Kind = "zygote"
)

func (k Kind) valid() bool {
	return k == KindWorker || k == KindNode || k == KindGuard || k == KindZygote
}

// Secret proves to the starter that a connection comes from the process it started. It is made for one start.
type Secret [32]byte

// NewSecret returns a random secret.
func NewSecret() Secret {
	var s Secret
	_, _ = rand.Read(s[:]) // Never fails: crypto/rand ends the process instead.
	return s
}

// String hides the secret from logs.
func (s Secret) String() string { return "[secret]" }

// GoString hides the secret from logs.
func (s Secret) GoString() string { return "[secret]" }

// MarshalText returns the hexadecimal form, for the role message.
func (s Secret) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, s[:]), nil }

// UnmarshalText reads the hexadecimal form.
func (s *Secret) UnmarshalText(b []byte) error {
	if len(b) != hex.EncodedLen(len(s)) {
		return fmt.Errorf("secret has %d characters, want %d", len(b), hex.EncodedLen(len(s)))
	}
	_, err := hex.Decode(s[:], b)
	return err
}

// proof is what the environment may show of the secret.
func (s Secret) proof() string {
	sum := sha256.Sum256(s[:])
	return hex.EncodeToString(sum[:])
}

// Role is what a starter tells the process that it starts.
type Role struct {
	Kind Kind
	// Secret is filled in by New and Prepare when it is zero.
	Secret Secret
	// Socket is the path of the node's session socket. It is empty when the session runs on the inherited descriptor itself.
	Socket string
	Node   id.Node
	Job    id.Job
	Worker id.Worker
	// Isolated says that the worker has a process of its own: it may be ended without harm to other tasks.
	Isolated bool
	// Settings are for the client library of the started process; takeover does not read a worker's or a node's.
	Settings map[string]string
}

// ErrClosed says that the started process ended, or closed its descriptor, before it took over.
var ErrClosed = errors.New("the process ended, or closed its role descriptor, before it took over")

// TimeoutError says that a started process did not take over in time.
type TimeoutError struct {
	After time.Duration
}

func (e *TimeoutError) Error() string {
	return fmt.Sprintf("the process has not taken over its role within %v: does an init function of the program block, "+
		`or is mobula_main_gen.go missing? Run "go generate ./..." and try again`, e.After)
}

// Timeout marks the error as a timeout, as package net does.
func (e *TimeoutError) Timeout() bool { return true }

// RefusedError carries the reason that the started process gave for not serving its role.
type RefusedError struct {
	Reason string
}

func (e *RefusedError) Error() string { return "the process refused its role: " + e.Reason }

// Exit reports on standard error that this process cannot take over its role and ends it with ExitCode.
func Exit(err error) {
	fmt.Fprintf(os.Stderr, "mobula: %v\n", err)
	exit(ExitCode)
}

// exit ends the process. In a role there is no main to return to: it is the user's, and must not run.
func exit(code int) {
	os.Exit(code) //nolint:forbidigo // See above.
}

// Environ returns env without the variables that carry a role.
func Environ(env []string) []string {
	kept := make([]string, 0, len(env)+3)
	for _, kv := range env {
		name, _, _ := strings.Cut(kv, "=")
		if !Reserved(name) {
			kept = append(kept, kv)
		}
	}
	return kept
}

// Reserved reports whether an environment variable belongs to this package.
func Reserved(name string) bool {
	return name == EnvRole || name == EnvFD || name == EnvProof
}
