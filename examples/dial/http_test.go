package dial_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
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
	client := &http.Client{Transport: &http.Transport{DialContext: d.DialContext, MaxIdleConnsPerHost: 8}}
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
