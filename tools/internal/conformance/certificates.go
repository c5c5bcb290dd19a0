package conformance

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// certificates are the files that the suite and the store read.
type certificates struct {
	node, nodeKey string
}

// authority signs certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// makeCertificates fills dir as the suite's own set-up does: an authority, a
// node for localhost that it has signed, and an authority that signed nothing.
func makeCertificates(dir string) (certificates, error) {
	trusted, err := makeAuthority(filepath.Join(dir, "ca"), "Triangle conformance CA")
	if err != nil {
		return certificates{}, err
	}
	if _, err := makeAuthority(filepath.Join(dir, "untrusted-ca"), "Triangle conformance untrusted CA"); err != nil {
		return certificates{}, err
	}
	node := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "event store"},
		DNSNames:    []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	made := certificates{
		node:    filepath.Join(dir, "node", "node.crt"),
		nodeKey: filepath.Join(dir, "node", "node.key"),
	}
	_, err = issue(node, trusted, made.node, made.nodeKey)
	return made, err
}

func makeAuthority(dir, name string) (*authority, error) {
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	return issue(template, nil, filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.key"))
}

// issue writes a certificate and its key, signed by an authority or, when that
// is nil, by itself.
func issue(template *x509.Certificate, by *authority, certificateFile, keyFile string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	if by == nil {
		by = &authority{certificate: template, key: key}
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, by.certificate, &key.PublicKey, by.key)
	if err != nil {
		return nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	if err := writePEM(certificateFile, "CERTIFICATE", signed); err != nil {
		return nil, err
	}
	if err := writePEM(keyFile, "PRIVATE KEY", secret); err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(signed)
	return &authority{certificate: certificate, key: key}, err
}

func writePEM(path, kind string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600); err != nil {
		return fmt.Errorf("write a certificate: %w", err)
	}
	return nil
}
