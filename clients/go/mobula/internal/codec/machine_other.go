//go:build !(amd64 || arm64 || loong64 || mips64le || ppc64le || riscv64)

package codec

// Arrays are little endian on the wire and are aliased in memory, and lengths of 32 bits are kept in an int. So this
// package does not compile for other machines.
var _ int = "the codec needs a 64-bit little-endian machine"
