package listen

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
)

func TestLimitWaits(t *testing.T) {
	for _, shards := range []int{1, 3} {
		waits := make(chan error, 100)
		l := open(t, Config{MaxConnections: 2, Shards: shards, Warn: func(err error) {
			waits <- err
		}}, "tcp", "127.0.0.1:0")
		for range 3 {
			dial(t, l)
		}
		first, second := accept(t, l), accept(t, l)
		third := make(chan net.Conn, 1)
		go func() {
			c, err := l.Accept()
			if err != nil {
				t.Error(err)
			}
			third <- c
		}()
		if err := <-waits; !errors.Is(err, ErrLimit) {
			t.Errorf("warned of %v", err)
		}
		select {
		case <-third:
			t.Fatal("a third connection beyond the limit of two")
		default:
		}
		if st := l.Stats(); st.Open != 2 || st.Accepted != 2 || st.Queued != 1 {
			t.Errorf("%+v", st)
		}
		first.Close()
		first.Close() // frees one place only
		(<-third).Close()
		second.Close()
		if st := l.Stats(); st.Open != 0 || st.RefusedLimit != 0 {
			t.Errorf("%+v", st)
		}
	}
}

func TestLimitResets(t *testing.T) {
	var warned atomic.Value
	l := open(t, Config{
		MaxConnections: 1,
		AtLimit:        RefuseReset,
		Warn:           func(err error) { warned.Store(err) },
	}, "tcp", "127.0.0.1:0")
	dial(t, l)
	first := accept(t, l)
	refused := dial(t, l)
	done := make(chan net.Conn)
	go func() {
		c, _ := l.Accept()
		done <- c
	}()
	if _, err := refused.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the second client sees %v", err)
	}
	if err, _ := warned.Load().(error); !errors.Is(err, ErrLimit) {
		t.Errorf("warned of %v", err)
	}
	first.Close()
	dial(t, l)
	(<-done).Close()
	if st := l.Stats(); st.RefusedLimit != 1 || st.Accepted != 3 || st.Open != 0 {
		t.Errorf("%+v", st)
	}
}

// The message arrives whole although the client had sent more than anybody reads.
func TestLimitTells(t *testing.T) {
	message := bytes.Repeat([]byte("busy "), MaxMessage/5)
	for _, network := range []string{"tcp", "unix"} {
		address := "127.0.0.1:0"
		if network == "unix" {
			address = t.TempDir() + "/socket"
		}
		l := open(t, Config{MaxConnections: 1, AtLimit: RefuseMessage, Message: message},
			network, address)
		dial(t, l)
		first := accept(t, l)
		var clients []net.Conn
		for range 2 * maxPartings {
			c := dial(t, l)
			if _, err := c.Write(make([]byte, 4096)); err != nil {
				t.Fatal(err)
			}
			clients = append(clients, c)
		}
		ended := make(chan error)
		go func() {
			_, err := l.Accept()
			ended <- err
		}()
		// those beyond maxPartings too, for what they sent had arrived
		for i, c := range clients {
			if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, message) {
				t.Fatalf("%s client %d got %d bytes, %v", network, i, len(got), err)
			}
			c.Close()
		}
		await(t, "all are refused", func() bool {
			return l.Stats().RefusedLimit == 2*maxPartings
		})
		first.Close()
		l.Close() // lets nobody linger
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept = %v", err)
		}
	}
}

// What Accept returns under a limit can do what a *net.TCPConn can.
func TestLimitedConnIsWhole(t *testing.T) {
	l := open(t, Config{MaxConnections: 1}, "tcp", "127.0.0.1:0")
	client := dial(t, l)
	c := accept(t, l)
	tcp, ok := c.(interface {
		syscall.Conn
		io.ReaderFrom
		io.WriterTo
		CloseWrite() error
		SetKeepAlive(bool) error
		SetKeepAliveConfig(net.KeepAliveConfig) error
		SetNoDelay(bool) error
		SetLinger(int) error
		NetConn() net.Conn
	})
	if !ok {
		t.Fatalf("%T lacks methods", c)
	}
	if _, ok := tcp.NetConn().(*net.TCPConn); !ok {
		t.Errorf("inside is a %T", tcp.NetConn())
	}
	if err := tcp.SetKeepAlive(true); err != nil {
		t.Error(err)
	}
	go func() {
		client.Write([]byte("echo"))
		client.(*net.TCPConn).CloseWrite()
	}()
	if n, err := io.Copy(c, c); n != 4 || err != nil {
		t.Errorf("echoed %d, %v", n, err)
	}
	tcp.CloseWrite()
	if got, err := io.ReadAll(client); string(got) != "echo" || err != nil {
		t.Errorf("client got %q, %v", got, err)
	}
}

// Waiting for a place does not outlive Close, and a client that got none is reset, by the kernel.
func TestCloseWhileWaitingForAPlace(t *testing.T) {
	for _, shards := range []int{1, 3} {
		waits := make(chan error, 100)
		l := open(t, Config{MaxConnections: 1, Shards: shards, Warn: func(err error) {
			waits <- err
		}}, "tcp", "127.0.0.1:0")
		dial(t, l)
		accept(t, l)
		late := dial(t, l)
		ended := make(chan error)
		go func() {
			_, err := l.Accept()
			ended <- err
		}()
		<-waits
		l.Close()
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept = %v", err)
		}
		if _, err := late.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the client sees %v", err)
		}
		if st := l.Stats(); st.RefusedClose != 1 || st.Open != 1 {
			t.Errorf("%+v", st)
		}
	}
}
