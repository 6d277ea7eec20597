//go:build !plan9

package dial_test

import (
	"context"
	"encoding/json"
	"errors"
	"expvar"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"syscall"
	"time"

	"github.com/maxconn/maxconn/dial"
)

// listen is a server on loopback that keeps its connections.
func listen() net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { io.Copy(io.Discard, c); c.Close() }()
		}
	}()
	return l
}

// Two source addresses give twice the connections to one destination.
func ExampleDialer() {
	server := listen()
	defer server.Close()

	d := &dial.Dialer{
		Sources: []netip.Addr{netip.MustParseAddr("127.0.0.2"),
			netip.MustParseAddr("127.0.0.3")},
	}
	for range 4 {
		c, err := d.Dial("tcp", server.Addr().String())
		if err != nil {
			fmt.Println(err)
			return
		}
		defer c.Close()
	}
	for _, s := range d.Stats().Sources {
		fmt.Println(s.Addr, "holds", s.Open)
	}
	// Output:
	// 127.0.0.2 holds 2
	// 127.0.0.3 holds 2
}

// A Dialer in the place of net.Dialer.
func ExampleDialer_DialContext_http() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		fmt.Fprint(w, "hello ", host)
	}))
	defer server.Close()

	d := &dial.Dialer{Sources: []netip.Addr{netip.MustParseAddr("127.0.0.2")}}
	client := &http.Client{Transport: &http.Transport{DialContext: d.DialContext}}
	defer client.CloseIdleConnections()

	r, err := client.Get(server.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Body.Close()
	body, _ := io.ReadAll(r.Body)
	fmt.Println(string(body))
	// Output: hello 127.0.0.2
}

// What to do when ports run out: tell it from other errors, and see how far the pool goes.
func ExampleDialer_DialContext_exhausted() {
	server := listen()
	defer server.Close()

	d := &dial.Dialer{
		// ten ports, so that it happens here
		Ports:   dial.PortRange{Low: 50000, High: 50009},
		Sources: []netip.Addr{netip.MustParseAddr("127.0.0.2")},
		MaxWait: 50 * time.Millisecond,
	}
	for {
		c, err := d.DialContext(context.Background(), "tcp", server.Addr().String())
		if errors.Is(err, dial.ErrPortsExhausted) {
			fmt.Println("out of ports:", errors.Is(err, syscall.EADDRNOTAVAIL))
			return
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		defer c.Close()
	}
	// Output: out of ports: true
}

// No more than two connections to each destination; who comes later waits for a place, in order.
func ExampleDialer_limits() {
	server := listen()
	defer server.Close()

	d := &dial.Dialer{MaxOpen: 2, MaxPerSecond: 1000}
	a, _ := d.Dial("tcp", server.Addr().String())
	b, _ := d.Dial("tcp", server.Addr().String())
	defer b.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	_, err := d.DialContext(ctx, "tcp", server.Addr().String())
	fmt.Println(errors.Is(err, dial.ErrLimit))

	a.Close() // makes room
	c, err := d.Dial("tcp", server.Addr().String())
	fmt.Println(err)
	c.Close()
	// Output:
	// true
	// <nil>
}

// Stats as a variable of the expvar page.
func ExampleDialer_Stats() {
	server := listen()
	defer server.Close()

	d := &dial.Dialer{Ports: dial.PortRange{Low: 40000, High: 40999}}
	expvar.Publish("dial", expvar.Func(func() any { return d.Stats() }))

	c, err := d.Dial("tcp", server.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	var s dial.Stats
	json.Unmarshal([]byte(expvar.Get("dial").String()), &s)
	fmt.Println("open:", s.Destinations[0].Open)
	// Output: open: 1
}

// All addresses of a device. Call Refresh when addresses have come or gone.
func ExampleDialer_Refresh() {
	server := listen()
	defer server.Close()

	d := &dial.Dialer{Device: "lo"}
	if err := d.Refresh(); err != nil {
		fmt.Println(err)
		return
	}
	c, err := d.Dial("tcp", server.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	fmt.Println(c.LocalAddr().(*net.TCPAddr).IP)
	// Output: 127.0.0.1
}
