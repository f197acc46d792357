package telemetry

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
)

// userAgent is how the exporter names itself to the collector.
const userAgent = "mobula-otlp-exporter"

// exportTimeoutMS is the default of OTEL_EXPORTER_OTLP_TIMEOUT in milliseconds.
const exportTimeoutMS = 10_000

// delivery is the part of the environment that says how batches are sent.
type delivery struct {
	// headers go with every request.
	headers map[string]string
	// timeout bounds the answer of the collector; 0 sets no bound.
	timeout time.Duration
	// gzip is whether batches are compressed.
	gzip bool
	// tls is nil when the system's certificates are all that is needed.
	tls *tls.Config
}

// readDelivery reads how batches are sent to an end point. What the user's trust or identity rests on is an error when it cannot be had.
func readDelivery(endpoint string) (delivery, error) {
	d := delivery{headers: readHeaders(), timeout: readTimeout()}
	switch name, compression := exporterEnv("COMPRESSION"); compression {
	case "gzip":
		d.gzip = true
	case "", "none":
	default:
		otel.Handle(fmt.Errorf(`%s is %.40q, neither "gzip" nor "none": spans are not compressed`, name, compression))
	}
	var err error
	d.tls, err = readTLS(strings.HasPrefix(endpoint, "https:"))
	return d, err
}

// readTimeout reads the time limit.
func readTimeout() time.Duration {
	name, raw := exporterEnv("TIMEOUT")
	if raw == "0" {
		return 0
	}
	return time.Duration(positive(name, exportTimeoutMS)) * time.Millisecond
}

// tokenChars are what the name of a header is made of.
const tokenChars = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

// readHeaders reads the headers: "name=value" with commas between them, the values percent-encoded. One that is malformed is left out; the
// warning does not show it, because it may be a secret.
func readHeaders() map[string]string {
	variable, raw := exporterEnv("HEADERS")
	headers := map[string]string{}
	if raw == "" {
		return headers
	}
	for i, pair := range strings.Split(raw, ",") {
		name, value, ok := strings.Cut(pair, "=")
		name = strings.TrimSpace(name)
		value, err := url.PathUnescape(value)
		if !ok || err != nil || name == "" || strings.Trim(name, tokenChars) != "" {
			otel.Handle(fmt.Errorf("%s: header %d is not like name=value: it is left out", variable, i+1))
			continue
		}
		headers[name] = strings.TrimSpace(value)
	}
	return headers
}

// readTLS reads the certificates: the collector's authority and our own identity. It returns nil when neither is set.
func readTLS(secure bool) (*tls.Config, error) {
	caName, ca := exporterEnv("CERTIFICATE")
	certName, cert := exporterEnv("CLIENT_CERTIFICATE")
	keyName, key := exporterEnv("CLIENT_KEY")
	switch {
	case ca == "" && cert == "" && key == "":
		return nil, nil //nolint:nilnil // no settings are valid settings, as they are to crypto/tls
	case (cert == "") != (key == ""):
		return nil, fmt.Errorf("%s and %s have to be set together", certName, keyName)
	case !secure && ca != "":
		return nil, fmt.Errorf("%s is set, but the end point is plain text: use https://host:port", caName)
	case !secure:
		return nil, fmt.Errorf("%s is set, but the end point is plain text: use https://host:port", certName)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		pool, err := readAuthority(ca)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", caName, err)
		}
		config.RootCAs = pool
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("%s and %s: %w", certName, keyName, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// readAuthority reads the certificates that may vouch for the collector.
func readAuthority(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("the file has no certificate in PEM form")
	}
	return pool, nil
}
