package listen_test

import (
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/maxconn/maxconn/listen"
)

// An HTTP server with a limit ends while clients come and keep their connections. Each
// request is answered, and Serve returns what programs wait for before they exit.
func TestHTTPEnds(t *testing.T) {
	ln := open(t, listen.Config{Backlog: 256, MaxConnections: 10, BestEffort: true})
	server := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter,
		_ *http.Request) {
		io.WriteString(w, "served")
	})}
	ended := make(chan error)
	go func() { ended <- server.Serve(ln) }()

	var clients sync.WaitGroup
	for range 30 { // ten are let in, the others wait for places that idle connections hold
		clients.Go(func() {
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			r, err := (&http.Client{Transport: transport}).Get("http://" +
				ln.Addr().String())
			if err != nil {
				t.Error(err)
				return
			}
			io.Copy(io.Discard, r.Body)
			r.Body.Close()
		})
	}
	for st := ln.Stats(); int(st.Accepted)+st.Queued < 30; st = ln.Stats() {
		time.Sleep(time.Millisecond)
	}
	server.SetKeepAlivesEnabled(false) // idle connections give up their places
	if err := ln.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	if err := server.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != http.ErrServerClosed {
		t.Errorf("Serve = %v", err)
	}
	clients.Wait()
	if st := ln.Stats(); st.Accepted != 30 || st.Open != 0 || st.RefusedClose != 0 {
		t.Errorf("%+v", st)
	}
}
