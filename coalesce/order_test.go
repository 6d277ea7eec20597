package coalesce

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// around are all ways in which the bytes of body can reach the socket of a Conn, or its kin.
var around = map[string]func(t *testing.T, c *Conn, body string) error{
	"Write": func(t *testing.T, c *Conn, body string) error {
		_, err := c.Write([]byte(body))
		return err
	},
	"net.Buffers": func(t *testing.T, c *Conn, body string) error {
		_, err := (&net.Buffers{[]byte(body[:3]), []byte(body[3:])}).WriteTo(c)
		return err
	},
	"io.Copy of a file": func(t *testing.T, c *Conn, body string) error {
		_, err := io.Copy(c, fileWith(t, body))
		return err
	},
	"io.CopyN of a file": func(t *testing.T, c *Conn, body string) error {
		_, err := io.CopyN(c, fileWith(t, body), int64(len(body)))
		return err
	},
	"ReadFrom of a file": func(t *testing.T, c *Conn, body string) error {
		_, err := c.ReadFrom(fileWith(t, body))
		return err
	},
	"File.WriteTo": func(t *testing.T, c *Conn, body string) error {
		_, err := fileWith(t, body).WriteTo(c)
		return err
	},
	"io.Copy of a pipe": func(t *testing.T, c *Conn, body string) error {
		r, w, err := os.Pipe()
		if err != nil {
			return err
		}
		defer r.Close()
		go func() { io.WriteString(w, body); w.Close() }()
		_, err = io.Copy(c, r)
		return err
	},
	"TCPConn.WriteTo": func(t *testing.T, c *Conn, body string) error {
		_, err := tcpWith(t, body).WriteTo(c)
		return err
	},
	"io.Copy of TCP": func(t *testing.T, c *Conn, body string) error {
		_, err := io.Copy(c, tcpWith(t, body))
		return err
	},
	"io.CopyN of TCP": func(t *testing.T, c *Conn, body string) error {
		_, err := io.CopyN(c, tcpWith(t, body), int64(len(body)))
		return err
	},
	"io.Copy of Unix": func(t *testing.T, c *Conn, body string) error {
		a, b := unixPair(t)
		go func() { io.WriteString(b, body); b.Close() }()
		_, err := io.Copy(c, a)
		return err
	},
	"io.Copy of a Conn": func(t *testing.T, c *Conn, body string) error {
		_, err := io.Copy(c, New(tcpWith(t, body), Config{}))
		return err
	},
	"NetConn": func(t *testing.T, c *Conn, body string) error {
		_, err := io.WriteString(c.NetConn(), body)
		return err
	},
}

func fileWith(t *testing.T, body string) *os.File {
	name := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(name, []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// tcpWith is a connection on which body arrives, and the end.
func tcpWith(t *testing.T, body string) *net.TCPConn {
	a, b := pair(t)
	go func() { io.WriteString(b, body); b.Close() }()
	return a
}

// Whatever way bytes take, they follow those that were written before. What was written before is
// still pending then, since nothing is sent by itself with Manual.
func TestNothingOvertakes(t *testing.T) {
	for name, way := range around {
		for _, over := range []string{"tcp", "unix", "plain"} {
			if over == "plain" && strings.HasPrefix(name, "SyscallConn") {
				continue // it has none
			}
			for _, policy := range []Policy{Auto, Manual} {
				t.Run(name+" over "+over, func(t *testing.T) {
					testOrder(t, over, policy, way)
				})
			}
		}
	}
}

func testOrder(
	t *testing.T, over string, policy Policy, way func(*testing.T, *Conn, string) error,
) {
	a, b := connectedOver(t, over)
	c := New(a, Config{Policy: policy})
	got := make(chan []byte)
	go func() { all, _ := io.ReadAll(b); got <- all }()
	var want bytes.Buffer
	for i := range 3 {
		head, body := strings.Repeat("h", 10+i), strings.Repeat("b", 100+i)
		want.WriteString(head + body)
		if _, err := io.WriteString(c, head); err != nil {
			t.Fatal(err)
		}
		if err := way(t, c, body); err != nil {
			t.Fatal(err)
		}
	}
	io.WriteString(c, "tail")
	want.WriteString("tail")
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if all := <-got; !bytes.Equal(all, want.Bytes()) {
		t.Errorf("received %q", all)
	}
}

func connectedOver(t testing.TB, over string) (a, b net.Conn) {
	t.Helper()
	if over == "unix" {
		return unixPair(t)
	}
	x, y := pair(t)
	if over == "plain" {
		return plain{x}, y
	}
	return x, y
}

// After NetConn has been called nothing stays behind: the owner of the inner connection may write
// to it at any time.
func TestNetConnEndsCollecting(t *testing.T) {
	a, b := pair(t)
	c := New(a, Config{Policy: Manual})
	defer c.Close()
	inner := c.NetConn()
	for range 3 {
		io.WriteString(c, "one ")
		io.WriteString(inner, "two ")
	}
	expect(t, b, "one two one two one two ")
}

// The bytes of a file stay together, on any kind of connection, whatever others write meanwhile.
func TestFileStaysTogether(t *testing.T) {
	for _, over := range []string{"tcp", "unix", "plain"} {
		t.Run(over, func(t *testing.T) {
			a, b := connectedOver(t, over)
			c := New(a, Config{})
			stop, stopped := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(stopped)
				for {
					select {
					case <-stop:
						return
					default:
						c.Write([]byte("x"))
					}
				}
			}()
			got := make(chan []byte)
			go func() { all, _ := io.ReadAll(b); got <- all }()
			const files, size = 20, 300_000
			for range files {
				if n, err := io.Copy(c,
					fileWith(t, strings.Repeat("f", size))); n != size ||
					err != nil {
					t.Fatal(n, err)
				}
				c.Write([]byte("."))
			}
			close(stop)
			<-stopped
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			whole := bytes.ReplaceAll(<-got, bytes.Repeat([]byte("f"), size),
				[]byte("F"))
			if bytes.Count(whole, []byte("F")) != files ||
				bytes.Contains(whole, []byte("f")) {
				t.Errorf("%d of %d files in one piece",
					bytes.Count(whole, []byte("F")), files)
			}
		})
	}
}

// A server that sends back what it gets, which copies from a connection to itself, and a proxy.
func TestEchoAndProxy(t *testing.T) {
	for _, cfg := range []Config{{}, {ReadDriven: true}, {OnFull: Disconnect}} {
		a, client := pair(t)
		front, back := pair(t)
		echo, proxy, upstream := New(back, cfg), New(a, cfg), New(front, cfg)
		done := make(chan error, 3)
		send := func(to, from *Conn) {
			_, err := io.Copy(to, from)
			to.CloseWrite()
			done <- err
		}
		go send(echo, echo)
		go send(upstream, proxy)
		go send(proxy, upstream)
		want := strings.Repeat("0123456789", 200_000)
		go func() {
			for rest := want; rest != ""; {
				n := min(len(rest), 1+len(rest)%50_000)
				io.WriteString(client, rest[:n])
				rest = rest[n:]
			}
			client.CloseWrite()
		}()
		if got, err := io.ReadAll(client); string(got) != want || err != nil {
			t.Errorf("%d of %d bytes, %v", len(got), len(want), err)
		}
		for range 3 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		for _, c := range []*Conn{echo, proxy, upstream} {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}
