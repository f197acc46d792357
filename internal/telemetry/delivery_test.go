package telemetry

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestHeadersAreRead(t *testing.T) {
	for raw, want := range map[string]map[string]string{
		"":                          {},
		"a=1, X-Key = s%20%2C= ":    {"a": "1", "X-Key": "s ,="},
		"a=,b":                      {"a": ""},
		"=x,b c=1,d\x00=1,e=%zz":    {},
		"Authorization=Basic%20YTo": {"Authorization": "Basic YTo"},
		"a=1,a=2":                   {"a": "2"},
	} {
		clearEnv(t)
		t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", strings.ReplaceAll(raw, "\x00", "ä"))
		if got := readHeaders(); !maps.Equal(got, want) {
			t.Errorf("headers %q are %q, want %q", raw, got, want)
		}
	}
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "t=1")
	if got := readHeaders(); !maps.Equal(got, map[string]string{"t": "1"}) {
		t.Errorf("headers are %q, want only those for traces", got)
	}
}

func TestDeliveryIsRead(t *testing.T) {
	clearEnv(t)
	read := func() delivery {
		d, err := readDelivery("http://c:1")
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	if d := read(); d.timeout != 10*time.Second || d.gzip || d.tls != nil {
		t.Errorf("default is %+v", d)
	}
	t.Setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
	t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "250")
	if d := read(); d.timeout != 250*time.Millisecond || !d.gzip {
		t.Errorf("got %+v", d)
	}
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "none")
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "0")
	if d := read(); d.timeout != 0 || d.gzip {
		t.Errorf("got %+v, want what is set for traces", d)
	}
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "zstd")
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "soon")
	if d := read(); d.timeout != 10*time.Second || d.gzip {
		t.Errorf("got %+v, want the defaults", d)
	}
}

func TestCertificateThatCannotBeUsedIsAnError(t *testing.T) {
	const ca, cert, key = "OTEL_EXPORTER_OTLP_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_KEY"
	good := newIdentity(t)
	empty := filepath.Join(t.TempDir(), "empty.pem")
	writeFile(t, empty, nil)
	for name, test := range map[string]struct {
		endpoint string
		env      map[string]string
		want     string
	}{
		"good":                       {"https://c:1", map[string]string{ca: good.cert, cert: good.cert, key: good.key}, ""},
		"no file":                    {"https://c:1", map[string]string{ca: empty + "x"}, ca},
		"no certificate in the file": {"https://c:1", map[string]string{ca: empty}, ca},
		"certificate without a key":  {"https://c:1", map[string]string{cert: good.cert}, key},
		"not a key":                  {"https://c:1", map[string]string{cert: good.cert, key: good.cert}, key},
		"plain text":                 {"http://c:1", map[string]string{ca: good.cert}, ca},
		"plain text with identity":   {"http://c:1", map[string]string{cert: good.cert, key: good.key}, cert},
		"Unix socket":                {"unix:///c", map[string]string{ca: good.cert}, ca},
	} {
		t.Run(name, func(t *testing.T) {
			for _, protocol := range []string{protocolGRPC, protocolHTTP} {
				if protocol == protocolHTTP && strings.HasPrefix(test.endpoint, "unix:") {
					continue
				}
				clearEnv(t)
				t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", test.endpoint)
				t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
				for k, v := range test.env {
					t.Setenv(k, v)
				}
				tracer, err := Open(t.Context(), Config{})
				if err == nil != (test.want == "") || tracer.Enabled() != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
					t.Errorf("%s: enabled=%v, error %v, want one with %q", protocol, tracer.Enabled(), err, test.want)
				}
				if err := tracer.Close(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// identity is a certificate that vouches for itself, for 127.0.0.1, as server and client, and its key.
type identity struct {
	cert, key string // files
	pair      tls.Certificate
	pool      *x509.CertPool
}

// newIdentity makes an identity.
func newIdentity(t *testing.T) identity {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	id := identity{pool: x509.NewCertPool()}
	if id.pair, err = tls.X509KeyPair(certPEM, keyPEM); err != nil {
		t.Fatal(err)
	}
	id.pool.AppendCertsFromPEM(certPEM)
	dir := t.TempDir()
	id.cert, id.key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writeFile(t, id.cert, certPEM)
	writeFile(t, id.key, keyPEM)
	return id
}

// server returns the settings of a server that has the identity and wants it of its clients.
func (id identity) server() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{id.pair}, ClientCAs: id.pool, ClientAuth: tls.RequireAndVerifyClientCert,
	}
}

// setEnv makes the exporter trust the identity and have it.
func (id identity) setEnv(t *testing.T) {
	t.Helper()
	t.Setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", id.cert)
	t.Setenv("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", id.cert)
	t.Setenv("OTEL_EXPORTER_OTLP_CLIENT_KEY", id.key)
}

func writeFile(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
