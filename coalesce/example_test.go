package coalesce_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/maxconn/maxconn/coalesce"
)

// connected returns the two ends of a connection.
func connected() (a, b net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer l.Close()
	if a, err = net.Dial("tcp", l.Addr().String()); err != nil {
		panic(err)
	}
	if b, err = l.Accept(); err != nil {
		panic(err)
	}
	return a, b
}

// Many goroutines share one connection. Each Write is one message; Close sends
// what is pending.
func Example() {
	conn, peer := connected()
	defer peer.Close()
	c := coalesce.New(conn, coalesce.Config{})
	var writers sync.WaitGroup
	for range 100 {
		writers.Go(func() {
			for range 10 {
				fmt.Fprintln(c, "a short message")
			}
		})
	}
	go func() {
		writers.Wait()
		if err := c.Close(); err != nil {
			fmt.Println(err)
		}
	}()
	n, err := io.Copy(io.Discard, peer)
	s := c.Stats()
	fmt.Println(n, err, s.Messages, s.Calls < s.Messages/2)
	// Output: 16000 <nil> 1000 true
}

// A client whose callers wait for replies saves the time to wake its reader, and pays with up to a
// processor for 50 us after each message.
func ExampleConfig_busyPoll() {
	conn, peer := connected()
	go io.Copy(peer, struct{ io.Reader }{peer}) // echoes
	c := coalesce.New(conn, coalesce.Config{BusyPoll: 50 * time.Microsecond})
	defer c.Close()
	reply := make([]byte, 5)
	for range 3 {
		c.Write([]byte("hello"))
		n, err := io.ReadFull(c, reply)
		fmt.Println(n, err, string(reply))
	}
	// Output:
	// 5 <nil> hello
	// 5 <nil> hello
	// 5 <nil> hello
}

// A server that answers requests in order, and may find several at once in
// what it reads, sends all answers to these in one system call.
func ExampleConfig_readDriven() {
	conn, client := connected()
	c := coalesce.New(conn, coalesce.Config{ReadDriven: true})
	go func() {
		defer c.Close()
		buf := make([]byte, 4096)
		for {
			n, err := c.Read(buf) // sends the answers to what came before
			if err != nil {
				return
			}
			for range buf[:n] {
				c.Write([]byte("answer\n"))
			}
		}
	}()
	client.Write([]byte("???"))
	answers := make([]byte, 21)
	io.ReadFull(client, answers)
	client.Close()
	fmt.Printf("%s", answers)
	// Output:
	// answer
	// answer
	// answer
}

// Flush returns when the kernel has everything, which is not delivery.
func ExampleConn_Flush() {
	conn, peer := connected()
	defer peer.Close()
	c := coalesce.New(conn, coalesce.Config{})
	defer c.Close()
	c.Write([]byte("request"))
	fmt.Println(c.Flush(), c.Buffered())
	// Output: <nil> 0
}

// Parts of one answer leave together.
func ExampleConn_Hold() {
	conn, peer := connected()
	defer peer.Close()
	c := coalesce.New(conn, coalesce.Config{})
	defer c.Close()
	c.Hold()
	c.Write([]byte("header, "))
	c.Write([]byte("body"))
	c.Release()
	p := make([]byte, 100)
	n, _ := peer.Read(p)
	fmt.Printf("%s, %d system call\n", p[:n], c.Stats().Calls)
	// Output: header, body, 1 system call
}

// A peer that does not read must not hold up its writers.
func ExampleConn_TryWrite() {
	conn, peer := connected()
	defer peer.Close()
	c := coalesce.New(conn, coalesce.Config{})
	defer c.CloseNow()
	for {
		if err := c.TryWrite(make([]byte, 1000)); errors.Is(err, coalesce.ErrFull) {
			fmt.Println("too slow")
			return
		}
	}
	// Output: too slow
}

// A write deadline bounds the wait for room. What was accepted before
// stays accepted.
func ExampleConn_SetWriteDeadline() {
	conn, peer := connected()
	defer peer.Close()
	c := coalesce.New(conn, coalesce.Config{CloseTimeout: time.Millisecond})
	defer c.Close()
	c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	for {
		if n, err := c.Write(make([]byte, 1000)); err != nil {
			fmt.Println(n, errors.Is(err, os.ErrDeadlineExceeded), c.Err())
			return
		}
	}
	// Output: 0 true <nil>
}

// The error of Close says what was lost.
func ExampleError() {
	conn, peer := connected()
	defer peer.Close()
	c := coalesce.New(conn, coalesce.Config{Policy: coalesce.Manual})
	c.Write([]byte("never sent"))
	err := c.CloseNow()
	var failed *coalesce.Error
	if errors.As(err, &failed) {
		fmt.Println(failed.Unsent(), "bytes lost")
	}
	// Output: 10 bytes lost
}

// Ten thousand connections share sixteen megabytes of buffers, and their
// statistics.
func ExampleBudget() {
	budget := coalesce.NewBudget(16 << 20)
	totals := new(coalesce.Totals)
	cfg := coalesce.Config{Budget: budget, Totals: totals}
	conn, peer := connected()
	defer peer.Close()
	c := coalesce.New(conn, cfg)
	c.Write([]byte("hello"))
	c.Close()
	fmt.Println(budget.Used(), totals.Stats().Sent)
	// Output: 0 5
}

// Above TLS, a batch is one record.
func ExampleNew_tls() {
	conn, err := net.Dial("tcp", "example.com:443")
	if err != nil {
		return
	}
	secure := tls.Client(conn, &tls.Config{ServerName: "example.com",
		DynamicRecordSizingDisabled: true})
	c := coalesce.New(secure, coalesce.Config{BufferSize: 16 << 10})
	defer c.Close()
	c.Write([]byte("GET / HTTP/1.0\r\n\r\n"))
}
