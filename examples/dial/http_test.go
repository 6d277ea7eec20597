package dial_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/maxconn/maxconn/dial"
)

func TestHTTP(t *testing.T) {
	gate := make(chan struct{})
	var arrived sync.WaitGroup
	arrived.Add(8)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived.Done()
		<-gate
	}))
	defer server.Close()

	d := pool()
	client := &http.Client{Transport: &http.Transport{DialContext: d.DialContext,
		MaxIdleConnsPerHost: 8}}
	defer client.CloseIdleConnections()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			r, err := client.Get(server.URL)
			if err != nil {
				t.Error(err)
				return
			}
			io.Copy(io.Discard, r.Body)
			r.Body.Close()
		})
	}
	arrived.Wait()
	checkPool(t, d, server.Listener.Addr().String(), 8)
	close(gate)
	all.Wait()
}

// Ten thousand requests over eight connections. MaxConnsPerHost has the requests wait in
// the Transport. Without it the Transport would dial for each request that finds no idle
// connection, and those dials would wait on in the Dialer when the requests had long been
// served.
func TestHTTPLimited(t *testing.T) {
	const most, workers, each = 8, 100, 100
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "served")
	}))
	defer server.Close()
	d := pool()
	d.MaxOpen = most
	client := &http.Client{Transport: &http.Transport{DialContext: d.DialContext,
		MaxConnsPerHost: most, MaxIdleConnsPerHost: most}}
	defer client.CloseIdleConnections()
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for range each {
				r, err := client.Get(server.URL)
				if err != nil {
					t.Error(err)
					return
				}
				io.Copy(io.Discard, r.Body)
				r.Body.Close()
			}
		})
	}
	all.Wait()
	// On a busy machine net/http drops a few connections whose response was faster than
	// the report of the write (net/http/transport.go wroteRequest), with net.Dialer
	// too.
	if s := d.Stats(); s.Dials > 3*most || s.Destinations[0].Open > most ||
		s.Destinations[0].Waiting > 0 {
		t.Errorf("%d dials, %+v", s.Dials, s.Destinations[0])
	}
}

// Before and after: where an address has a hundred ports, as here, one address holds a
// hundred connections to a server, and four hold four hundred. (net.Dialer cannot be told
// the ports, so a Dialer with one address stands for it.)
func TestHTTPBeforeAndAfter(t *testing.T) {
	ports := hundredPorts(t)
	before := &dial.Dialer{Ports: ports, Sources: pool().Sources[:1], MaxWait: -1}
	after := &dial.Dialer{Ports: ports, Sources: pool().Sources, MaxWait: -1}
	if made, err := hold(t, before, 400); made != 100 ||
		!errors.Is(err, dial.ErrPortsExhausted) {
		t.Errorf("before: %d requests under way, %v", made, err)
	}
	if made, err := hold(t, after, 400); made != 400 || err != nil {
		t.Errorf("after: %d requests under way, %v", made, err)
	}
}

// hundredPorts are in the upper part of the system's range.
func hundredPorts(t *testing.T) dial.PortRange {
	t.Helper()
	whole := (&dial.Dialer{}).Stats().Ports
	if whole == nil || whole.High-whole.Low < 1000 {
		t.Skip("the system's range of ports is not known, or small")
	}
	return dial.PortRange{Low: whole.High - 99, High: whole.High}
}

// hold has n requests under way at once, and gives how many could be made, and the first error.
func hold(t *testing.T, d *dial.Dialer, n int) (made int, first error) {
	settled, release := make(chan error, n), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		settled <- nil
		<-release
	}))
	defer server.Close()
	client := &http.Client{Transport: &http.Transport{DialContext: d.DialContext}}
	defer client.CloseIdleConnections()
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			r, err := client.Get(server.URL)
			if err != nil {
				settled <- err
				return
			}
			r.Body.Close()
		})
	}
	for range n {
		if err := <-settled; err == nil {
			made++
		} else if first == nil {
			first = err
		}
	}
	t.Logf("from %d addresses: %d of %d at once, %v", len(d.Stats().Sources), made, n, first)
	close(release)
	all.Wait()
	return made, first
}
