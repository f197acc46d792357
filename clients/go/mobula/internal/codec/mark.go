package codec

// Mark is a place in what an Encoder has written.
type Mark struct{ meta, buffers, refs int }

// Mark returns the present place.
func (e *Encoder) Mark() Mark {
	return Mark{meta: len(e.meta), buffers: len(e.buffers), refs: len(e.refs)}
}

// Since returns how many bytes were written since m, buffers included.
func (e *Encoder) Since(m Mark) int {
	n := len(e.meta) - m.meta + len(e.refs) - m.refs
	for _, b := range e.buffers[m.buffers:] {
		n += len(b)
	}
	return n
}

// Rewind takes back what was written since m.
func (e *Encoder) Rewind(m Mark) {
	clear(e.buffers[m.buffers:])
	e.meta, e.buffers, e.refs = e.meta[:m.meta], e.buffers[:m.buffers], e.refs[:m.refs]
}
