package eventstoretest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/triangle-suite/triangle/services/eventstore/internal/users"
)

// WithTLS lets the store speak TLS, with a certificate of its own that
// ConnectionString names to the client.
func WithTLS() Option {
	return func(s *Server) {
		certificate, key := Certificate(s.t)
		pair, err := tls.LoadX509KeyPair(certificate, key)
		if err != nil {
			s.t.Fatalf("load a certificate: %v", err)
		}
		s.config.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
		s.scheme = "tls=true&tlsCaFile=" + url.QueryEscape(certificate)
	}
}

// WithUser lets the store speak TLS and ask for a user's name and password,
// which ConnectionString gives.
func WithUser(name, password string) Option {
	return func(s *Server) {
		WithTLS()(s)
		one, err := users.One(name, password)
		if err != nil {
			s.t.Fatalf("make a user: %v", err)
		}
		s.config.Users, s.user = one, url.UserPassword(name, password).String()+"@"
	}
}

// Certificate makes a certificate for the loopback address that signs itself,
// and returns the files, in PEM, of the certificate and of its key.
func Certificate(t testing.TB) (certificate, key string) {
	t.Helper()
	certificate, key, err := writeCertificate(t.TempDir())
	if err != nil {
		t.Fatalf("make a certificate: %v", err)
	}
	return certificate, key
}

func writeCertificate(dir string) (certificate, key string, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "event store of a test"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		DNSNames:              []string{"localhost"},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return "", "", err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return "", "", err
	}
	certificate, key = filepath.Join(dir, "store.crt"), filepath.Join(dir, "store.key")
	if err := writePEM(certificate, "CERTIFICATE", signed); err != nil {
		return "", "", err
	}
	return certificate, key, writePEM(key, "PRIVATE KEY", secret)
}

func writePEM(path, kind string, content []byte) error {
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
