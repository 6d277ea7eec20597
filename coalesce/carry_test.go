package coalesce

import (
	"io"
	"runtime"
	"sync"
	"testing"
	"time"
)

// The goroutine that reads replies and hands them out sends what their callers
// write next: no flusher is started for it.
func TestReaderCarries(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	a, b := pair(t)
	go io.Copy(b, b)
	// no turn is slow, not on an emulated machine either
	c := New(a, Config{MaxDelay: time.Minute})
	const callers, rounds = 16, 200
	yields.until.Store(0) // other tests may have made yields slow
	var reader, wg sync.WaitGroup
	replies := make([]chan bool, callers)
	for i := range replies {
		replies[i] = make(chan bool, 1)
	}
	reader.Go(func() {
		p := make([]byte, callers)
		for {
			n, err := c.Read(p)
			if err != nil {
				return
			}
			for _, id := range p[:n] {
				replies[id] <- true
			}
		}
	})
	for i, reply := range replies {
		wg.Go(func() {
			for range rounds {
				c.Write([]byte{byte(i)})
				<-reply
			}
		})
	}
	wg.Wait()
	s := c.Stats()
	c.Close()
	reader.Wait()
	if s.Causes.Read < rounds/2 || s.Causes.Dry > rounds/4 || s.Calls > callers*rounds/8 {
		t.Errorf("%d messages, %d system calls: %+v", s.Messages, s.Calls, s.Causes)
	} else {
		t.Logf("%d messages, %d system calls: %+v", s.Messages, s.Calls, s.Causes)
	}
}

// A reader whose input makes nobody write soon stops giving way.
func TestReaderGivesUp(t *testing.T) {
	a, b := pair(t)
	c := New(a, Config{MaxDelay: time.Minute})
	defer c.Close()
	yields.until.Store(0)
	const reads = 2000
	for range reads {
		if _, err := b.Write([]byte{1}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	if s := c.Stats(); s.Yields == 0 || s.Yields > 30 {
		t.Errorf("gave way %d times in %d Reads", s.Yields, reads)
	}
	if c.work != nil {
		t.Error("holds memory while idle")
	}
}
