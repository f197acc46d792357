package telemetry

import (
	"context"
	"fmt"
	"strings"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// newExporter makes the exporter of the settings. It connects with the first batch, not before.
func newExporter(ctx context.Context, s settings) (sdktrace.SpanExporter, error) {
	if s.protocol != protocolGRPC {
		// Whether it is protobuf or JSON the exporter reads itself; protobuf is its default, as it is ours.
		e, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(s.endpoint))
		if err != nil {
			return nil, fmt.Errorf("make OTLP exporter over HTTP: %w", err)
		}
		return e, nil
	}
	opts := []otlptracegrpc.Option{otlptracegrpc.WithEndpointURL(s.endpoint)}
	if strings.HasPrefix(s.endpoint, "unix:") {
		opts = []otlptracegrpc.Option{otlptracegrpc.WithEndpoint(s.endpoint), otlptracegrpc.WithInsecure()}
	}
	e, err := otlptracegrpc.New(ctx, opts...)
	if err != nil {
		return nil, fmt.Errorf("make OTLP exporter over gRPC: %w", err)
	}
	return e, nil
}
