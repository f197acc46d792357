package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// The types of cells beside strings, numbers and truth values; each is written in one way in tables and in another in JSON.
type (
	// stamp is a time in Unix nanoseconds: how long ago in tables. 0 is none.
	stamp int64
	// bytesCount is a number of bytes: with a unit in tables.
	bytesCount uint64
	// state is where something stands: in colour in tables.
	state string
)

// column is one fact about each row of a list.
type column[T any] struct {
	// title heads the column in tables; empty, it is only in JSON.
	title string
	// key is its name in JSON; empty, it is only in tables.
	key string
	// value is the fact, of one of the types that table.cell knows.
	value func(T) any
}

// field is one named value.
type field struct {
	key   string
	value any
}

// object is a JSON object that keeps its order.
type object []field

// MarshalJSON implements json.Marshaler.
func (o object) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, f := range o {
		if i > 0 {
			b = append(b, ',')
		}
		key, err := json.Marshal(f.key)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(f.value)
		if err != nil {
			return nil, err
		}
		b = append(append(append(b, key...), ':'), value...)
	}
	return append(b, '}'), nil
}

// MarshalJSON implements json.Marshaler.
func (s stamp) MarshalJSON() ([]byte, error) {
	if s == 0 {
		return []byte("null"), nil
	}
	return json.Marshal(time.Unix(0, int64(s)).UTC())
}

// writeJSON writes a value for programs.
func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// rowsOf makes JSON objects of rows.
func rowsOf[T any](columns []column[T], rows []T) []object {
	objects := make([]object, 0, len(rows))
	for _, r := range rows {
		o := make(object, 0, len(columns))
		for _, c := range columns {
			if c.key != "" {
				o = append(o, field{c.key, c.value(r)})
			}
		}
		objects = append(objects, o)
	}
	return objects
}

// table writes cells in columns.
type table struct {
	colour bool
	now    time.Time
	cells  [][]cell
}

// cell is one cell: its text, how it is aligned, and its colour.
type cell struct {
	text   string
	right  bool
	colour string
}

// The colours; each is ended by plain.
const (
	bold, dim, red, green, yellow = "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[33m"
	plain                         = "\x1b[0m"
)

// colourful reports whether output to w is for a person who sees colours.
func colourful(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))
}

func newTable(w io.Writer) *table { return &table{colour: colourful(w), now: time.Now()} }

// add adds a row.
func (t *table) add(values ...any) {
	row := make([]cell, len(values))
	for i, v := range values {
		row[i] = t.cell(v)
	}
	t.cells = append(t.cells, row)
}

// heading is the type of cells at the top of a column.
type heading string

func (t *table) cell(v any) cell {
	switch v := v.(type) {
	case heading:
		return cell{text: string(v), colour: bold}
	case state:
		return cell{text: clean(string(v)), colour: colourOf(v)}
	case stamp:
		if v == 0 {
			return cell{text: "-"}
		}
		return cell{text: age(t.now.Sub(time.Unix(0, int64(v)))), right: true}
	case bytesCount:
		return cell{text: formatBytes(uint64(v)), right: true}
	case int, int32, int64, uint32, uint64, float64:
		return cell{text: fmt.Sprint(v), right: true}
	case bool:
		if v {
			return cell{text: "yes"}
		}
		return cell{text: "no"}
	case fmt.Stringer:
		return cell{text: clean(v.String())}
	case string:
		if v == "" {
			return cell{text: "-"}
		}
		return cell{text: clean(v)}
	default:
		return cell{text: clean(fmt.Sprint(v))}
	}
}

// colourOf says how a state looks: at work, waiting, in trouble, over.
func colourOf(s state) string {
	switch s {
	case "alive", "running", "ready", "busy":
		return green
	case "waiting", "queued", "blocked", "pending", "starting", "restarting", "draining", "ending", "building":
		return yellow
	case "failed", "dead", "error":
		return red
	default:
		return dim
	}
}

// clean takes out of a text, which may be any program's, what would move the cursor or break the line.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case r < 0x20 || r >= 0x7f && r < 0xa0:
			return '?'
		}
		return r
	}, text)
}

// cleanLines does so and keeps the lines.
func cleanLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = clean(line)
	}
	return strings.Join(lines, "\n")
}

// age writes a duration for people, to two places.
func age(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	default:
		return fmt.Sprintf("%dd%02dh", int(d.Hours())/24, int(d.Hours())%24)
	}
}

// writeTo writes the rows; the last column is not padded.
func (t *table) writeTo(w io.Writer) error {
	widths, right := t.measure()
	var b strings.Builder
	for _, row := range t.cells {
		for i, c := range row {
			pad := strings.Repeat(" ", widths[i]-length(c.text))
			switch text := t.paint(c); {
			case right[i]:
				b.WriteString(pad + text)
			case i == len(row)-1:
				b.WriteString(text)
			default:
				b.WriteString(text + pad)
			}
			if i < len(row)-1 {
				b.WriteString("  ")
			}
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// measure returns how wide each column is, and whether one of its cells makes it right-aligned.
func (t *table) measure() (widths []int, right []bool) {
	for _, row := range t.cells {
		for i, c := range row {
			if i == len(widths) {
				widths, right = append(widths, 0), append(right, false)
			}
			widths[i] = max(widths[i], length(c.text))
			right[i] = right[i] || c.right
		}
	}
	return widths, right
}

func (t *table) paint(c cell) string {
	if !t.colour || c.colour == "" {
		return c.text
	}
	return c.colour + c.text + plain
}

// length counts characters; wide ones count as one.
func length(text string) int { return len([]rune(text)) }
