package bench

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// job is one case to measure.
type job struct {
	table   string
	name    string
	role    string // of the child
	conns   int
	writers int // for each connection
	depth   int
	size    int
	hogs    int
	sample  int // every how many messages carry a stamp
	drive   func(r *run, c conn, id int)
}

// run is one measurement of one variant.
type run struct {
	job
	variant string
	awake   *awake
	began   time.Time
	stop    atomic.Bool
	stamped atomic.Bool
	counts  []counter
	wake    []chan struct{}
	trips   []trips
}

// counter is the number of messages of one writer, alone in its cache line.
type counter struct {
	atomic.Int64
	_ [56]byte
}

// trips are the times in ns that one caller waited for its echoes.
type trips struct {
	ns []int32
	_  [40]byte
}

// figures are the results of one run.
type figures struct {
	rate     float64 // messages/s
	p50, p99 float64 // us, one way
	trip50   float64 // us, from before Write until the caller has its echo
	trip99   float64
	writes   float64 // system calls a message
	cpu      float64 // ns a message, this process
	childCPU float64 // ns a message, the other end
	allocs   float64 // a message
	foreign  float64 // CPUs used by others meanwhile
}

func (r *run) measure() (figures, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return figures{}, err
	}
	defer l.Close()
	cmd, out, err := r.child(l.Addr().String())
	if err != nil {
		return figures{}, err
	}
	conns := make([]conn, r.conns)
	for i := range conns {
		c, err := l.Accept()
		if err != nil {
			return figures{}, err
		}
		conns[i] = variants[r.variant](c.(*net.TCPConn))
	}
	f := r.load(conns)
	if err := cmd.Wait(); err != nil {
		return f, fmt.Errorf("child: %w", err)
	}
	return f, r.judge(&f, out.Bytes())
}

func (r *run) child(addr string) (*exec.Cmd, *bytes.Buffer, error) {
	text, err := json.Marshal(order{Role: r.role, Addr: addr, Conns: r.conns, Size: r.size,
		Depth: r.depth})
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+string(text), "GOMAXPROCS=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stderr = os.Stderr
	out := new(bytes.Buffer)
	cmd.Stdout = out
	return cmd, out, cmd.Start()
}

// load runs the writers and measures between the end of the warm-up and the
// end of the span.
func (r *run) load(conns []conn) (f figures) {
	r.counts = make([]counter, r.conns*r.writers)
	r.wake = make([]chan struct{}, len(r.counts))
	r.trips = make([]trips, len(r.counts))
	for i := range r.wake {
		r.wake[i] = make(chan struct{}, 1)
	}
	r.began = time.Now()
	var writers, readers, hogs sync.WaitGroup
	for i, c := range conns {
		if r.role == "echo" && r.variant != "lockstep" {
			readers.Go(func() { r.readEchoes(c) })
		}
		for w := range r.writers {
			writers.Go(func() { r.drive(r, c, i*r.writers+w) })
		}
	}
	for range r.hogs {
		hogs.Go(r.hog)
	}
	time.Sleep(*warm)
	r.stamped.Store(true)
	f = r.between(func() { time.Sleep(*span) })
	r.stop.Store(true)
	if r.role == "client" {
		for _, c := range conns {
			c.Close()
		}
	}
	writers.Wait()
	hogs.Wait()
	for _, c := range conns {
		c.Close()
	}
	readers.Wait()
	return f
}

// between takes what is measured in this process around f.
func (r *run) between(f func()) figures {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	from, messages, calls, cpu, busy := time.Now(), r.sent(), writeCalls(), cpuTime(),
		busyTime()-r.awake.cpuTime()
	f()
	wall := time.Since(from)
	n := float64(r.sent() - messages)
	calls, cpu, busy = writeCalls()-calls, cpuTime()-cpu, busyTime()-r.awake.cpuTime()-busy
	runtime.ReadMemStats(&after)
	return figures{
		rate: n / wall.Seconds(), writes: float64(calls) / n, cpu: float64(cpu) / n,
		allocs:  float64(after.Mallocs-before.Mallocs) / n,
		foreign: float64(busy-cpu) / float64(wall), // the child's is taken off when known
	}
}

func (r *run) sent() (n int64) {
	for i := range r.counts {
		n += r.counts[i].Load()
	}
	return n
}

// judge adds what the child saw, and holds it to the number of messages sent.
func (r *run) judge(f *figures, text []byte) error {
	var o outcome
	if err := json.Unmarshal(text, &o); err != nil {
		return err
	}
	sent := r.sent()
	if r.variant == "handover" { // which sends nothing
		o.Messages += sent
	}
	if r.role != "client" && o.Messages != sent {
		return fmt.Errorf("%d messages sent, %d received", sent, o.Messages)
	}
	f.p50, f.p99 = float64(o.Lat.quantile(0.5))/1000, float64(o.Lat.quantile(0.99))/1000
	f.trip50, f.trip99 = r.tripQuantiles()
	f.childCPU = float64(o.CPU) / float64(o.Messages)
	f.foreign -= f.childCPU * f.rate / 1e9
	return nil
}

func (r *run) tripQuantiles() (p50, p99 float64) {
	var h histogram
	for i := range r.trips {
		for _, ns := range r.trips[i].ns {
			h.add(int64(ns))
		}
	}
	return float64(h.quantile(0.5)) / 1000, float64(h.quantile(0.99)) / 1000
}

func (r *run) hog() {
	x := uint64(1)
	for !r.stop.Load() {
		for range 1000 {
			x = x*6364136223846793005 + 1442695040888963407
		}
	}
	runtime.KeepAlive(x)
}

// message is the memory of one writer's messages.
func (r *run) message(id int) []byte {
	p := make([]byte, r.size)
	binary.LittleEndian.PutUint32(p[8:], uint32(id))
	return p
}

// mark stamps p, the n-th message, if it is one to be stamped.
func (r *run) mark(p []byte, n int64) {
	at := int64(0)
	if n%int64(r.sample) == 0 && r.stamped.Load() {
		at = stamp()
	}
	binary.LittleEndian.PutUint64(p, uint64(at))
}

// ask is a caller that waits for the echo of each message.
func ask(r *run, c conn, id int) {
	if r.variant == "lockstep" {
		askAtOnce(r, c, id)
		return
	}
	p := r.message(id)
	for !r.stop.Load() {
		r.mark(p, 0)
		if _, err := c.Write(p); err != nil {
			panic(err)
		}
		r.counts[id].Add(1)
		<-r.wake[id]
		if at := int64(binary.LittleEndian.Uint64(p)); at != 0 {
			r.trips[id].ns = append(r.trips[id].ns, int32(stamp()-at))
		}
	}
}

// askAtOnce is the limit of batching: one goroutine that writes the messages of all callers at
// once and reads all echoes, without any hand-over between goroutines.
func askAtOnce(r *run, c conn, id int) {
	if id != 0 {
		return
	}
	all, echo := bytes.Repeat(r.message(0), r.writers), make([]byte, r.writers*r.size)
	for !r.stop.Load() {
		for p := all; len(p) > 0; p = p[r.size:] {
			r.mark(p, 0)
		}
		if _, err := c.Write(all); err != nil {
			panic(err)
		}
		r.counts[0].Add(int64(r.writers))
		if _, err := io.ReadFull(c, echo); err != nil {
			panic(err)
		}
		for p, now := all, stamp(); len(p) > 0; p = p[r.size:] {
			if at := int64(binary.LittleEndian.Uint64(p)); at != 0 {
				r.trips[0].ns = append(r.trips[0].ns, int32(now-at))
			}
		}
	}
}

func (r *run) readEchoes(c conn) {
	buf, have := make([]byte, 256<<10), 0
	for {
		n, err := c.Read(buf[have:])
		if err != nil {
			return
		}
		have += n
		p := buf[:have]
		for len(p) >= r.size {
			r.wake[binary.LittleEndian.Uint32(p[8:])] <- struct{}{}
			p = p[r.size:]
		}
		have = copy(buf, p)
	}
}

// pour is a writer that never pauses.
func pour(r *run, c conn, id int) {
	if r.variant == "block" {
		pourBlocks(r, c, id)
		return
	}
	p := r.message(id)
	for n := int64(0); n&15 != 0 || !r.stop.Load(); n++ {
		r.mark(p, n)
		if _, err := c.Write(p); err != nil {
			panic(err)
		}
		if n&15 == 15 {
			r.counts[id].Add(16)
		}
	}
}

// pourBlocks is the limit: one goroutine that writes 64 KiB blocks.
func pourBlocks(r *run, c conn, id int) {
	if id != 0 {
		return
	}
	block := make([]byte, 64<<10)
	for !r.stop.Load() {
		if _, err := c.Write(block); err != nil {
			panic(err)
		}
		r.counts[id].Add(int64(len(block) / r.size))
	}
}

// pace writes one message a millisecond. The writers take turns.
func pace(r *run, c conn, id int) {
	r.paced(c, id, 1, time.Duration(id)*time.Millisecond/time.Duration(r.writers),
		time.Millisecond)
}

// burst writes four messages every 120 ms; the writers of a connection do so at the same time.
func burst(r *run, c conn, id int) {
	r.paced(c, id, 4, time.Duration(id/r.writers)*120*time.Millisecond/time.Duration(r.conns),
		120*time.Millisecond)
}

// paced writes count messages each time. The schedule is one for all writers: with clocks
// of their own, those of a connection kept forever the distance at which they happened to
// start, up to milliseconds.
func (r *run) paced(c conn, id, count int, first, every time.Duration) {
	p := r.message(id)
	next := r.began.Add(first)
	time.Sleep(time.Until(next))
	for !r.stop.Load() {
		r.writeSome(c, id, p, count)
		next = next.Add(every)
		time.Sleep(time.Until(next))
	}
}

func (r *run) writeSome(c conn, id int, p []byte, count int) {
	for range count {
		r.mark(p, 0)
		if _, err := c.Write(p); err != nil {
			panic(err)
		}
		r.counts[id].Add(1)
	}
}

// together is burst with one timer for the writers of a connection: the first wakes the
// others. The runtime may fire timers that are due at the same time a millisecond apart, on
// another processor.
func together(r *run, c conn, id int) {
	p := r.message(id)
	if id%r.writers != 0 {
		for range r.wake[id] {
			r.writeSome(c, id, p, 4)
		}
		return
	}
	others := r.wake[id+1 : id+r.writers]
	const every = 120 * time.Millisecond
	next := r.began.Add(time.Duration(id/r.writers) * every / time.Duration(r.conns))
	time.Sleep(time.Until(next))
	for !r.stop.Load() {
		for _, w := range others {
			w <- struct{}{}
		}
		r.writeSome(c, id, p, 4)
		next = next.Add(every)
		time.Sleep(time.Until(next))
	}
	for _, w := range others {
		close(w)
	}
}

// serve answers each request of a client that sends depth of them at once.
func serve(r *run, c conn, id int) {
	buf, have := make([]byte, 64<<10), 0
	for {
		n, err := c.Read(buf[have:])
		if err != nil {
			return
		}
		have += n
		p := buf[:have]
		for len(p) >= r.size {
			if _, err := c.Write(p[:r.size]); err != nil {
				return
			}
			r.counts[id].Add(1)
			p = p[r.size:]
		}
		have = copy(buf, p)
	}
}
