package telemetry

import (
	"context"
	"encoding/hex"

	"go.opentelemetry.io/otel/trace"
)

// traceparentSize is the length of a W3C traceparent of version 00: 2 + 1 + 32 + 1 + 16 + 1 + 2.
const traceparentSize = 55

// tracestateMax is the longest W3C tracestate in bytes that is passed on, the least that the standard asks for; longer ones are left out.
const tracestateMax = 512

// Inject returns the W3C form of the span that ctx carries, for the far side of a call. Both strings are empty, and nothing is
// allocated, when ctx carries none. A span that is not sampled is passed on as such, so that the far side does not begin a trace of its
// own. Inject does not depend on whether this process traces: it passes on what it was given.
func Inject(ctx context.Context) (traceparent, tracestate string) {
	sc := trace.SpanContextFromContext(ctx)
	if !sc.IsValid() {
		return "", ""
	}
	return format(sc), stateOf(sc)
}

// Extract returns a context that carries the caller's span. A traceparent that is empty, forged or malformed leaves ctx as it is; a
// malformed tracestate is left out.
func Extract(ctx context.Context, traceparent, tracestate string) context.Context {
	sc, ok := parse(traceparent)
	if !ok {
		return ctx
	}
	return trace.ContextWithRemoteSpanContext(ctx, withState(sc, tracestate))
}

// parse reads a traceparent without allocating. It takes what OpenTelemetry's own propagator takes.
func parse(s string) (trace.SpanContext, bool) {
	if len(s) < traceparentSize || s[2] != '-' || s[35] != '-' || s[52] != '-' {
		return trace.SpanContext{}, false
	}
	var version, flags [1]byte
	var c trace.SpanContextConfig
	ok := unhex(version[:], s[0:2]) && unhex(c.TraceID[:], s[3:35]) && unhex(c.SpanID[:], s[36:52]) && unhex(flags[:], s[53:55])
	switch {
	case !ok, version[0] == 0xff:
		return trace.SpanContext{}, false
	case version[0] == 0 && (len(s) != traceparentSize || flags[0] > byte(trace.FlagsSampled|trace.FlagsRandom)):
		return trace.SpanContext{}, false
	case len(s) > traceparentSize && s[traceparentSize] != '-':
		return trace.SpanContext{}, false
	}
	c.TraceFlags = trace.TraceFlags(flags[0]) & (trace.FlagsSampled | trace.FlagsRandom)
	c.Remote = true
	sc := trace.NewSpanContext(c)
	return sc, sc.IsValid()
}

// format returns the traceparent of a span.
func format(sc trace.SpanContext) string {
	traceID, spanID := sc.TraceID(), sc.SpanID()
	flags := [1]byte{byte(sc.TraceFlags() & (trace.FlagsSampled | trace.FlagsRandom))}
	var b [traceparentSize]byte
	copy(b[:], "00-")
	hex.Encode(b[3:], traceID[:])
	b[35] = '-'
	hex.Encode(b[36:], spanID[:])
	b[52] = '-'
	hex.Encode(b[53:], flags[:])
	return string(b[:])
}

// withState adds a tracestate unless it is malformed or too long.
func withState(sc trace.SpanContext, tracestate string) trace.SpanContext {
	if tracestate == "" || len(tracestate) > tracestateMax {
		return sc
	}
	state, err := trace.ParseTraceState(tracestate)
	if err != nil {
		// The standard wants the traceparent kept when the tracestate is bad.
		return sc
	}
	return sc.WithTraceState(state)
}

// stateOf returns the tracestate of a span for the next hop.
func stateOf(sc trace.SpanContext) string {
	if s := sc.TraceState().String(); len(s) <= tracestateMax {
		return s
	}
	return ""
}

// unhex decodes lower-case hexadecimal of exactly the length of dst; the standard does not allow upper case.
func unhex(dst []byte, s string) bool {
	for i := range dst {
		high, low := nibble(s[2*i]), nibble(s[2*i+1])
		if high > 0xf || low > 0xf {
			return false
		}
		dst[i] = high<<4 | low
	}
	return true
}

// nibble returns the value of a hexadecimal digit, above 15 for anything else.
func nibble(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	default:
		return 0xff
	}
}
