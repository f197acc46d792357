// Package codec turns Go values into Mobula's cross-language value format and back. docs/values.md fixes the bytes;
// this package is the Go half.
//
// A value is metadata (MessagePack), numbered out-of-band buffers, and the ids of the refs inside. Encode appends to a
// reusable Encoder, Decode reads from a reusable Decoder, so that the arguments of a call are one value without boxing:
//
//	e.Reset()
//	e.BeginArray(2)
//	err = codec.Encode(e, a)
//	err = codec.Encode(e, b)
//	send(e.Finish())
//
// A type is compiled once into a plan, a pair of functions that work on a pointer to the value, and cached for the life
// of the process; Check does that ahead of time and reports what can never be sent. Plans read and write memory through
// unsafe.Pointer, always at the address of a whole value of the plan's own type. Three rules keep that sound: an encoded
// value lies on the heap or is the caller's own, never a hidden stack slot; bytes from outside become numbers only where
// every bit pattern is a valid one (so not bool, which is checked); and memory is aliased only when it is aligned.
//
// Input is hostile until proved otherwise: no input makes a Decoder panic, recurse beyond 1,000 levels, or allocate
// beyond the size of the input times the size of the elements of the wanted type.
package codec
