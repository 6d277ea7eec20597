package coalesce

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A frame is writer, sequence number and length, four bytes each, then bytes that follow
// from these.
const frameHead = 12

func frame(p []byte, writer, seq, n int) []byte {
	p = append(p[:0], make([]byte, frameHead+n)...)
	binary.BigEndian.PutUint32(p, uint32(writer))
	binary.BigEndian.PutUint32(p[4:], uint32(seq))
	binary.BigEndian.PutUint32(p[8:], uint32(n))
	for i := range p[frameHead:] {
		p[frameHead+i] = byte(writer + seq + i)
	}
	return p
}

// checker reads frames and holds them to contiguity and order.
type checker struct {
	next  map[int]int
	bytes atomic.Int64
}

// run reads until the stream ends. A stream that ends inside a frame is no
// error of the sender's if bytes were lost.
func (k *checker) run(r io.Reader) error {
	var head [frameHead]byte
	k.next = map[int]int{}
	for {
		n, err := io.ReadFull(r, head[:])
		k.bytes.Add(int64(n))
		if err != nil {
			return ended(err)
		}
		writer, seq := int(binary.BigEndian.Uint32(head[:])),
			int(binary.BigEndian.Uint32(head[4:]))
		body := make([]byte, binary.BigEndian.Uint32(head[8:]))
		n, err = io.ReadFull(r, body)
		k.bytes.Add(int64(n))
		if err != nil {
			return ended(err)
		}
		if k.next[writer] != seq {
			return fmt.Errorf("writer %d: message %d, want %d", writer, seq,
				k.next[writer])
		}
		k.next[writer]++
		for i, b := range body {
			if b != byte(writer+seq+i) {
				return fmt.Errorf("writer %d: message %d differs at byte %d",
					writer, seq, i)
			}
		}
	}
}

func ended(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF || isReset(err) ||
		errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func isReset(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && !op.Timeout()
}

// peer is what the other end does.
type peer int

const (
	peerReads peer = iota
	peerStalls
	peerResets
	peerHalfCloses
)

// trial is one run of the stress test.
type trial struct {
	seed     uint64
	cfg      Config
	kind     int // of connection: see dial
	writers  int
	messages int
	maxSize  int
	peer     peer
	close    time.Duration // Close after this time, -1: when the writers are done
	tamper   bool          // Flush, Hold, deadlines and the like
	files    bool          // ReadFrom in place of deadlines, which could cut a frame
	half     bool          // CloseWrite before Close
	chatty   bool          // the peer answers, so that the owner's Read does more than wait
}

func (tr trial) String() string {
	type bare trial
	return fmt.Sprintf("%+v", bare(tr))
}

func (tr trial) run(t *testing.T) {
	t.Helper()
	inner, b := tr.dial(t)
	defer b.Close()
	c := New(inner, tr.cfg)
	var k checker
	received := make(chan error, 1)
	go func() { received <- tr.receive(b, &k) }()
	var wg, writers sync.WaitGroup
	for w := range tr.writers {
		writers.Go(func() { tr.write(c, w) })
	}
	wg.Go(func() { // the owner waits for input meanwhile
		for err := error(nil); err == nil; {
			_, err = c.Read(make([]byte, 100))
		}
	})
	closed := make(chan error, 1)
	if tr.close >= 0 {
		time.AfterFunc(tr.close, func() { closed <- tr.end(c) })
	} else {
		go func() { tr.closeWhenSent(t, c, &k, &writers); closed <- tr.end(c) }()
	}
	err := <-closed
	wg.Wait()
	writers.Wait()
	tr.verify(t, c, &k, err, received)
}

// dial returns a connection over TCP, over TCP hidden in another type, or over a Unix socket.
func (tr trial) dial(t *testing.T) (inner, b net.Conn) {
	if tr.kind == 2 {
		return unixPair(t)
	}
	a, tcp, err := dialPair()
	if err != nil {
		t.Fatal(err)
	}
	if tr.peer != peerReads { // so that it is felt soon
		a.SetWriteBuffer(16 << 10)
		tcp.SetReadBuffer(64 << 10)
	}
	if tr.kind == 1 {
		return plain{a}, tcp
	}
	return a, tcp
}

// end closes, in one step or in two.
func (tr trial) end(c *Conn) error {
	if tr.half {
		c.CloseWrite()
	}
	c.Close()
	return c.CloseContext(context.Background()) // what became of bytes that Close left behind
}

// closeWhenSent waits until all that was accepted has arrived without anybody
// asking for it: no byte may be stuck.
func (tr trial) closeWhenSent(t *testing.T, c *Conn, k *checker, writers *sync.WaitGroup) {
	writers.Wait()
	last, since := int64(-1), time.Now()
	for ; tr.peer != peerResets && c.Err() == nil; time.Sleep(100 * time.Microsecond) {
		s, got := c.Stats(), k.bytes.Load()
		if got == s.Accepted {
			return
		}
		if got != last {
			last, since = got, time.Now()
		}
		if time.Since(since) > 5*time.Second {
			t.Errorf("%v: stuck: %+v, received %d", tr, s, got)
			return
		}
	}
}

func (tr trial) receive(b net.Conn, k *checker) error {
	switch tr.peer {
	case peerStalls:
		time.Sleep(30 * time.Millisecond)
	case peerResets:
		io.CopyN(io.Discard, b, 20_000)
		if tcp, ok := b.(*net.TCPConn); ok {
			tcp.SetLinger(0)
		}
		return b.Close()
	case peerHalfCloses:
		b.(interface{ CloseWrite() error }).CloseWrite()
	}
	if tr.chatty {
		return k.run(io.TeeReader(b, answers{b}))
	}
	return k.run(b)
}

// answers sends a byte for each piece that arrived.
type answers struct{ to net.Conn }

func (a answers) Write(p []byte) (int, error) {
	// fails once the connection is closed, which the checker finds out by itself
	a.to.Write(p[:1])
	return len(p), nil
}

func (tr trial) verify(t *testing.T, c *Conn, k *checker, err error, received chan error) {
	t.Helper()
	s := c.Stats()
	lost := int64(0)
	var failed *Error
	if errors.As(err, &failed) {
		lost = failed.Unsent()
	} else if err != nil && !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v: close: %v", tr, err)
	}
	if s.Accepted != s.Sent+lost {
		t.Errorf("%v: accepted %d, sent %d, reported lost %d", tr, s.Accepted, s.Sent, lost)
	}
	if err := <-received; err != nil {
		t.Errorf("%v: %v", tr, err)
	}
	if got := k.bytes.Load(); tr.peer != peerResets && got != s.Sent {
		t.Errorf("%v: sent %d, received %d", tr, s.Sent, got)
	}
	c.mu.Lock()
	if c.work != nil || c.flag&(writing|scheduled) != 0 {
		t.Errorf("%v: something is left: %08b", tr, c.flag)
	}
	c.mu.Unlock()
	if used := tr.cfg.Budget.usedOrZero(); used != 0 {
		t.Errorf("%v: %d bytes of the budget are lost", tr, used)
	}
}

func (b *Budget) usedOrZero() int64 {
	if b == nil {
		return 0
	}
	return b.Used()
}

// write sends the messages of one writer, each until it is accepted.
func (tr trial) write(c *Conn, w int) {
	rnd := rand.New(rand.NewPCG(tr.seed, uint64(w)))
	var p []byte
	for seq := 0; seq < tr.messages; {
		p = frame(p, w, seq, rnd.IntN(tr.maxSize+1))
		err := tr.writeOne(c, rnd, p)
		switch {
		case err == nil:
			seq++
		case errors.Is(err, ErrFull),
			errors.Is(err, os.ErrDeadlineExceeded) && c.Err() == nil:
			c.SetWriteDeadline(time.Time{})
			if tr.cfg.OnFull == Disconnect {
				return
			}
		default:
			return
		}
		clear(p)
	}
}

func (tr trial) writeOne(c *Conn, rnd *rand.Rand, p []byte) (err error) {
	if !tr.tamper {
		_, err = c.Write(p)
		return err
	}
	switch rnd.IntN(16) {
	case 0:
		return c.TryWrite(p)
	case 1:
		_, err = c.WriteNow(p)
	case 2:
		cut := rnd.IntN(len(p))
		_, err = c.WriteBuffers(net.Buffers{p[:cut], p[cut:]})
	case 3:
		c.Hold()
		defer c.Release()
		_, err = c.Write(p)
	case 4:
		if _, err = c.Write(p); err == nil {
			c.Flush()
		}
	case 5:
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		c.FlushContext(ctx)
		_, err = c.Write(p)
	case 6:
		if tr.files {
			return tr.readFrom(c, rnd, p)
		}
		c.SetWriteDeadline(time.Now().Add(time.Duration(rnd.IntN(2000)) * time.Microsecond))
		_, err = c.Write(p)
	case 7:
		c.Stats()
		time.Sleep(time.Duration(rnd.IntN(300)) * time.Microsecond)
		_, err = c.Write(p)
	default:
		_, err = c.Write(p)
	}
	return err
}

// readFrom sends p from a file or from memory. Only files stay in one piece when they are long.
func (tr trial) readFrom(c *Conn, rnd *rand.Rand, p []byte) error {
	if rnd.IntN(2) == 0 && len(p) < min(copySize, c.set.large) {
		_, err := c.ReadFrom(bytes.NewReader(p))
		return err
	}
	f, err := os.CreateTemp("", "coalesce")
	if err != nil {
		return err
	}
	defer f.Close()
	os.Remove(f.Name())
	if _, err := f.Write(p); err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if rnd.IntN(2) == 0 {
		_, err = c.ReadFrom(io.LimitReader(f, int64(len(p))))
	} else {
		_, err = c.ReadFrom(f)
	}
	return err
}

func randomTrial(rnd *rand.Rand) trial {
	tr := trial{
		seed:     rnd.Uint64(),
		writers:  1 + rnd.IntN(12),
		messages: 1 + rnd.IntN(200),
		close:    -1,
	}
	tr.cfg = Config{
		BufferSize: []int{1 << 10, 4 << 10, 64 << 10}[rnd.IntN(3)],
		MaxPending: []int{1 << 10, 16 << 10, 256 << 10}[rnd.IntN(3)],
		Policy:     []Policy{Auto, Auto, Auto, Immediate}[rnd.IntN(4)],
		ReadDriven: rnd.IntN(4) == 0, NoFlushOnRead: rnd.IntN(4) == 0,
		OnFull:       []Overflow{Block, Block, Block, Fail, Disconnect}[rnd.IntN(5)],
		CloseTimeout: 2 * time.Second,
	}
	switch rnd.IntN(4) {
	case 0:
		tr.cfg.Budget = NewBudget(int64(rnd.IntN(80 << 10)))
		// for which a Budget of less than a buffer is always used up
		if tr.cfg.OnFull == Fail {
			tr.cfg.Budget = NewBudget(8 << 10)
		}
	case 1:
		tr.cfg.Totals = &Totals{}
	}
	if rnd.IntN(3) == 0 {
		tr.close = time.Duration(rnd.IntN(3000)) * time.Microsecond
	}
	tr.peer = []peer{
		peerReads, peerReads, peerReads, peerStalls, peerResets, peerHalfCloses,
	}[rnd.IntN(6)]
	// Not where the connection is closed with input unread, which makes TCP drop what was sent.
	tr.chatty = tr.peer == peerReads && tr.close < 0 && tr.cfg.OnFull != Disconnect &&
		rnd.IntN(2) == 0
	tr.kind = max(0, rnd.IntN(6)-3)
	tr.tamper = rnd.IntN(2) == 0
	tr.files, tr.half = rnd.IntN(2) == 0, rnd.IntN(4) == 0
	// A deadline that cuts a large write leaves part of a frame, so those stay small then.
	buffer := settle(tr.cfg).BufferSize
	tr.maxSize = []int{20, 400, buffer/2 - frameHead - 1}[rnd.IntN(3)]
	if !tr.tamper && rnd.IntN(3) == 0 {
		tr.maxSize = 3 * buffer
	}
	if tr.tamper && tr.cfg.Budget != nil {
		tr.cfg.Budget = nil // writes without a copy may be cut too
	}
	return tr
}

func TestStress(t *testing.T) {
	trials := 300
	if testing.Short() {
		trials = 60
	}
	seed := uint64(time.Now().UnixNano())
	rnd := rand.New(rand.NewPCG(seed, 1))
	for i := range trials {
		tr := randomTrial(rnd)
		tr.run(t)
		if t.Failed() {
			t.Fatalf("seed %d, trial %d", seed, i)
		}
	}
}

func FuzzInterleavings(f *testing.F) {
	for i := range uint64(8) {
		f.Add(i, i*i)
	}
	f.Fuzz(func(t *testing.T, a, b uint64) {
		tr := randomTrial(rand.New(rand.NewPCG(a, b)))
		tr.messages = min(tr.messages, 40)
		tr.run(t)
	})
}
