package telemetry

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"
)

// exportMethod is the method of the collector's service.
const exportMethod = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

// grpcSender sends batches over gRPC.
type grpcSender struct {
	conn    *grpc.ClientConn
	headers metadata.MD
}

// newGRPCSender returns a sender, which connects when it sends.
func newGRPCSender(s settings, d delivery) (*grpcSender, error) {
	target, creds := s.endpoint, insecure.NewCredentials()
	if !strings.HasPrefix(target, "unix:") {
		u, err := url.Parse(s.endpoint)
		if err != nil {
			return nil, err
		}
		target = u.Host
		if u.Scheme == "https" {
			creds = credentials.NewTLS(d.tls)
		}
	}
	options := []grpc.DialOption{grpc.WithTransportCredentials(creds), grpc.WithUserAgent(userAgent)}
	if d.gzip {
		options = append(options, grpc.WithDefaultCallOptions(grpc.UseCompressor(gzip.Name)))
	}
	conn, err := grpc.NewClient(target, options...)
	if err != nil {
		return nil, err
	}
	return &grpcSender{conn: conn, headers: metadata.New(d.headers)}, nil
}

// send makes one call.
func (g *grpcSender) send(ctx context.Context, batch *tracepb.TracesData) (reply, error) {
	// An empty message keeps the fields of the response as they came.
	var response emptypb.Empty
	if err := g.conn.Invoke(metadata.NewOutgoingContext(ctx, g.headers), exportMethod, batch, &response); err != nil {
		return reply{}, grpcFailure(err)
	}
	return readReply(response.ProtoReflect().GetUnknown())
}

// close closes the connection.
func (g *grpcSender) close() error { return g.conn.Close() }

// grpcFailure tells a failure that may pass from one that lasts, as OTLP defines it. A collector that is exhausted recovers only if it
// says when.
func grpcFailure(err error) error {
	s := status.Convert(err)
	after, throttled := retryDelay(s)
	switch s.Code() {
	case codes.Canceled, codes.DeadlineExceeded, codes.Aborted, codes.OutOfRange, codes.Unavailable, codes.DataLoss:
		return &retryError{error: err, after: after}
	case codes.ResourceExhausted:
		if throttled {
			return &retryError{error: err, after: after}
		}
		return err
	default:
		return err
	}
}

// retryDelay returns how long the collector asks to wait, and whether it does. It reads google.rpc.RetryInfo itself: the package of that
// message has all of Google's, which would be in every user's program.
func retryDelay(s *status.Status) (time.Duration, bool) {
	for _, detail := range s.Proto().GetDetails() {
		if detail.MessageName() != "google.rpc.RetryInfo" {
			continue
		}
		var delay durationpb.Duration
		err := eachField(detail.GetValue(), func(n protowire.Number, _ uint64, b []byte) error {
			if n != 1 {
				return nil
			}
			return proto.UnmarshalOptions{Merge: true}.Unmarshal(b, &delay)
		})
		if err == nil {
			return delay.AsDuration(), true
		}
	}
	return 0, false
}

// readReply reads a response of the collector: ExportTraceServiceResponse, whose field 1 is partial_success, which has rejected_spans in
// field 1 and error_message in field 2.
func readReply(message []byte) (r reply, err error) {
	err = eachField(message, func(n protowire.Number, _ uint64, b []byte) error {
		if n != 1 || b == nil {
			return nil
		}
		return eachField(b, func(n protowire.Number, v uint64, b []byte) error {
			switch {
			case n == 1 && b == nil:
				r.rejected = int64(v)
			case n == 2 && b != nil:
				r.message = string(b)
			}
			return nil
		})
	})
	if err != nil {
		return reply{}, fmt.Errorf("read the collector's response: %w", err)
	}
	return r, nil
}

// eachField calls visit for every field of a protobuf message that is a varint, with its value, or has a length, with its bytes, which are
// not nil then. It leaves out the others.
func eachField(message []byte, visit func(n protowire.Number, v uint64, b []byte) error) error {
	for len(message) > 0 {
		number, kind, tagSize := protowire.ConsumeTag(message)
		if tagSize < 0 {
			return protowire.ParseError(tagSize)
		}
		message = message[tagSize:]
		size := protowire.ConsumeFieldValue(number, kind, message)
		if size < 0 {
			return protowire.ParseError(size)
		}
		var err error
		switch kind {
		case protowire.VarintType:
			v, _ := protowire.ConsumeVarint(message)
			err = visit(number, v, nil)
		case protowire.BytesType:
			b, _ := protowire.ConsumeBytes(message)
			err = visit(number, 0, b)
		default:
		}
		if err != nil {
			return err
		}
		message = message[size:]
	}
	return nil
}
