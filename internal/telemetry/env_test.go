package telemetry

import (
	"strings"
	"testing"
	"time"
)

func TestEnvironmentDecides(t *testing.T) {
	const endpoint, protocol = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL"
	const tracesEndpoint = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	tests := map[string]struct {
		env          map[string]string
		wantProtocol string
		want         string
		wantErr      string
	}{
		"nothing set":                {},
		"exporter none":              {env: map[string]string{endpoint: "http://c:4317", "OTEL_TRACES_EXPORTER": "none"}},
		"exporter without end point": {env: map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}, wantProtocol: "grpc", want: "http://localhost:4317"},
		"exporter over HTTP":         {env: map[string]string{"OTEL_TRACES_EXPORTER": "otlp", protocol: "http/protobuf"}, wantProtocol: "http/protobuf", want: "http://localhost:4318/v1/traces"},
		"unknown exporter":           {env: map[string]string{"OTEL_TRACES_EXPORTER": "console"}, wantErr: `OTEL_TRACES_EXPORTER is "console"`},
		"end point":                  {env: map[string]string{endpoint: " http://c:4317 "}, wantProtocol: "grpc", want: "http://c:4317"},
		"end point for traces wins":  {env: map[string]string{endpoint: "http://c:4317", tracesEndpoint: "https://d:1"}, wantProtocol: "grpc", want: "https://d:1"},
		"port of HTTP":               {env: map[string]string{endpoint: "http://c:4318"}, wantProtocol: "http/protobuf", want: "http://c:4318/v1/traces"},
		"base path of HTTP":          {env: map[string]string{endpoint: "https://c/otlp/", protocol: "http/protobuf"}, wantProtocol: "http/protobuf", want: "https://c/otlp/v1/traces"},
		"path for traces is as it is": {
			env:          map[string]string{tracesEndpoint: "http://c:4318/in", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"},
			wantProtocol: "http/json", want: "http://c:4318/in",
		},
		"bare end point is secure": {env: map[string]string{endpoint: "c:4317"}, wantProtocol: "grpc", want: "https://c:4317"},
		"bare address insecure":    {env: map[string]string{endpoint: "127.0.0.1:4317", "OTEL_EXPORTER_OTLP_INSECURE": "true"}, wantProtocol: "grpc", want: "http://127.0.0.1:4317"},
		"insecure for traces wins": {
			env:          map[string]string{endpoint: "c:4317", "OTEL_EXPORTER_OTLP_INSECURE": "true", "OTEL_EXPORTER_OTLP_TRACES_INSECURE": "false"},
			wantProtocol: "grpc", want: "https://c:4317",
		},
		"insecure does not weaken https": {env: map[string]string{endpoint: "https://c:4317", "OTEL_EXPORTER_OTLP_INSECURE": "true"}, wantProtocol: "grpc", want: "https://c:4317"},
		"Unix socket":                    {env: map[string]string{endpoint: "unix:///run/otel.sock"}, wantProtocol: "grpc", want: "unix:///run/otel.sock"},
		"unknown protocol":               {env: map[string]string{endpoint: "http://c:4317", protocol: "thrift"}, wantErr: `OTEL_EXPORTER_OTLP_PROTOCOL is "thrift"`},
		"not a URL":                      {env: map[string]string{endpoint: "http://u:s3cret@c:port"}, wantErr: endpoint + " is not a URL"},
		"other scheme":                   {env: map[string]string{endpoint: "ftp://u:s3cret@c"}, wantErr: endpoint + " has to be like"},
		"bare over HTTP":                 {env: map[string]string{endpoint: "c:4318"}, wantErr: endpoint + " has to be like"},
		"no host":                        {env: map[string]string{endpoint: "http://"}, wantErr: endpoint + " has to be like"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			clearEnv(t)
			for k, v := range test.env {
				t.Setenv(k, v)
			}
			s, on, err := readEnv()
			if test.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), test.wantErr) || strings.Contains(err.Error(), "s3cret") {
					t.Fatalf("error is %v, want %q and no password", err, test.wantErr)
				}
				if tracer, err := Open(t.Context(), Config{}); err == nil || tracer == nil || tracer.Enabled() {
					t.Errorf("Open gave %v, %v, want a tracer that is off and the error", tracer, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if on != (test.want != "") || s.endpoint != test.want || s.protocol != test.wantProtocol {
				t.Errorf("got on=%v %s %s, want %s %s", on, s.protocol, s.endpoint, test.wantProtocol, test.want)
			}
		})
	}
}

func TestDisabledSDKWins(t *testing.T) {
	clearEnv(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317")
	t.Setenv("OTEL_SDK_DISABLED", "TRUE")
	tracer, err := Open(t.Context(), Config{UseGlobal: true})
	if err != nil || tracer.Enabled() {
		t.Errorf("Open gave enabled=%v, %v, want a tracer that is off", tracer.Enabled(), err)
	}
}

func TestBatchSettings(t *testing.T) {
	clearEnv(t)
	t.Setenv("OTEL_TRACES_EXPORTER", "otlp")
	t.Setenv("OTEL_BSP_MAX_QUEUE_SIZE", "100")
	t.Setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1000")
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
	t.Setenv("OTEL_BSP_EXPORT_TIMEOUT", "-1")
	t.Setenv("OTEL_TRACES_SAMPLER", "ALWAYS_ON")
	s, _, err := readEnv()
	if err != nil {
		t.Fatal(err)
	}
	want := settings{
		protocol: "grpc", endpoint: "http://localhost:4317",
		queueMax: 100, batchMax: 100, delay: 20 * time.Millisecond, exportTimeout: 30 * time.Second,
	}
	if s != want {
		t.Errorf("settings are %+v, want %+v", s, want)
	}
	t.Setenv("OTEL_BSP_MAX_QUEUE_SIZE", "2000000000")
	if s, _, err = readEnv(); err != nil || s.queueMax != queueMaxLimit {
		t.Errorf("queue has %d, %v, want the limit of %d", s.queueMax, err, queueMaxLimit)
	}
}
