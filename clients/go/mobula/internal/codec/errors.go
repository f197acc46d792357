package codec

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// TypeError says that a Go type, or one value of it, cannot be sent or cannot be read.
type TypeError struct {
	// Path leads from the outermost type to the place, as in "Config.Hooks[2].Fn"; empty when the outermost value is meant.
	Path string
	// GoType is the Go type at that place.
	GoType string
	// Reason says why, and what to do about it.
	Reason string
	// Decoding is true when a value was read, false when it was sent or when only its type was checked.
	Decoding bool
	// Err is the error of a method of the user's type, if there was one.
	Err error

	// segments is the path, innermost first, while the error is on its way up.
	segments []string
}

// Error implements error.
func (e *TypeError) Error() string {
	if e.Decoding {
		return place(e.Path) + "cannot be read as " + e.GoType + ": " + e.Reason
	}
	return place(e.Path) + e.GoType + " cannot be sent: " + e.Reason
}

// Unwrap returns the error of the user's method, if there was one.
func (e *TypeError) Unwrap() error { return e.Err }

// NotPortableError says that a value holds an object that only Python can open. It is never unpickled.
type NotPortableError struct {
	// Path leads to the place, as in TypeError.
	Path string
	// PythonType is the qualified name of the object's Python type, as its sender gave it.
	PythonType string

	segments []string
}

// Error implements error.
func (e *NotPortableError) Error() string {
	return fmt.Sprintf("%sPython object of type %q cannot be read here: it is pickled, and only Python opens pickles;"+
		" send plain data, an array or a protobuf message instead", place(e.Path), e.PythonType)
}

// FormatError says that bytes are not a value: they are cut short, or break a rule of docs/values.md.
type FormatError struct {
	// Offset is where in the metadata, or in the stored object, reading stopped.
	Offset int
	// Reason says which rule was broken.
	Reason string
}

// Error implements error.
func (e *FormatError) Error() string {
	return fmt.Sprintf("malformed value at byte %d: %s", e.Offset, e.Reason)
}

// place is how a path begins a message.
func place(path string) string {
	switch {
	case path == "":
		return ""
	case strings.Contains(path, "."):
		return "field " + path + ": "
	default:
		return "element " + path + ": "
	}
}

// at adds one step to the path of an error that comes up from a value of type t. It is called on the way out only, so
// that success pays nothing for paths.
func at(err error, t reflect.Type, step string) error {
	switch e := err.(type) { //nolint:errorlint // an error that a user's method wrapped has a path of its own
	case *TypeError:
		if e.GoType == "" {
			e.GoType = t.String()
		}
		e.segments = push(e.segments, step)
	case *NotPortableError:
		e.segments = push(e.segments, step)
	}
	return err
}

// push adds a step; pointers have none.
func push(segments []string, step string) []string {
	if step == "" {
		return segments
	}
	return append(segments, step)
}

// finish completes the path of an error that has reached the outermost value, which is of type t.
func finish(err error, t reflect.Type) error {
	if err == nil {
		return nil
	}
	switch e := err.(type) { //nolint:errorlint // an error that a user's method wrapped has a path of its own
	case *TypeError:
		if e.GoType == "" {
			e.GoType = t.String()
		}
		e.Path, e.segments = join(t, e.segments), nil
	case *NotPortableError:
		e.Path, e.segments = join(t, e.segments), nil
	}
	return err
}

// Paths longer than pathFirst+pathLast steps, which only cycles and deep lists have, lose their middle.
const (
	pathFirst = 8
	pathLast  = 4
)

// join writes a path given innermost first.
func join(t reflect.Type, segments []string) string {
	if len(segments) == 0 {
		return ""
	}
	steps := slices.Clone(segments)
	slices.Reverse(steps)
	if len(steps) > pathFirst+pathLast {
		steps = slices.Concat(steps[:pathFirst], []string{" … "}, steps[len(steps)-pathLast:])
	}
	path := strings.Join(steps, "")
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if name, _, _ := strings.Cut(t.Name(), "["); strings.HasPrefix(path, ".") && name != "" {
		return name + path
	}
	return strings.TrimPrefix(path, ".")
}

// unsendable makes a TypeError for sending; the type is filled in on the way up.
func unsendable(reason string) *TypeError { return &TypeError{Reason: reason} }

// unreadable makes a TypeError for reading; the type is filled in on the way up.
func unreadable(format string, args ...any) *TypeError {
	return &TypeError{Decoding: true, Reason: fmt.Sprintf(format, args...)}
}

// mismatch says what was wanted and what the value holds.
func mismatch(want string, t token) *TypeError { return unreadable("want %s, got %s", want, t) }
