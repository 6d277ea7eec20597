//go:build linux

package listen_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"runtime"
	"time"

	"github.com/maxconn/maxconn/listen"
)

// An HTTP server whose accept queue holds 1,024 connections and which tells clients that it
// cannot serve now, instead of leaving them waiting, when descriptors run out.
func Example_http() {
	config := listen.Config{
		Backlog:    1024,
		OnOverload: listen.RefuseMessage,
		Message: []byte(
			"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: " +
				"close\r\n\r\n"),
		Warn: func(err error) { log.Print(err) },
	}
	ln, err := config.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	server := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter,
		r *http.Request) {
		fmt.Fprint(w, "hello")
	})}
	done := make(chan error)
	go func() { done <- server.Serve(ln) }()

	response, err := http.Get("http://" + ln.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	body, _ := io.ReadAll(response.Body)
	response.Body.Close()
	fmt.Printf("%s; accepted %d, refused %d\n", body, ln.Stats().Accepted,
		ln.Stats().RefusedFiles)

	ln.Close()                            // the server gets what is in the queue,
	err = <-done                          // has taken it,
	server.Shutdown(context.Background()) // and finishes its requests
	fmt.Println(errors.Is(err, net.ErrClosed))
	// Output:
	// hello; accepted 1, refused 0
	// true
}

// An echo server with one queue and one accept loop for each processor.
func ExampleListener_Serve() {
	ln, err := listen.Config{Shards: runtime.GOMAXPROCS(0),
		BestEffort: true}.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	done := make(chan error)
	go func() {
		done <- ln.Serve(func(c net.Conn) {
			defer c.Close()
			io.Copy(c, c)
		})
	}()

	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprint(c, "echo")
	c.(*net.TCPConn).CloseWrite()
	answer, _ := io.ReadAll(c)
	c.Close()
	fmt.Printf("%s\n", answer)

	ln.Close()
	fmt.Println(<-done) // when the last echo has ended
	// Output:
	// echo
	// <nil>
}

// A backlog that net.core.somaxconn does not allow: take what there is, and say so.
func ExampleBacklogError() {
	config := listen.Config{Backlog: 1 << 30}
	ln, err := config.Listen(context.Background(), "tcp", "127.0.0.1:0")
	var cut *listen.BacklogError
	if errors.As(err, &cut) {
		fmt.Println("cut:", cut.Got < cut.Asked)
		config.Backlog = cut.Got
		ln, err = config.Listen(context.Background(), "tcp", "127.0.0.1:0")
	}
	if err != nil {
		log.Fatal(err)
	}
	defer ln.Close()
	// Output:
	// cut: true
}

// A queue that grows while clients are waiting in it.
func ExampleListener_Resize() {
	ln, err := listen.Config{Backlog: 16}.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer ln.Close()
	fmt.Println(ln.Stats().Limit)
	if err := ln.Resize(100); err != nil {
		log.Fatal(err)
	}
	fmt.Println(ln.Stats().Limit)
	// Output:
	// 16
	// 100
}

// At most one connection at once; others are told and closed.
func ExampleConfig_maxConnections() {
	ln, err := listen.Config{
		MaxConnections: 1,
		AtLimit:        listen.RefuseMessage,
		Message:        []byte("too many connections, try later\n"),
	}.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	accepted := make(chan net.Conn)
	go ln.Serve(func(c net.Conn) { accepted <- c })

	first, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer first.Close()
	served := <-accepted
	defer served.Close()
	second, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer second.Close()
	text, _ := io.ReadAll(second)
	fmt.Printf("%s", text)
	ln.Close()
	fmt.Println("refused:", ln.Stats().RefusedLimit)
	// Output:
	// too many connections, try later
	// refused: 1
}

// A gauge and a counter for whatever exports them: how full the queue is, and what the
// kernel dropped because it was full.
func ExampleListener_Stats() {
	ln, err := listen.Config{Backlog: 64}.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer ln.Close()
	c, err := net.DialTimeout("tcp", ln.Addr().String(), time.Second)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	st := ln.Stats()
	fmt.Printf("%d of %d, dropped %d\n", st.Queued, st.Limit, st.Drops)
	// Output:
	// 1 of 64, dropped 0
}

// Room for 256 descriptors at least, or the reason why not.
func ExampleRaiseFiles() {
	files, err := listen.RaiseFiles(256)
	if err != nil {
		// raise open files to 256: got 100, hard limit 100: raising that takes
		// CAP_SYS_RESOURCE ...
		log.Print(err)
	}
	fmt.Println(files.Soft >= 256)
	// Output:
	// true
}

// Sockets that systemd made, or a socket of one's own when the program was started by hand.
func ExampleActivated() {
	config := listen.Config{Backlog: 128}
	sockets, err := listen.Activated()
	if err != nil {
		log.Fatal(err)
	}
	var ln *listen.Listener
	if len(sockets) > 0 {
		ln, err = config.Adopt(sockets[0].Listener)
	} else {
		ln, err = config.Listen(context.Background(), "tcp", "127.0.0.1:0")
	}
	if err != nil {
		log.Fatal(err)
	}
	defer ln.Close()
	fmt.Println(ln.Stats().Limit)
	// Output:
	// 128
}
