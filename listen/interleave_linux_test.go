package listen

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// tally is what all clients together saw.
type tally struct{ served, told, reset, unsure atomic.Int64 }

func (y *tally) client(t *testing.T, l *Listener) {
	c, err := net.DialTimeout("tcp", l.Addr().String(), 100*time.Millisecond)
	if errors.Is(err, syscall.ECONNRESET) { // before connect had looked
		y.reset.Add(1)
		return
	}
	// not listening any more, or too slow on a busy machine: then it may have been
	// accepted
	if err != nil {
		y.unsure.Add(1)
		return
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	got, err := io.ReadAll(c)
	switch {
	case err == nil && string(got) == "served":
		y.served.Add(1)
	case err == nil && string(got) == "told":
		y.told.Add(1)
	case errors.Is(err, syscall.ECONNRESET):
		y.reset.Add(1)
	default:
		t.Errorf("a client got %q, %v", got, err)
	}
}

// FuzzInterleaving has clients, accepting goroutines, Resize, Stats and Close meet in an
// order that the seed and the scheduler make. Whatever it is, each client that was
// connected is served or refused, the refusals are those that were counted, and no place is
// lost.
func FuzzInterleaving(f *testing.F) {
	for seed := range uint64(12) {
		f.Add(seed, uint8(seed), uint8(seed/3), uint8(seed%4))
	}
	f.Fuzz(func(t *testing.T, seed uint64, shards, policy, most uint8) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		c := Config{
			Shards:         int(shards%4) + 1,
			AtLimit:        Policy(policy % 4),
			MaxConnections: int(most % 4),
			Message:        []byte("told"),
		}
		if rnd.IntN(4) == 0 {
			c.DrainTimeout = -1
		} else if rnd.IntN(3) == 0 {
			c.DrainTimeout = time.Duration(rnd.IntN(2000)) * time.Microsecond
		}
		l, err := c.Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		var y tally
		var handled atomic.Int64
		handle := func(c net.Conn) {
			defer c.Close()
			handled.Add(1)
			c.Write([]byte("served"))
		}
		var all sync.WaitGroup
		for range 20 + rnd.IntN(40) {
			all.Go(func() { y.client(t, l) })
		}
		for range 1 + rnd.IntN(2) {
			all.Go(func() { l.Serve(handle) })
		}
		for range rnd.IntN(3) {
			all.Go(func() {
				for c, err := l.Accept(); err == nil; c, err = l.Accept() {
					handle(c)
				}
			})
		}
		// a smaller queue may overflow, and then the kernel forgets who is in it
		all.Go(func() { l.Resize(100 + int(seed%100)) })
		all.Go(func() { l.Stats() })
		time.Sleep(time.Duration(rnd.IntN(3000)) * time.Microsecond) // a point to close at
		l.Close()
		all.Wait()
		st := l.Stats()
		within := func(n, counted int64) bool {
			return n <= counted && counted <= n+y.unsure.Load()
		}
		refused := int64(st.RefusedLimit + st.RefusedClose)
		if c.DrainTimeout < 0 {
			// the kernel resets what is queued, and nobody counts
			refused = max(refused, y.told.Load()+y.reset.Load())
		}
		if !within(y.served.Load(), handled.Load()) ||
			!within(y.told.Load()+y.reset.Load(), refused) ||
			y.told.Load() > int64(st.RefusedLimit) || st.Open > 0 {
			t.Errorf("%+v: served %d of %d, told %d, reset %d, %+v", c, y.served.Load(),
				handled.Load(), y.told.Load(), y.reset.Load(), st)
		}
	})
}
