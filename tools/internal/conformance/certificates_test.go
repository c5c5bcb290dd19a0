package conformance

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func readCertificate(t *testing.T, path string) *x509.Certificate {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(content)
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

// TestCertificates: the suite trusts the node by the authority that signed it,
// or by itself, and must not by another one.
func TestCertificates(t *testing.T) {
	dir := t.TempDir()
	made, err := makeCertificates(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tls.LoadX509KeyPair(made.node, made.nodeKey); err != nil {
		t.Error(err)
	}
	node := readCertificate(t, made.node)
	for _, root := range []string{"ca/ca.crt", "node/node.crt", "untrusted-ca/ca.crt"} {
		pool := x509.NewCertPool()
		pool.AddCert(readCertificate(t, filepath.Join(dir, root)))
		_, err := node.Verify(x509.VerifyOptions{DNSName: "localhost", Roots: pool})
		var unknown x509.UnknownAuthorityError
		if trusted := root != "untrusted-ca/ca.crt"; (err == nil) != trusted || !trusted && !errors.As(err, &unknown) {
			t.Errorf("with %s as its root: %v", root, err)
		}
	}
}
