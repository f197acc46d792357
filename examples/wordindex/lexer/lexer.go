// Package lexer finds the identifiers of Go source text, at a gigabyte in a few seconds. It knows just enough of the language to keep
// apart what looks like a name and is none: comments, strings, runes and numbers. It takes any bytes; text that is not valid Go gives
// some identifiers and no error.
package lexer

import (
	"bytes"
	"unicode"
	"unicode/utf8"
)

// class says what a byte can begin.
type class uint8

const (
	other  class = iota // operators, white space, control characters
	letter              // an identifier: a-z A-Z _
	digit               // a number
	quote               // a string or a rune: " ` '
	slash               // a comment, or a division
	dot                 // a number such as .5, or a selector
	wide                // a character outside of ASCII: an identifier if it is a letter
)

// classes has the class of every byte.
var classes = func() (t [256]class) {
	for c := range t {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '_':
			t[c] = letter
		case '0' <= c && c <= '9':
			t[c] = digit
		case c == '"', c == '`', c == '\'':
			t[c] = quote
		case c == '/':
			t[c] = slash
		case c == '.':
			t[c] = dot
		case c >= utf8.RuneSelf:
			t[c] = wide
		}
	}
	return t
}()

// Lexer reads one text. The zero Lexer has nothing to read; Reset gives it a text.
type Lexer struct {
	src []byte
	pos int
	// CommentBytes is the length of the comments that were passed, with what marks them.
	CommentBytes int
	// StringBytes is the length of the strings and runes that were passed, with their quotes.
	StringBytes int
}

// Reset makes the lexer read src from its beginning, and sets its counts to zero.
func (l *Lexer) Reset(src []byte) { *l = Lexer{src: src} }

// Next returns the next identifier or keyword, which is a part of the text, or nil at the end of the text.
func (l *Lexer) Next() []byte {
	for l.pos < len(l.src) {
		start := l.pos
		switch classes[l.src[start]] {
		case letter:
			return l.identifier(start, start+1)
		case wide:
			r, n := utf8.DecodeRune(l.src[start:])
			if unicode.IsLetter(r) {
				return l.identifier(start, start+n)
			}
			l.pos += n
		case digit:
			l.pos = number(l.src, start)
		case dot:
			l.pos++
			if l.pos < len(l.src) && classes[l.src[l.pos]] == digit {
				l.pos = number(l.src, start)
			}
		case quote:
			l.pos = literal(l.src, start)
			l.StringBytes += l.pos - start
		case slash:
			if end := comment(l.src, start); end > start {
				l.pos = end
				l.CommentBytes += end - start
			} else {
				l.pos++
			}
		case other:
			l.pos++
		}
	}
	return nil
}

// identifier returns the identifier from start, of which the bytes before end are known to be part.
func (l *Lexer) identifier(start, end int) []byte {
	src := l.src
	for end < len(src) {
		n := 1
		if c := classes[src[end]]; c == wide {
			var r rune
			if r, n = utf8.DecodeRune(src[end:]); !unicode.IsLetter(r) && !unicode.IsDigit(r) {
				break
			}
		} else if c != letter && c != digit {
			break
		}
		end += n
	}
	l.pos = end
	return src[start:end:end]
}

// number returns the end of the number that begins at i.
func number(src []byte, i int) int {
	hex := false
	if src[i] == '0' && i+1 < len(src) {
		switch src[i+1] {
		case 'x', 'X':
			hex = true
			i += 2
		case 'b', 'B', 'o', 'O':
			i += 2
		}
	}
	i = digits(src, i, hex)
	if i < len(src) && src[i] == '.' {
		i = digits(src, i+1, hex)
	}
	if i < len(src) && (src[i]|0x20 == 'e' || src[i]|0x20 == 'p') {
		i++
		if i < len(src) && (src[i] == '+' || src[i] == '-') {
			i++
		}
		i = digits(src, i, false)
	}
	if i < len(src) && src[i] == 'i' { // imaginary
		i++
	}
	return i
}

// digits returns the end of the digits, and underscores among them, that begin at i.
func digits(src []byte, i int, hex bool) int {
	for i < len(src) {
		c := src[i]
		lower := c | 0x20
		if ('0' > c || c > '9') && c != '_' && (!hex || 'a' > lower || lower > 'f') {
			break
		}
		i++
	}
	return i
}

// literal returns the end of the string or rune that begins at i. One that is not closed ends with its line, a raw string with the text.
func literal(src []byte, i int) int {
	mark := src[i]
	i++
	if mark == '`' {
		if n := bytes.IndexByte(src[i:], mark); n >= 0 {
			return i + n + 1
		}
		return len(src)
	}
	for i < len(src) {
		switch src[i] {
		case mark:
			return i + 1
		case '\n':
			return i
		case '\\':
			i++ // what follows does not close it
		}
		i++
	}
	return len(src)
}

// comment returns the end of the comment that begins at i, or i if none does.
func comment(src []byte, i int) int {
	if i+1 == len(src) {
		return i
	}
	switch src[i+1] {
	case '/':
		if n := bytes.IndexByte(src[i:], '\n'); n >= 0 {
			return i + n
		}
		return len(src)
	case '*':
		if n := bytes.Index(src[i+2:], []byte("*/")); n >= 0 {
			return i + 2 + n + 2
		}
		return len(src)
	default:
		return i
	}
}
