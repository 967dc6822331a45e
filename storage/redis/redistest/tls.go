package redistest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Names of the PEM files in the folder of a server that speaks TLS.
const (
	caFile   = "ca.pem"
	certFile = "cert.pem"
	keyFile  = "key.pem"
)

// identity is an authority and the certificate that it gave to 127.0.0.1 and localhost.
type identity struct {
	pool          *x509.CertPool
	ca, cert, key []byte // PEM
}

// theIdentity is one for all servers of the process, so that the members of a group trust each other.
var theIdentity = sync.OnceValues(newIdentity)

func newIdentity() (*identity, error) {
	caKey, err1 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	key, err2 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	keyDER, err3 := x509.MarshalPKCS8PrivateKey(key)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	from, until := time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "redistest authority"}, NotBefore: from, NotAfter: until,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "redistest"}, NotBefore: from, NotAfter: until,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, // servers of a group are both
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
	}
	caDER, err1 := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	leafDER, err2 := x509.CreateCertificate(rand.Reader, leaf, ca, &key.PublicKey, caKey)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	id := &identity{
		pool: x509.NewCertPool(),
		ca:   pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER}),
		cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leafDER}),
		key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	}
	if !id.pool.AppendCertsFromPEM(id.ca) {
		return nil, errors.New("the new authority cannot be read back")
	}
	return id, nil
}

// writeCertificates writes the PEM files of the identity into dir.
func writeCertificates(dir string) error {
	id, err := theIdentity()
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, caFile), id.ca, 0o600),
		os.WriteFile(filepath.Join(dir, certFile), id.cert, 0o600),
		os.WriteFile(filepath.Join(dir, keyFile), id.key, 0o600),
	)
}

// clientTLS returns the configuration of a client that trusts the identity. It is asked for a server that has written
// its certificates, so the identity is there.
func clientTLS() *tls.Config {
	id, err := theIdentity()
	if err != nil {
		return nil
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: id.pool, ServerName: "localhost"}
}
