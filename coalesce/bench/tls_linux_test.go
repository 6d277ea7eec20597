package bench

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"time"

	"github.com/maxconn/maxconn/coalesce"
)

// The ways to put coalesce and TLS together.
func init() {
	variants["tls"] = func(c *net.TCPConn) conn { return secure(c) }
	variants["tls-above"] = func(c *net.TCPConn) conn {
		return coalesce.New(secure(c), coalesce.Config{})
	}
	variants["tls-below"] = func(c *net.TCPConn) conn {
		return secure(coalesce.New(c, coalesce.Config{}))
	}
	variants["tls-both"] = func(c *net.TCPConn) conn {
		return coalesce.New(secure(coalesce.New(c, coalesce.Config{})), coalesce.Config{})
	}
	variants["tls-16k"] = func(c *net.TCPConn) conn {
		return coalesce.New(secure(c), coalesce.Config{BufferSize: 16 << 10})
	}
}

func secure(c net.Conn) *tls.Conn {
	s := tls.Client(c, &tls.Config{
		InsecureSkipVerify:          true,
		MinVersion:                  tls.VersionTLS13,
		DynamicRecordSizingDisabled: true,
	})
	if err := s.Handshake(); err != nil {
		panic(err)
	}
	return s
}

// readTLS is the child as a TLS server, which reads until the end.
func (c *child) readTLS() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1),
		NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	tcp, err := net.Dial("tcp4", c.Addr)
	if err != nil {
		return err
	}
	defer tcp.Close()
	s := tls.Server(tcp,
		&tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der},
			PrivateKey: key}}})
	e := &end{}
	for {
		n, err := s.Read(c.buf)
		c.take(e, c.buf[:n])
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
