package telemetry

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

// post sends one span over HTTP, in one attempt, to a collector that answers as handler does.
func post(t *testing.T, handler http.HandlerFunc) (reply, error) {
	t.Helper()
	server := httptest.NewServer(handler)
	defer server.Close()
	h, err := newHTTPSender(settings{protocol: protocolHTTP, endpoint: server.URL + "/v1/traces"}, delivery{timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	r, err := h.send(t.Context(), encode([]sdktrace.ReadOnlySpan{sampled()}))
	if err := h.close(); err != nil {
		t.Error(err)
	}
	return r, err
}

func TestAnswersOverHTTPAreThoseOfTheSpecification(t *testing.T) {
	t.Parallel()
	partial := wire(&collectorpb.ExportTraceServiceResponse{
		PartialSuccess: &collectorpb.ExportTracePartialSuccess{RejectedSpans: 2, ErrorMessage: "why"},
	})
	tests := map[string]struct {
		status             int
		kind, after, body  string
		want               reply
		retry, fail        bool
		wantAfter          time.Duration
		wantErrorToContain string
	}{
		"taken":                       {status: 200, kind: typeProtobuf},
		"taken, says a proxy":         {status: 202, kind: "text/html", body: "<b>"},
		"partly taken":                {status: 200, kind: typeProtobuf, body: partial, want: reply{2, "why"}},
		"partly taken, JSON":          {status: 200, kind: typeJSON + "; charset=utf-8", body: `{"partialSuccess":{"rejectedSpans":"2","errorMessage":"why"}}`, want: reply{2, "why"}},
		"partly taken, JSON's number": {status: 200, kind: typeJSON, body: `{"partialSuccess":{"rejectedSpans":2}}`, want: reply{rejected: 2}},
		"taken, JSON":                 {status: 200, kind: typeJSON, body: `{"partialSuccess":null}`},
		"taken, empty JSON":           {status: 200, kind: typeJSON},
		"garbage":                     {status: 200, kind: typeProtobuf, body: "\x0a", fail: true},
		"garbage, JSON":               {status: 200, kind: typeJSON, body: "{", fail: true},
		"garbage, JSON's number":      {status: 200, kind: typeJSON, body: `{"partialSuccess":{"rejectedSpans":1.5}}`, fail: true},
		"endless":                     {status: 200, kind: typeProtobuf, body: strings.Repeat("\x00", responseMax+1), fail: true},
		"bad request":                 {status: 400, after: "5", body: "no such field", fail: true, wantErrorToContain: "400 Bad Request: no such field"},
		"internal":                    {status: 500, fail: true},
		"too many":                    {status: 429, after: "7", retry: true, wantAfter: 7 * time.Second},
		"unavailable":                 {status: 503, after: "soon", retry: true, wantErrorToContain: "503 Service Unavailable"},
		"bad gateway":                 {status: 502, retry: true},
		"gateway timeout":             {status: 504, after: "-1", retry: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := post(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", test.kind)
				if test.after != "" {
					w.Header().Set("Retry-After", test.after)
				}
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body) // the client may have had enough
			})
			retry, ok := errors.AsType[*retryError](err)
			if ok != test.retry || (err != nil) != (test.retry || test.fail) || got != test.want {
				t.Fatalf("got %+v, %v, want %+v", got, err, test)
			}
			if ok && retry.after != test.wantAfter || err != nil && !strings.Contains(err.Error(), test.wantErrorToContain) {
				t.Errorf("error is %v, want it to wait %v and to say %q", err, test.wantAfter, test.wantErrorToContain)
			}
		})
	}
}

func TestRetryAfterIsReadAsSecondsOrDate(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]time.Duration{
		"": 0, "0": 0, "90": 90 * time.Second, "-1": 0, "99999999999999999999": 0, "1.5": 0, "Thu, 01 Jan 1970 00:00:00 GMT": 0,
	} {
		if got := retryAfter(header); got != want {
			t.Errorf("%q is %v, want %v", header, got, want)
		}
	}
	if got := retryAfter(time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)); got < 59*time.Minute || got > time.Hour {
		t.Errorf("date in an hour is %v", got)
	}
}

func TestAttemptThatTimesOutOverHTTPMayBeRepeatedAndOneThatIsRefusedMayNot(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	h, err := newHTTPSender(settings{protocol: protocolHTTP, endpoint: server.URL}, delivery{timeout: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.send(t.Context(), &tracepb.TracesData{})
	if _, ok := errors.AsType[*retryError](err); !ok {
		t.Errorf("time out gives %v, want one that may pass", err)
	}
	close(release)
	server.Close()
	h.client.Timeout = 10 * time.Second
	_, err = h.send(t.Context(), &tracepb.TracesData{})
	if _, ok := errors.AsType[*retryError](err); ok || err == nil {
		t.Errorf("refused connection gives %v, want one that lasts", err)
	}
	if err := h.close(); err != nil {
		t.Error(err)
	}
}

func TestExportsJSONOverHTTPSWithBothSidesCertificates(t *testing.T) {
	clearEnv(t)
	id := newIdentity(t)
	var got atomic.Pointer[tracepb.TracesData]
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		b, err := io.ReadAll(z)
		if err != nil || r.URL.Path != "/in" || r.Header.Get("Content-Type") != typeJSON || r.Header.Get("X-Key") != "s" {
			http.Error(w, fmt.Sprint(err, r.URL, r.Header), http.StatusBadRequest)
			return
		}
		batch, err := unmarshalJSON(b)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		got.Store(batch)
	}))
	server.TLS = id.server()
	server.StartTLS()
	defer server.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", server.URL+"/in")
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=s")
	t.Setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
	id.setEnv(t)
	exportOne(t)
	if spans := got.Load().GetResourceSpans()[0].GetScopeSpans()[0].GetSpans(); len(spans) != 1 || spans[0].GetName() != "queue" {
		t.Errorf("collector got %v", spans)
	}
}

func TestJSONHasHexadecimalIDsAndNumbersForEnums(t *testing.T) {
	t.Parallel()
	span := &tracepb.Span{
		TraceId: bytes.Repeat([]byte{0xab}, 16), SpanId: bytes.Repeat([]byte{1}, 8), ParentSpanId: bytes.Repeat([]byte{0xff}, 8),
		Kind: tracepb.Span_SPAN_KIND_SERVER, EndTimeUnixNano: 1 << 60,
	}
	b, err := marshalJSON(&tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{{ScopeSpans: []*tracepb.ScopeSpans{{Spans: []*tracepb.Span{span}}}}}})
	if err != nil {
		t.Fatal(err)
	}
	var got, want any
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[{
		"traceId":"abababababababababababababababab","spanId":"0101010101010101","parentSpanId":"ffffffffffffffff",
		"kind":2,"endTimeUnixNano":"1152921504606846976"}]}]}]}`), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("JSON differs (-want +got):\n%s", diff)
	}
}

func TestJSONIsTheBatch(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		batch := encode(tracetest.SpanStubs(rapid.SliceOfN(rapid.Custom(drawStub), 0, 2).Draw(t, "spans")).Snapshots())
		before := proto.CloneOf(batch)
		b, err := marshalJSON(batch)
		if err != nil {
			t.Fatal(err)
		}
		got, err := unmarshalJSON(b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := difference(batch, got); diff != "" {
			t.Fatalf("JSON has another batch (-sent +got):\n%s", diff)
		}
		if diff := difference(before, batch); diff != "" {
			t.Fatalf("the batch was changed:\n%s", diff)
		}
	})
}

// unmarshalJSON reads OTLP's JSON by way of protobuf's.
func unmarshalJSON(b []byte) (*tracepb.TracesData, error) {
	var tree any
	decoder := json.NewDecoder(bytes.NewReader(b))
	decoder.UseNumber()
	if err := decoder.Decode(&tree); err != nil {
		return nil, err
	}
	if err := unhexIDs(tree); err != nil {
		return nil, err
	}
	b, err := json.Marshal(tree)
	if err != nil {
		return nil, err
	}
	var batch tracepb.TracesData
	return &batch, protojson.Unmarshal(b, &batch)
}

// unhexIDs turns the ids in a tree of JSON into base64.
func unhexIDs(tree any) error {
	switch node := tree.(type) {
	case []any:
		for _, item := range node {
			if err := unhexIDs(item); err != nil {
				return err
			}
		}
	case map[string]any:
		for key, value := range node {
			text, ok := value.(string)
			if !ok || key != "traceId" && key != "spanId" && key != "parentSpanId" {
				if err := unhexIDs(value); err != nil {
					return err
				}
				continue
			}
			id, err := hex.DecodeString(text)
			if err != nil {
				return err
			}
			node[key] = base64.StdEncoding.EncodeToString(id)
		}
	}
	return nil
}
