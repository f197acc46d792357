package model

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"
)

// schemaVersion begins every schema, so that a new way to write them changes all fingerprints.
const schemaVersion = "mobula schema 1"

// Schema returns the canonical schema of an instance: one line for the call and one for each declared type that its
// values may contain, sorted. Two schemas are equal exactly if the same values go over the wire under the same names.
// Names of parameters, options and how the source takes its context and returns its error are not part of it.
func (ts Types) Schema(in *Instance) string {
	var b strings.Builder
	b.WriteString(schemaVersion + "\n" + in.ID + "(")
	writeParams(&b, in.Signature.Params)
	b.WriteString(")(")
	writeParams(&b, in.Signature.Results)
	b.WriteString(")\n")
	for _, id := range ts.Reach(in.Signature) {
		ts.define(&b, id)
	}
	return b.String()
}

// Fingerprint returns the first 64 bits, big endian, of the SHA-256 of the instance's schema.
func (ts Types) Fingerprint(in *Instance) uint64 {
	sum := sha256.Sum256([]byte(ts.Schema(in)))
	return binary.BigEndian.Uint64(sum[:8])
}

// Reach returns the IDs of the declared types that values of a signature may contain, sorted.
func (ts Types) Reach(s Signature) []string {
	seen := map[string]bool{}
	var visit func(t *Type)
	visit = func(t *Type) {
		t.Walk(func(t *Type) bool {
			if t.Kind == Alias {
				visit(t.Elem)
				return false
			}
			if t.Kind != Named {
				return true
			}
			id := t.ID()
			d := ts[id]
			if seen[id] || d == nil {
				return false
			}
			seen[id] = true
			visit(d.Underlying)
			for _, f := range d.Fields {
				visit(f.Type)
			}
			// The arguments of a generic type matter only where its fields mention them.
			return false
		})
	}
	for _, p := range slices.Concat(s.Params, s.Results) {
		visit(p.Type)
	}
	ids := make([]string, 0, len(seen))
	for id := range seen {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// define writes the definition of a declared type.
func (ts Types) define(b *strings.Builder, id string) {
	d := ts[id]
	b.WriteString(id + " = " + d.Form.String())
	switch d.Form {
	case Plain:
		b.WriteString(" ")
		d.Underlying.write(b)
	case Structure:
		writeFields(b, ts.Wire(d.Fields))
	case Text, Binary, Message, AnyMessage, Time, Duration, BigInt, Tensor:
		// The form says it all.
	}
	b.WriteString("\n")
}

// writeParams writes the types of parameters or results.
func writeParams(b *strings.Builder, params []Param) {
	for i, p := range params {
		if i > 0 {
			b.WriteString(",")
		}
		p.Type.write(b)
	}
}
