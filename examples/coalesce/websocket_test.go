package coalesce_test

import (
	"context"
	"net/http"
	"sync"
	"testing"

	"github.com/coder/websocket"
)

// A websocket server that sends each client many short messages. The connection that it takes
// over from net/http is the one that the Listener has wrapped.
func TestWebsocket(t *testing.T) {
	const messages, clients = 1000, 8
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer c.CloseNow()
		_, ready, err := c.Read(r.Context())
		for range messages {
			if err == nil {
				err = c.Write(r.Context(), websocket.MessageText, ready)
			}
		}
		if err != nil {
			t.Error(err)
		}
		c.Close(websocket.StatusNormalClosure, "")
	})
	compare(t, messages*clients, func(t *testing.T, a adoption) func() {
		l := listen(t)
		server := &http.Server{Handler: handler}
		go server.Serve(a.listen(l)) // the one line of a server
		t.Cleanup(func() { server.Close() })
		client := &http.Client{Transport: &http.Transport{
			DialContext: a.dial, // the one line of a client
		}}
		return func() {
			var all sync.WaitGroup
			for range clients {
				all.Go(func() {
					listenTo(t, client, "http://"+l.Addr().String(), messages)
				})
			}
			all.Wait()
		}
	})
}

func listenTo(t *testing.T, client *http.Client, url string, messages int) {
	ctx := context.Background()
	c, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPClient: client})
	if err != nil {
		t.Error(err)
		return
	}
	defer c.CloseNow()
	if err := c.Write(ctx, websocket.MessageText, []byte("a short message")); err != nil {
		t.Error(err)
	}
	for range messages {
		if _, p, err := c.Read(ctx); string(p) != "a short message" || err != nil {
			t.Errorf("%q %v", p, err)
			return
		}
	}
	c.Close(websocket.StatusNormalClosure, "")
}
