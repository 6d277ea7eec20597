// Package coalescetest runs random interleavings of calls on a coalesce.Conn over any kind of
// connection, and holds them to what the package promises: order, exact counts, and bounds of time.
package coalescetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"time"

	"github.com/maxconn/maxconn/coalesce"
)

// Pair makes a connection: the end to wrap, and that of its peer.
type Pair func(t testing.TB) (wrap, peer net.Conn)

// Peers, by what they do with what is sent to them.
const (
	reads   = iota
	pauses  // reads after a while
	stalls  // reads once the writer's end is closed
	slow    // reads a little at a time
	resets  // reads a part, and resets the connection
	numPeer = iota
)

// Ends, by what ends a trial.
const (
	closeAfter  = iota // Close when all calls have been made
	closeHalf          // CloseWrite, and Close
	closeAmid          // Close at some moment
	closeNow           // CloseNow at some moment
	closeCancel        // CloseContext at some moment, with a context that ends soon
	numEnds     = iota
)

const (
	writeTimeout = 700 * time.Millisecond
	closeTimeout = 600 * time.Millisecond
)

// trial is one connection and what is done to it. It follows from its seed, but for timing.
type trial struct {
	seed uint64
	rnd  *rand.Rand
	cfg  coalesce.Config
	peer int
	end  int
	ops  int
	conn *coalesce.Conn

	patience time.Duration // of closeCancel
	lone     bool          // begin with lone messages, after which callers write by themselves

	expected bytes.Buffer  // what calls said they have accepted
	said     []string      // the calls, for the report
	late     []string      // calls that passed their bounds
	ended    chan error    // of the end that came amid the calls
	heard    chan struct{} // closed when the peer has read to the end
}

func newTrial(seed uint64) *trial {
	rnd := rand.New(rand.NewPCG(seed, 2))
	tr := &trial{seed: seed, rnd: rnd, peer: rnd.IntN(numPeer), end: rnd.IntN(numEnds)}
	tr.heard = make(chan struct{})
	tr.lone = rnd.IntN(3) == 0
	tr.patience = time.Duration(rnd.IntN(int(100 * time.Millisecond)))
	tr.ops = 1 + rnd.IntN(40)
	tr.cfg = coalesce.Config{
		BufferSize: pick(rnd, 1<<10, 4<<10, 64<<10),
		MaxPending: pick(rnd, 1<<10, 16<<10, 256<<10),
		Policy: pick(rnd, coalesce.Auto, coalesce.Auto, coalesce.Immediate,
			coalesce.Manual),
		OnFull: pick(rnd, coalesce.Block, coalesce.Block, coalesce.Fail,
			coalesce.Disconnect),
		ReadDriven:   rnd.IntN(4) == 0,
		WriteTimeout: writeTimeout, CloseTimeout: closeTimeout,
	}
	if rnd.IntN(4) == 0 {
		tr.cfg.Budget = coalesce.NewBudget(int64(rnd.IntN(80 << 10)))
	}
	if rnd.IntN(4) == 0 {
		tr.cfg.BusyPoll = pick(rnd, 50*time.Microsecond, time.Second)
	}
	return tr
}

func pick[T any](rnd *rand.Rand, from ...T) T { return from[rnd.IntN(len(from))] }

// Run makes one trial. A failure names its seed.
func Run(t testing.TB, seed uint64, pair Pair) {
	t.Helper()
	tr := newTrial(seed)
	wrap, peer := pair(t)
	defer peer.Close()
	tr.conn = coalesce.New(wrap, tr.cfg)
	closed := make(chan struct{})
	got := make(chan []byte, 1)
	go func() { got <- tr.receive(peer, closed); close(tr.heard) }()
	lag := watchClock()
	read := make(chan struct{})
	go func() { // the owner waits for input meanwhile
		defer close(read)
		for err := error(nil); err == nil; {
			_, err = tr.conn.Read(make([]byte, 100))
		}
	}()
	err := tr.play()
	close(closed)
	<-read
	tr.verify(t, err, <-got)
	allowed := lag()
	for _, l := range tr.late {
		t.Errorf("late: %s (timers were late by %v)", l, allowed)
	}
	if t.Failed() {
		t.Logf("seed %d, peer %d, end %d, %+v", seed, tr.peer, tr.end, tr.cfg)
		for _, s := range tr.said {
			t.Log(s)
		}
	}
}

// play makes the calls, and ends the connection. It returns the error of the end.
func (tr *trial) play() error {
	if tr.end >= closeAmid {
		tr.ended = make(chan error, 1)
		after := time.Duration(tr.rnd.IntN(int(40 * time.Millisecond)))
		time.AfterFunc(after, func() { tr.ended <- tr.finish() })
	}
	if tr.lone {
		tr.writeLone()
	}
	for range tr.ops {
		if !tr.step() {
			break
		}
	}
	var err error
	if tr.ended == nil {
		err = tr.finish()
	} else {
		err = <-tr.ended
	}
	return tr.settled(err)
}

// finish closes, and sees that it takes no longer than it may.
func (tr *trial) finish() (err error) {
	if tr.end == closeHalf {
		tr.conn.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
		tr.timed("CloseWrite", 500*time.Millisecond, func() {
			err = tr.conn.CloseWrite()
		})
		tr.awaitEnd(err)
	}
	switch tr.end {
	case closeNow:
		tr.timed("CloseNow", 0, func() { err = tr.conn.CloseNow() })
		return err
	case closeCancel:
		ctx, cancel := context.WithTimeout(context.Background(), tr.patience)
		defer cancel()
		tr.timed("CloseContext", tr.patience, func() { err = tr.conn.CloseContext(ctx) })
		return err
	}
	tr.timed("Close", closeTimeout, func() { err = tr.conn.Close() })
	return err
}

// awaitEnd sees that a peer that reads gets the end of the stream from CloseWrite, without Close.
func (tr *trial) awaitEnd(err error) {
	if err != nil || tr.peer == stalls || tr.peer == resets {
		return
	}
	select {
	case <-tr.heard:
	case <-time.After(10 * time.Second):
		tr.late = append(tr.late, "the end of the stream, which CloseWrite did not send")
	}
}

// settled waits until a Close that goes on in the background has ended.
func (tr *trial) settled(err error) error {
	c, ok := any(tr.conn).(interface{ CloseContext(context.Context) error })
	if !ok {
		return err
	}
	tr.timed("CloseContext", closeTimeout, func() {
		err = c.CloseContext(context.Background())
	})
	return err
}

// timed makes a call, and notes when it takes more than its bound and a tenth. Scheduling on a
// busy machine is allowed for by half a second, and by what the clock shows (see Run).
func (tr *trial) timed(what string, bound time.Duration, call func()) {
	lag := watchClock()
	start := time.Now()
	call()
	took := time.Since(start)
	if over := took - bound - bound/10 - lag(); over > 500*time.Millisecond {
		tr.late = append(tr.late, fmt.Sprintf("%s took %v, may take %v", what, took, bound))
	}
}

// watchClock measures by how much timers are late until the function it returns is called.
func watchClock() func() time.Duration {
	stop, lag := make(chan struct{}), make(chan time.Duration, 1)
	go func() {
		worst := time.Duration(0)
		for {
			from := time.Now()
			select {
			case <-stop:
				lag <- worst
				return
			case <-time.After(10 * time.Millisecond):
				worst = max(worst, time.Since(from)-10*time.Millisecond)
			}
		}
	}()
	return func() time.Duration { close(stop); return <-lag }
}

// receive is the peer. It returns all that has arrived.
func (tr *trial) receive(peer net.Conn, closed chan struct{}) []byte {
	var got bytes.Buffer
	switch tr.peer {
	case pauses:
		time.Sleep(300 * time.Millisecond)
	case stalls:
		<-closed
	case resets:
		io.CopyN(&got, peer, 20_000)
		if l, ok := peer.(interface{ SetLinger(int) error }); ok {
			l.SetLinger(0)
		}
		peer.Close()
		return got.Bytes()
	case slow:
		for range 30 {
			if _, err := io.CopyN(&got, peer, 3000); err != nil {
				return got.Bytes()
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	io.Copy(&got, peer)
	return got.Bytes()
}

// verify compares what arrived with what calls said.
func (tr *trial) verify(t testing.TB, err error, got []byte) {
	t.Helper()
	want := tr.expected.Bytes()
	if !bytes.HasPrefix(want, got) && len(got) <= len(want) {
		at := 0
		for got[at] == want[at] {
			at++
		}
		t.Errorf("byte %d of %d that arrived is not the one written", at, len(got))
	}
	if len(got) > len(want) {
		t.Errorf("%d bytes arrived, calls reported %d", len(got), len(want))
	}
	if tr.peer == resets {
		return
	}
	s := tr.conn.Stats()
	var failed *coalesce.Error
	switch {
	case errors.As(err, &failed):
		if int64(len(got)) != failed.Sent {
			t.Errorf("%d bytes arrived, %v tells of %d", len(got), err, failed.Sent)
		}
	case err != nil:
		t.Errorf("end: %v", err)
	case len(got) != len(want):
		t.Errorf("%d of %d bytes arrived, and no error", len(got), len(want))
	}
	if s.Accepted != int64(len(want)) {
		t.Errorf("calls reported %d bytes accepted, Stats of %d", len(want), s.Accepted)
	}
	if used := tr.cfg.Budget; used != nil && used.Used() != 0 {
		t.Errorf("%d bytes of the Budget are lost", used.Used())
	}
}

func isDeadline(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
