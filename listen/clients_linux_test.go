package listen

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"
)

// outcome is what a thousand clients saw.
type outcome struct {
	served, reset, told, nothing, other int
	slowest                             time.Duration
	conns                               []net.Conn // of the served
}

// storm has n clients connect at once, ask, and wait for so long.
func storm(t *testing.T, addr string, n int, patience time.Duration) (o outcome) {
	t.Helper()
	var mu sync.Mutex
	var clients sync.WaitGroup
	for range n {
		clients.Go(func() {
			began := time.Now()
			what, c, err := askOnce(addr, patience)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case what == "served":
				o.served++
				o.conns = append(o.conns, c)
			case what == "told":
				o.told++
			case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
				o.reset++
			case errors.Is(err, os.ErrDeadlineExceeded):
				o.nothing++
				return
			default:
				o.other++
				t.Log(err)
			}
			o.slowest = max(o.slowest, time.Since(began))
		})
	}
	clients.Wait()
	return o
}

// askOnce is one client. It closes the connection unless it was served.
func askOnce(addr string, patience time.Duration) (string, net.Conn, error) {
	c, err := net.DialTimeout("tcp", addr, 20*time.Second)
	if err != nil {
		return "", nil, err
	}
	c.SetDeadline(time.Now().Add(patience))
	_, writeErr := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err == nil && r.StatusCode == http.StatusOK {
		return "served", c, nil
	}
	c.Close()
	if err == nil {
		return "told", nil, nil
	}
	if writeErr != nil && !errors.Is(err, syscall.ECONNRESET) {
		err = writeErr
	}
	return "", nil, err
}

// loadWhile has eight clients connect and ask without pause until f returns. Lost is one
// that was connected and got no answer.
func loadWhile(addr string, f func()) (served int, lost []error) {
	var mu sync.Mutex
	var clients sync.WaitGroup
	stop := make(chan struct{})
	for range 8 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				err := visit(addr)
				if errors.Is(err, syscall.ECONNREFUSED) {
					continue // not listening any more
				}
				mu.Lock()
				if err == nil {
					served++
				} else {
					lost = append(lost, err)
				}
				mu.Unlock()
			}
		})
	}
	f()
	close(stop)
	clients.Wait()
	return served, lost
}

// visit is one client. It is patient: one that gave up on a slow machine might have been accepted.
func visit(addr string) error {
	what, c, err := askOnce(addr, time.Minute)
	if c != nil {
		c.Close()
	}
	if what == "" {
		return err
	}
	return nil
}
