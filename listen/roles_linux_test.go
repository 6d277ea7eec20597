package listen

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// play is the test binary as another program.
func play(role string) {
	name, arg, _ := strings.Cut(role, " ")
	programs := map[string]func(string) error{"flooded": flooded, "files": files,
		"activated": activated, "flood": flood}
	if err := programs[name](arg); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", role, err)
		os.Exit(1)
	}
}

const fileLimit = 100

// report is what a flooded server says when asked.
type report struct {
	Addr  string
	CPU   time.Duration
	Stats *Stats
}

// flooded is an HTTP server that may have a hundred descriptors: on this package's
// listener, or on package net's. It answers each line of input with a report.
func flooded(kind string) error {
	limit := unix.Rlimit{Cur: fileLimit, Max: fileLimit}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	c := Config{Backlog: 2000}
	switch kind {
	case "message":
		c.OnOverload, c.Message = RefuseMessage, []byte(busy)
	case "wait":
		c.OnOverload = Wait
	}
	var ln net.Listener
	var err error
	if kind == "net" {
		ln, err = net.Listen("tcp", "127.0.0.1:0")
	} else {
		ln, err = c.Listen(context.Background(), "tcp", "127.0.0.1:0")
	}
	if err != nil {
		return err
	}
	server := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter,
		_ *http.Request) {
		w.Write([]byte("served"))
	})}
	go server.Serve(ln)
	defer server.Close()
	out := json.NewEncoder(os.Stdout)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		r := report{Addr: ln.Addr().String(), CPU: cpu()}
		if l, ok := ln.(*Listener); ok {
			st := l.Stats()
			r.Stats = &st
		}
		if err := out.Encode(r); err != nil {
			return err
		}
	}
	return nil
}

const busy = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

// cpu is the processor time of this process.
func cpu() time.Duration {
	var u unix.Rusage
	unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// files checks RaiseFiles on its own limits.
func files(string) error {
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 64, Max: 256}); err != nil {
		return err
	}
	for _, v := range []struct{ ask, soft uint64 }{{100, 100}, {10, 100}, {0, 256},
		{256, 256}} {
		got, err := RaiseFiles(v.ask)
		kernel, kernelErr := limits()
		if err != nil || kernelErr != nil || got != kernel ||
			got != (Files{Soft: v.soft, Hard: 256}) {
			return fmt.Errorf("RaiseFiles(%d) = %+v, %v; the kernel says %+v, %v",
				v.ask, got, err, kernel, kernelErr)
		}
	}
	if err := set(Files{Soft: 64, Hard: 256}); err != nil {
		return err
	}
	_, err := RaiseFiles(300)
	got, _ := limits()
	privileged := err == nil
	if privileged && got != (Files{300, 300}) ||
		!privileged && (got != (Files{256, 256}) ||
			!strings.Contains(err.Error(), "CAP_SYS_RESOURCE")) {
		return fmt.Errorf("RaiseFiles(300): %+v, %v", got, err)
	}
	const tooMany = 1 << 40 // above any fs.nr_open
	want := got
	if privileged {
		want = Files{uint64(nrOpen()), uint64(nrOpen())}
	}
	got, err = RaiseFiles(tooMany)
	var fe *FilesError
	if !errors.As(err, &fe) || !errors.Is(err, syscall.EPERM) || got != want || fe.Got != got ||
		fe.Asked != tooMany || fe.Max != nrOpen() {
		return fmt.Errorf("RaiseFiles(%d) = %+v, %v", uint64(tooMany), got, err)
	}
	if !strings.Contains(err.Error(), "fs.nr_open is") {
		return err
	}
	fmt.Println("ok")
	return nil
}

// activated is a service with one socket of a service manager.
func activated(string) error {
	os.Setenv("LISTEN_PID", fmt.Sprint(os.Getpid()))
	sockets, err := Activated()
	if err != nil || len(sockets) != 1 || sockets[0].Name != "web" ||
		os.Getenv("LISTEN_FDS") != "" {
		return fmt.Errorf("Activated = %+v, %v", sockets, err)
	}
	l, err := Config{Backlog: 77}.Adopt(sockets[0].Listener)
	if err != nil {
		return err
	}
	defer l.Close()
	c, err := l.Accept()
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = fmt.Fprintf(c, "limit %d", l.Stats().Limit)
	return err
}

// flood opens connections until its input ends, that many at a time, and waits until the
// server has closed each; see the benchmarks. It closes with a reset, which leaves nothing
// in TIME_WAIT at the server.
func flood(addr string) error {
	to, err := net.ResolveTCPAddr("tcp4", addr)
	if err != nil {
		return err
	}
	ended := make(chan bool)
	go func() {
		bufio.NewReader(os.Stdin).ReadByte()
		close(ended)
	}()
	sa := &unix.SockaddrInet4{Port: to.Port, Addr: [4]byte(to.IP.To4())}
	for {
		select {
		case <-ended:
			return nil
		default:
		}
		var fds [64]int
		for i := range fds {
			if fds[i], err = unix.Socket(unix.AF_INET,
				unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
				return err
			}
			unix.SetsockoptLinger(fds[i], unix.SOL_SOCKET, unix.SO_LINGER,
				&unix.Linger{Onoff: 1})
			unix.Connect(fds[i], sa)
		}
		for _, fd := range fds {
			unix.Read(fd, make([]byte, 1)) // ends with the server, whichever way
			unix.Close(fd)
		}
	}
}
