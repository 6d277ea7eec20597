package listen_test

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/maxconn/maxconn/listen"
)

// TLS goes round the listener, so that the connection limit counts connections whose
// handshake hangs as well. Refusals are resets here: a message in plain text is no TLS
// alert. DeferAccept keeps a client that never sends its hello out of the accept queue.
func TestTLS(t *testing.T) {
	// for its certificate, which its client trusts
	certified := httptest.NewUnstartedServer(nil)
	certified.EnableHTTP2 = true
	certified.StartTLS()
	defer certified.Close()

	ln := open(t, listen.Config{Backlog: 256, MaxConnections: 2, AtLimit: listen.RefuseReset,
		DeferAccept: 1e9})
	server := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter,
		r *http.Request) {
		io.WriteString(w, r.Proto)
	})}
	go server.Serve(tls.NewListener(ln, certified.TLS.Clone()))
	defer server.Close()

	client := certified.Client()
	r, err := client.Get("https://" + ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r.Body)
	r.Body.Close()
	if err != nil || string(body) != "HTTP/2.0" {
		t.Errorf("%q, %v", body, err)
	}
	second, err := tls.Dial("tcp", ln.Addr().String(),
		client.Transport.(*http.Transport).TLSClientConfig.Clone())
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if third, err := tls.Dial("tcp", ln.Addr().String(),
		client.Transport.(*http.Transport).TLSClientConfig.Clone()); err == nil {
		third.Close()
		t.Error("a third connection beyond the limit of two")
	}
	if st := ln.Stats(); st.Open != 2 || st.RefusedLimit != 1 {
		t.Errorf("%+v", st)
	}
}
