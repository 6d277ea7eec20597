package coalesce_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/maxconn/maxconn/coalesce"
)

// A server that sends events and flushes after each, and clients that read them.
func TestHTTP(t *testing.T) {
	const events, responses, clients = 16, 50, 8
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for i := range events {
			fmt.Fprintf(w, "event %d\n", i)
			http.NewResponseController(w).Flush()
		}
	})
	compare(t, events*responses*clients, func(t *testing.T, a adoption) func() {
		l := listen(t)
		server := &http.Server{Handler: handler}
		go server.Serve(a.listen(l)) // the one line of a server
		t.Cleanup(func() { server.Close() })
		client := &http.Client{Transport: &http.Transport{
			DialContext: a.dial, // the one line of a client
		}}
		t.Cleanup(client.CloseIdleConnections)
		return func() {
			var all sync.WaitGroup
			for range clients {
				all.Go(func() {
					for range responses {
						get(t, client, "http://"+l.Addr().String(), events)
					}
				})
			}
			all.Wait()
		}
	})
}

func get(t *testing.T, client *http.Client, url string, events int) {
	r, err := client.Get(url)
	if err != nil {
		t.Error(err)
		return
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	last := fmt.Sprintf("event %d\n", events-1)
	if err != nil || len(body) < len(last) || string(body[len(body)-len(last):]) != last {
		t.Errorf("%q %v", body, err)
	}
}

// With TLS the Listener and the dialer go below it: net/http knows TLS by the type of a
// connection, and so has HTTP/2 and Request.TLS.
func TestHTTPS(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Proto, " ", r.TLS.NegotiatedProtocol)
	})
	server := httptest.NewUnstartedServer(handler)
	server.Listener = coalesce.NewListener(server.Listener, coalesce.Config{})
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	transport := server.Client().Transport.(*http.Transport)
	dial := coalesce.DialContext(new(net.Dialer).DialContext, coalesce.Config{})
	client := &http.Client{Transport: &http.Transport{
		DialContext: dial, ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{RootCAs: transport.TLSClientConfig.RootCAs},
	}}
	defer client.CloseIdleConnections()
	r, err := client.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if body, err := io.ReadAll(r.Body); string(body) != "HTTP/2.0 h2" || err != nil {
		t.Errorf("%q %v", body, err)
	}
}
