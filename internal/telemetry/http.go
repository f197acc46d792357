package telemetry

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// The content types of OTLP.
const (
	typeProtobuf = "application/x-protobuf"
	typeJSON     = "application/json"
)

// responseMax is the longest response in bytes that is read: OpenTelemetry's default, and gRPC's.
const responseMax = 4 << 20

// httpSender sends batches over HTTP.
type httpSender struct {
	client *http.Client
	url    string
	header http.Header
	json   bool
	// zip compresses the batches; nil leaves them as they are.
	zip *gzip.Writer
}

// newHTTPSender returns a sender, which connects when it sends.
func newHTTPSender(s settings, d delivery) (*httpSender, error) {
	u, err := url.Parse(s.endpoint)
	if err != nil {
		return nil, err
	}
	h := &httpSender{
		// Neither a password nor a query: errors show the URL.
		url:    (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String(),
		header: http.Header{},
		json:   s.protocol == protocolHTTPJSON,
	}
	// http.DefaultTransport is the program's to change.
	h.client = &http.Client{Timeout: d.timeout, Transport: &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:     d.tls,
		TLSHandshakeTimeout: 10 * time.Second,
		IdleConnTimeout:     90 * time.Second,
		ForceAttemptHTTP2:   true,
	}}
	h.header.Set("User-Agent", userAgent)
	for name, value := range d.headers {
		h.header.Set(name, value)
	}
	h.header.Set("Content-Type", typeProtobuf)
	if h.json {
		h.header.Set("Content-Type", typeJSON)
	}
	if d.gzip {
		h.header.Set("Content-Encoding", "gzip")
		h.zip = gzip.NewWriter(nil)
	}
	return h, nil
}

// send makes one request.
func (h *httpSender) send(ctx context.Context, batch *tracepb.TracesData) (reply, error) {
	body, err := h.body(batch)
	if err != nil {
		return reply{}, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url, bytes.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	request.Header = h.header.Clone()
	response, err := h.client.Do(request)
	if err != nil {
		if failure, ok := errors.AsType[*url.Error](err); ok && failure.Temporary() {
			return reply{}, &retryError{error: err}
		}
		return reply{}, err
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, responseMax+1))
	_ = response.Body.Close() // all that matters has been read
	switch {
	case err != nil:
		return reply{}, fmt.Errorf("read the collector's response: %w", err)
	case len(text) > responseMax:
		return reply{}, fmt.Errorf("the collector's response has more than %d bytes", responseMax)
	case response.StatusCode/100 == 2:
		return readBody(response.Header.Get("Content-Type"), text)
	default:
		return reply{}, httpFailure(response, fmt.Errorf("%s answers %s: %.300s", h.url, response.Status, text))
	}
}

// close closes the connections.
func (h *httpSender) close() error {
	h.client.CloseIdleConnections()
	return nil
}

// body returns the batch as a request has it.
func (h *httpSender) body(batch *tracepb.TracesData) ([]byte, error) {
	var b []byte
	var err error
	if h.json {
		b, err = marshalJSON(batch)
	} else {
		b, err = proto.Marshal(batch)
	}
	if err != nil {
		return nil, fmt.Errorf("encode batch: %w", err)
	}
	if h.zip == nil {
		return b, nil
	}
	var zipped bytes.Buffer
	h.zip.Reset(&zipped)
	if _, err := h.zip.Write(b); err != nil {
		return nil, fmt.Errorf("compress batch: %w", err)
	}
	if err := h.zip.Close(); err != nil {
		return nil, fmt.Errorf("compress batch: %w", err)
	}
	return zipped.Bytes(), nil
}

// httpFailure tells a failure that may pass from one that lasts, as OTLP defines it.
func httpFailure(response *http.Response, err error) error {
	switch response.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return &retryError{error: err, after: retryAfter(response.Header.Get("Retry-After"))}
	default:
		return err
	}
}

// retryAfter reads a Retry-After header, in seconds or as a date; 0 stands for one that is not there or makes no sense.
func retryAfter(header string) time.Duration {
	if seconds, err := strconv.ParseUint(header, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if date, err := http.ParseTime(header); err == nil {
		return max(0, time.Until(date))
	}
	return 0
}

// readBody reads the body of a good response. One that is not OTLP's, which may come from what stands before the collector, says nothing.
func readBody(contentType string, body []byte) (reply, error) {
	contentType, _, _ = strings.Cut(contentType, ";")
	switch strings.TrimSpace(contentType) {
	case typeProtobuf:
		return readReply(body)
	case typeJSON:
		return readReplyJSON(body)
	default:
		return reply{}, nil
	}
}

// readReplyJSON is readReply for JSON, where a 64-bit number may be a string.
func readReplyJSON(body []byte) (reply, error) {
	var response struct {
		PartialSuccess struct {
			RejectedSpans json.Number `json:"rejectedSpans"`
			ErrorMessage  string      `json:"errorMessage"`
		} `json:"partialSuccess"`
	}
	if len(body) == 0 {
		return reply{}, nil
	}
	if err := json.Unmarshal(body, &response); err != nil {
		return reply{}, fmt.Errorf("read the collector's response: %w", err)
	}
	r := reply{message: response.PartialSuccess.ErrorMessage}
	if n := response.PartialSuccess.RejectedSpans; n != "" {
		var err error
		if r.rejected, err = n.Int64(); err != nil {
			return reply{}, fmt.Errorf("read the collector's response: %w", err)
		}
	}
	return r, nil
}

// marshalJSON returns OTLP's JSON, which is protobuf's but for enums, which are numbers, and ids, which are hexadecimal.
func marshalJSON(batch *tracepb.TracesData) ([]byte, error) {
	batch = proto.CloneOf(batch)
	for _, resource := range batch.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				span.TraceId, span.SpanId, span.ParentSpanId = hexID(span.TraceId), hexID(span.SpanId), hexID(span.ParentSpanId)
				for _, link := range span.GetLinks() {
					link.TraceId, link.SpanId = hexID(link.TraceId), hexID(link.SpanId)
				}
			}
		}
	}
	return protojson.MarshalOptions{UseEnumNumbers: true}.Marshal(batch)
}

// hexID returns the bytes whose base64, as which protobuf's JSON writes bytes, is the id's hexadecimal. They exist because hexadecimal
// digits are digits of base64, too, and come in fours: an id has 16 or 8 bytes, or none.
func hexID(id []byte) []byte {
	b, _ := base64.StdEncoding.DecodeString(hex.EncodeToString(id)) // cannot fail, as just said
	return b
}
