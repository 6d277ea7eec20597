package coalesce

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

func expect(t *testing.T, r io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(r, got); err != nil || string(got) != want {
		t.Errorf("received %q, %v; want %q", got, err, want)
	}
}

// expectNothing holds if nothing arrives within d.
func expectNothing(t *testing.T, c net.Conn, d time.Duration) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(d))
	defer c.SetReadDeadline(time.Time{})
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("received %d bytes, %v", n, err)
	}
}

func TestHold(t *testing.T) {
	a, b := pair(t)
	c := New(a, Config{})
	defer c.Close()
	c.Hold()
	c.Hold()
	c.Write([]byte("one "))
	c.Release()
	c.Write([]byte("batch"))
	expectNothing(t, b, 20*time.Millisecond)
	c.Release()
	expect(t, b, "one batch")
	if n := c.Stats().Calls; n != 1 {
		t.Errorf("%d calls", n)
	}
	defer func() {
		if recover() == nil {
			t.Error("Release without Hold")
		}
	}()
	c.Release()
}

func TestManual(t *testing.T) {
	a, b := pair(t)
	c := New(a, Config{Policy: Manual, BufferSize: 4 << 10})
	defer c.Close()
	c.Write([]byte("wait"))
	expectNothing(t, b, 20*time.Millisecond)
	c.Flush()
	expect(t, b, "wait")
	p := strings.Repeat("x", 1000)
	for range 5 { // 4096 bytes are a full buffer
		c.Write([]byte(p))
	}
	expect(t, b, strings.Repeat("x", 4096))
	expectNothing(t, b, 20*time.Millisecond)
	if n := c.Buffered(); n != 5000-4096 {
		t.Errorf("%d bytes pending", n)
	}
}

func TestImmediate(t *testing.T) {
	a, b := pair(t)
	c := New(a, Config{Policy: Immediate})
	defer c.Close()
	for range 10 {
		c.Write([]byte("now"))
		if n := c.Buffered(); n != 0 {
			t.Errorf("%d bytes pending", n)
		}
	}
	expect(t, b, strings.Repeat("now", 10))
	b.SetLinger(0)
	b.Close()
	var failed *Error
	for err := error(nil); !errors.As(err, &failed); {
		_, err = c.Write([]byte("now"))
	}
}

// Nobody reads: the sweeper sends what a ReadDriven connection has.
func TestReadDrivenBackstop(t *testing.T) {
	a, b := pair(t)
	c := New(a, Config{ReadDriven: true})
	defer c.Close()
	for range 3 {
		c.Write([]byte("reply"))
		expect(t, b, "reply")
	}
}

// A batch of replies is one system call, made by Read.
func TestReadDrivenBatch(t *testing.T) {
	a, b := pair(t)
	c := New(a, Config{ReadDriven: true})
	defer c.Close()
	b.Write([]byte("x"))
	for range 16 {
		c.Write(make([]byte, 64))
	}
	c.Read(make([]byte, 1))
	expect(t, b, string(make([]byte, 16*64)))
	if s := c.Stats(); s.Calls > 2 { // 2 if the sweeper came between
		t.Errorf("%+v", s)
	}
}

func TestTryWriteAndOnFull(t *testing.T) {
	a, _ := pair(t)
	c := New(a, Config{Policy: Manual, OnFull: Fail, BufferSize: 1 << 10, MaxPending: 2 << 10})
	defer c.CloseNow()
	if err := c.TryWrite(make([]byte, 3<<10)); !errors.Is(err, ErrFull) {
		t.Error(err)
	}
	if err := c.TryWrite(make([]byte, 2<<10)); err != nil {
		t.Error("large, but there is room:", err)
	}
	c.Flush()
	a2, _ := pair(t)
	a2.SetWriteBuffer(4 << 10)
	d := New(a2, Config{OnFull: Disconnect})
	var err error
	for err == nil {
		_, err = d.Write(make([]byte, 1000))
	}
	var failed *Error
	if !errors.Is(err, ErrFull) || !errors.As(err, &failed) || failed.Unsent() == 0 {
		t.Error(err)
	}
	if err := d.Close(); !errors.Is(err, ErrFull) {
		t.Error(err)
	}
}

func TestFlushContext(t *testing.T) {
	a, b := pair(t)
	a.SetWriteBuffer(4 << 10)
	b.SetReadBuffer(4 << 10)
	c := New(a, Config{CloseTimeout: time.Millisecond})
	defer c.Close()
	fillUp(t, c, 1000)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- c.FlushContext(ctx) }()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if c.Err() != nil {
		t.Error(c.Err())
	}
}

func TestWriteBuffersAndReadFrom(t *testing.T) {
	a, b := pair(t)
	c := New(a, Config{})
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, bytes.Repeat([]byte("f"), 200_000), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	go func() {
		c.WriteBuffers(net.Buffers{[]byte("a"), []byte("bc"), nil})
		c.WriteBuffers(net.Buffers{bytes.Repeat([]byte("l"), 40_000), []byte("end")})
		c.Write([]byte("head"))
		if n, err := c.ReadFrom(file); n != 200_000 || err != nil {
			t.Error(n, err)
		}
		c.Write([]byte("tail"))
		if n, err := c.ReadFrom(strings.NewReader("any")); n != 3 || err != nil {
			t.Error(n, err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}()
	got, err := io.ReadAll(b)
	want := "abc" + strings.Repeat("l", 40_000) + "endhead" + strings.Repeat("f", 200_000) +
		"tailany"
	if string(got) != want || err != nil {
		at := 0
		for at < min(len(got), len(want)) && got[at] == want[at] {
			at++
		}
		t.Errorf("%d bytes, want %d: %v; they differ at %d: %.20q",
			len(got), len(want), err, at, got[min(at, len(got)):])
	}
	if s := c.Stats(); s.Accepted != int64(len(want)) || s.Sent != s.Accepted {
		t.Errorf("%+v", s)
	}
}

func TestWriteTo(t *testing.T) {
	a, b := pair(t)
	c := New(a, Config{})
	defer c.Close()
	go func() { b.Write([]byte("hello")); b.Close() }()
	var got bytes.Buffer
	if n, err := io.Copy(&got, c); n != 5 || err != nil || got.String() != "hello" {
		t.Error(n, err, got.String())
	}
}

func TestTotals(t *testing.T) {
	var totals Totals
	for range 3 {
		a, b := pair(t)
		c := New(a, Config{Totals: &totals})
		c.Write(make([]byte, 100))
		c.Write(make([]byte, 40_000))
		go io.Copy(io.Discard, b)
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s := totals.Stats()
	if s.Messages != 6 || s.Accepted != 3*40_100 || s.Sent != s.Accepted || s.Calls < 3 {
		t.Errorf("%+v", s)
	}
}

// After a slow yield there is none for ten times MaxDelay, doubling to a
// second; good ones bring that down.
func TestGuard(t *testing.T) {
	const ms = int64(time.Millisecond)
	var g guard
	now := 1000 * ms
	for _, want := range []int64{10, 20, 40, 80, 160, 320, 640, 1000, 1000} {
		g.judge(5*ms, now, ms)
		if g.allows(now+want*ms-1) || !g.allows(now+want*ms) {
			t.Errorf("yields forbidden until %d, want %d ms", (g.until.Load()-now)/ms,
				want)
		}
		now += 2000 * ms
	}
	g.judge(ms/2, now, ms)
	g.judge(5*ms, now, ms)
	if want := 1000 * ms; g.until.Load()-now != want {
		t.Errorf("%d", (g.until.Load()-now)/ms)
	}
}

// One slow yield between many good ones, as when the kernel runs another program for a time
// slice, forbids none; a second one does.
func TestGuardForgives(t *testing.T) {
	const ms = int64(time.Millisecond)
	var g guard
	now := 1000 * ms
	for range 2 * manyGood {
		g.judge(ms/2, now, ms)
	}
	for range 1000 { // under way together
		g.judge(5*ms, now, ms)
		now += ms / 1000
	}
	if !g.allows(now) {
		t.Errorf("yields forbidden for %d ms", (g.until.Load()-now)/ms)
	}
	now += 10 * ms
	g.judge(5*ms, now, ms)
	if g.allows(now) {
		t.Error("yields allowed after two slow ones")
	}
}

// Slow yields that are under way together, as of a thousand connections that
// become busy at once, count as one.
func TestGuardCountsOnce(t *testing.T) {
	const ms = int64(time.Millisecond)
	var g guard
	now := 1000 * ms
	for range 1000 {
		g.judge(5*ms, now, ms)
		now += ms / 1000
	}
	if want := 1000*ms + 10*ms; g.until.Load() != want {
		t.Errorf("yields forbidden until %d us, want %d", g.until.Load()/1000, want/1000)
	}
}

// A connection that carries one message at a time is written to by its
// callers, and one that does not is not.
func TestInline(t *testing.T) {
	a, b := pair(t)
	c := New(a, Config{NoFlushOnRead: true})
	defer c.Close()
	for range 50 {
		c.Write([]byte("ping"))
		expect(t, b, "ping")
		awaitIdle(t, c)
		time.Sleep(2 * backToBack)
	}
	if s := c.Stats(); s.Causes.Inline < 40 {
		t.Errorf("%+v", s.Causes)
	}
}

// certificate is a self-signed one for "localhost".
func certificate(t testing.TB) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"},
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func TestTLS(t *testing.T) {
	cert, pool := certificate(t)
	for name, build := range map[string]func(tcp net.Conn, cfg *tls.Config) net.Conn{
		"above": func(tcp net.Conn, cfg *tls.Config) net.Conn {
			return New(tls.Client(tcp, cfg), Config{})
		},
		"below": func(tcp net.Conn, cfg *tls.Config) net.Conn {
			return tls.Client(New(tcp, Config{}), cfg)
		},
		"both": func(tcp net.Conn, cfg *tls.Config) net.Conn {
			return New(tls.Client(New(tcp, Config{}), cfg), Config{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t)
			server := tls.Server(b, &tls.Config{Certificates: []tls.Certificate{cert}})
			client := build(a, &tls.Config{
				RootCAs: pool, ServerName: "localhost",
				DynamicRecordSizingDisabled: true,
			})
			got := make(chan []byte)
			go func() { all, _ := io.ReadAll(server); got <- all }()
			var want bytes.Buffer
			for i := range 3000 {
				p := bytes.Repeat([]byte{byte(i)}, i%100)
				if i%1000 == 999 {
					p = bytes.Repeat([]byte{byte(i)}, 100_000)
				}
				want.Write(p)
				if _, err := client.Write(p); err != nil {
					t.Fatal(err)
				}
			}
			if err := client.Close(); err != nil {
				t.Error(err)
			}
			if !bytes.Equal(<-got, want.Bytes()) {
				t.Error("received something else")
			}
		})
	}
}

// tlsPair returns the server's and the client's end of a TLS connection.
func tlsPair(t testing.TB) (server, client *tls.Conn) {
	t.Helper()
	cert, pool := certificate(t)
	a, b := pair(t)
	server = tls.Server(a, &tls.Config{Certificates: []tls.Certificate{cert}})
	client = tls.Client(b, &tls.Config{RootCAs: pool, ServerName: "localhost"})
	shaken := make(chan error)
	go func() { shaken <- server.Handshake() }()
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-shaken; err != nil {
		t.Fatal(err)
	}
	return server, client
}

// The sender of a TLS connection whose peer stops reading fails for good.
func TestTLSStuck(t *testing.T) {
	inner, _ := tlsPair(t)
	c := New(inner, Config{WriteTimeout: 50 * time.Millisecond})
	var err error
	for err == nil {
		_, err = c.Write(make([]byte, 1000))
	}
	if !errors.Is(err, ErrStuck) {
		t.Error(err)
	}
	if err := c.Close(); !errors.Is(err, ErrStuck) {
		t.Error(err)
	}
}

func TestHoldImmediate(t *testing.T) {
	a, b := pair(t)
	c := New(a, Config{Policy: Immediate})
	defer c.Close()
	c.Hold()
	c.Write([]byte("one "))
	c.Write([]byte("batch"))
	c.Release()
	expect(t, b, "one batch")
	if n := c.Stats().Calls; n != 1 {
		t.Errorf("%d calls", n)
	}
}

// The order in which runtime.Gosched lets goroutines run is not promised by
// Go. This fails when it no longer brings writes together.
func TestGivingWayBatches(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	a, b := pair(t)
	discard(b)
	// no turn is slow, not on an emulated machine either
	c := New(a, Config{MaxDelay: time.Minute})
	defer c.Close()
	const writers, rounds = 64, 200
	for range rounds {
		yields.until.Store(0) // other tests may have made yields slow
		var wg sync.WaitGroup
		for range writers {
			wg.Go(func() { c.Write(make([]byte, 10)) })
		}
		wg.Wait()
		c.Flush()
	}
	if s := c.Stats(); s.Calls > writers*rounds/8 {
		t.Errorf("%d system calls for %d messages", s.Calls, s.Messages)
	} else {
		t.Logf("%d system calls for %d messages", s.Calls, s.Messages)
	}
}
