package telemetry

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
)

// Protocols of OTLP, as OTEL_EXPORTER_OTLP_PROTOCOL names them.
const (
	protocolGRPC     = "grpc"
	protocolHTTP     = "http/protobuf"
	protocolHTTPJSON = "http/json"
)

// queueMaxLimit bounds OTEL_BSP_MAX_QUEUE_SIZE: a million slots are 16 MB before the first span.
const queueMaxLimit = 1 << 20

// settings are what the environment says about traces but for how batches are sent, which is in delivery. OpenTelemetry's SDK reads
// the sampler, the resource and the limits of spans.
type settings struct {
	// protocol is one of the constants above.
	protocol string
	// endpoint is a URL, or a gRPC target that begins with "unix:".
	endpoint string
	// parentBased is whether the sampler leaves out every span whose parent is not sampled.
	parentBased bool
	// queueMax and batchMax count spans.
	queueMax, batchMax int
	// delay is the longest that a span waits for its batch to fill; exportTimeout bounds the export of one batch.
	delay, exportTimeout time.Duration
}

// sdkDisabled says whether OpenTelemetry is switched off as a whole.
func sdkDisabled() bool { return strings.EqualFold(env("OTEL_SDK_DISABLED"), "true") }

// readEnv reads the settings; on is whether traces are wanted. What would leave the user without spans is an error; a bad number is, as
// OpenTelemetry wants it, a warning and the default.
func readEnv() (s settings, on bool, err error) {
	_, endpoint := exporterEnv("ENDPOINT")
	switch exporter := env("OTEL_TRACES_EXPORTER"); exporter {
	case "none":
		return settings{}, false, nil
	case "":
		if endpoint == "" {
			return settings{}, false, nil
		}
	case "otlp":
	default:
		return settings{}, false, fmt.Errorf(`OTEL_TRACES_EXPORTER is %q: use "otlp" or "none"`, exporter)
	}
	s.protocol, s.endpoint, err = readEndpoint()
	if err != nil {
		return settings{}, false, err
	}
	s.parentBased = readParentBased()
	s.queueMax = min(positive("OTEL_BSP_MAX_QUEUE_SIZE", 2048), queueMaxLimit)
	s.batchMax = min(positive("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512), s.queueMax)
	s.delay = time.Duration(positive("OTEL_BSP_SCHEDULE_DELAY", 5000)) * time.Millisecond
	s.exportTimeout = time.Duration(positive("OTEL_BSP_EXPORT_TIMEOUT", 30000)) * time.Millisecond
	return s, true, nil
}

// readEndpoint returns the protocol and the end point, which it makes whole: with a scheme and, for HTTP, with its path. OpenTelemetry's
// own reading does not know a host and port without a scheme, and lets INSECURE turn an https end point into a plain one.
func readEndpoint() (protocol, endpoint string, err error) {
	name, raw := exporterEnv("ENDPOINT")
	protocolName, protocol := exporterEnv("PROTOCOL")
	switch protocol {
	case protocolGRPC, protocolHTTP, protocolHTTPJSON:
	case "":
		protocol = protocolGRPC
		// 4318 is the port that is registered for OTLP over HTTP.
		if strings.HasSuffix(raw, ":4318") || strings.Contains(raw, ":4318/") {
			protocol = protocolHTTP
		}
	default:
		return "", "", fmt.Errorf("%s is %q: use %q, %q or %q", protocolName, protocol, protocolGRPC, protocolHTTP, protocolHTTPJSON)
	}
	isGRPC := protocol == protocolGRPC
	switch {
	case raw == "" && isGRPC:
		return protocol, "http://localhost:4317", nil
	case raw == "":
		return protocol, "http://localhost:4318/v1/traces", nil
	case isGRPC && strings.HasPrefix(raw, "unix:"):
		return protocol, raw, nil
	case isGRPC && !strings.Contains(raw, "://"):
		raw = schemeOfBare() + "://" + raw
	}
	u, err := url.Parse(raw)
	if err != nil {
		// The error of url.Parse repeats the URL, which may hold a password: only its cause is shown.
		if parse, ok := errors.AsType[*url.Error](err); ok {
			err = parse.Err
		}
		return "", "", fmt.Errorf("%s is not a URL: %w", name, err)
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return "", "", fmt.Errorf("%s has to be like http://host:port or https://host:port", name)
	}
	if !isGRPC && name == "OTEL_EXPORTER_OTLP_ENDPOINT" {
		u.Path = path.Join("/", u.Path, "v1/traces")
	}
	return protocol, u.String(), nil
}

// schemeOfBare returns the scheme of a gRPC end point that names none.
func schemeOfBare() string {
	if _, insecure := exporterEnv("INSECURE"); strings.EqualFold(insecure, "true") {
		return "http"
	}
	return "https"
}

// readParentBased says whether OTEL_TRACES_SAMPLER respects parents; the default does, and so do names that the SDK does not know,
// for which it takes the default.
func readParentBased() bool {
	switch strings.ToLower(env("OTEL_TRACES_SAMPLER")) {
	case "always_on", "always_off", "traceidratio":
		return false
	default:
		return true
	}
}

// exporterEnv reads a variable of the OTLP exporter, the one for traces before the general one, and returns which it was.
func exporterEnv(suffix string) (name, value string) {
	name = "OTEL_EXPORTER_OTLP_TRACES_" + suffix
	if v := env(name); v != "" {
		return name, v
	}
	name = "OTEL_EXPORTER_OTLP_" + suffix
	return name, env(name)
}

// env reads a variable; OpenTelemetry takes an empty one as not set.
func env(name string) string { return strings.TrimSpace(os.Getenv(name)) }

// positive reads a number above zero.
func positive(name string, fallback int) int {
	raw := env(name)
	if raw == "" {
		return fallback
	}
	n, err := strconv.ParseInt(raw, 10, 32)
	if err != nil || n <= 0 {
		otel.Handle(fmt.Errorf("%s is %.40q, not a number above zero: using %d", name, raw, fallback))
		return fallback
	}
	return int(n)
}
