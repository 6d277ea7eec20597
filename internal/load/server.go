//go:build linux

package load

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/maxconn/maxconn/internal/linux/fastsock"
	"github.com/maxconn/maxconn/internal/load/result"
)

// Serve accepts connections and holds them until their clients close, the time is over, or
// ctx ends. It listens before it calls Ready. The report counts accepted connections.
func Serve(ctx context.Context, s ServeSpec) (*result.Report, error) {
	set(&s.Threads, runtime.NumCPU())
	set(&s.Backlog, 65535)
	set(&s.Every, time.Second)
	switch {
	case len(s.Listen) == 0:
		return nil, errors.New("load: serve needs an address")
	case s.Threads < 1 || s.Threads > maxThreads || s.Duration < 0 ||
		len(s.Answer) > maxMessage:
		return nil, errors.New("load: serve: a number is out of bounds")
	}
	r, err := newRun("serve", Spec{OneTable: s.OneTable, Targets: s.Listen, NoHistogram: true})
	if err != nil {
		return nil, err
	}
	defer r.close()
	r.serve = s
	if err := s.alone(); err != nil {
		return nil, err
	}
	shards, at, err := openShards(s)
	if err != nil {
		return nil, err
	}
	defer closeShards(shards)
	a := newAccount(ctx, r)
	r.begin()
	w := r.watch(s.Every, s.KeepFree, func(one result.Sample) { a.highest(one, s.Progress) })
	for _, shard := range shards {
		r.launch(func(w *worker) { w.server(shard, shards) })
	}
	if s.Ready != nil {
		s.Ready(at)
	}
	r.await(ctx, nil, s.Duration)
	a.atEnd()
	r.end()
	r.workers.Wait()
	return &a.report(w.end()).Report, nil
}

// openShards opens a listener for each thread on each address. They are opened in the table
// of the process: each worker has a copy, and where one table is full the next worker
// accepts from the same queue.
func openShards(s ServeSpec) (shards [][]int, at []netip.AddrPort, err error) {
	defer func() {
		if err != nil {
			closeShards(shards)
		}
	}()
	listen := append([]netip.AddrPort(nil), s.Listen...)
	for range s.Threads {
		var shard []int
		for i, addr := range listen {
			fd, e := listenAt(addr,
				listening{backlog: s.Backlog, reset: s.Reset, shard: true})
			if e != 0 {
				return append(shards, shard), nil,
					fmt.Errorf("load: listen on %s: %w", addr, e)
			}
			shard = append(shard, fd)
			if addr.Port() == 0 {
				have, e := fastsock.Local(fd)
				if e != 0 {
					return append(shards, shard), nil,
						fmt.Errorf("load: listen on %s: %w", addr, e)
				}
				listen[i] = have.AddrPort() // further shards share it
			}
		}
		shards = append(shards, shard)
	}
	return shards, listen, nil
}

func closeShards(shards [][]int) {
	for _, shard := range shards {
		for _, fd := range shard {
			fastsock.Close(fd)
		}
	}
}

// server is a worker that accepts.
type server struct {
	*worker
	shard  []int
	shards [][]int // all of the process
	young  []int32 // accepted and not watched yet
	held   descriptors
	buffer []byte
	retry  int64
	paused bool
	came   int  // connections accepted in this round
	busy   bool // the last round brought something that is to be answered
}

// gather is how long a server looks away after a round that brought connections whose
// clients expect nothing of it, and how long it goes on looking where they wait for
// answers. A client that opens the next connection meanwhile need not wake it: over
// loopback the client pays for that, a quarter of what connect() costs (net/core/sock.c
// sock_def_readable).
const gather = 50 * time.Microsecond

// poll looks for events without sleeping, and lets others have the CPU in between.
func (s *server) poll() (n int, e syscall.Errno) {
	for until := s.now() + int64(gather); ; fastsock.Yield() {
		if n, e = s.epoll.Wait(0, s.happened); n > 0 || e != 0 || s.now() >= until {
			return n, e
		}
	}
}

func (w *worker) server(shard []int, shards [][]int) {
	w.dropOthers(shard, shards)
	s := &server{worker: w, shard: shard, shards: shards, buffer: make([]byte, 64<<10)}
	for _, fd := range shard {
		if e := w.epoll.Add(fd, fastsock.Readable, listenData|uint64(fd)); e != 0 {
			w.fail(result.AtWatch, e)
		}
	}
	for !s.ended.Load() {
		s.turn()
	}
	s.acceptLast()
	s.held.each(func(fd int) { s.abort(fd) })
	s.open.Store(0)
	if s.own {
		for _, fd := range s.shard {
			fastsock.Close(fd)
		}
	}
	w.leave()
}

// acceptLast takes what is in the queues at the end, so that it is counted; not what comes
// meanwhile.
func (s *server) acceptLast() {
	for _, fd := range s.shard {
		for left := s.serve.Backlog; left > 0 && s.accept(fd) == batch; left -= batch {
		}
	}
	s.settle()
}

// dropOthers closes this table's copies of the other workers' listeners.
func (w *worker) dropOthers(shard []int, shards [][]int) {
	for _, other := range shards {
		if w.own && other[0] != shard[0] {
			for _, fd := range other {
				fastsock.Close(fd)
			}
		}
	}
}

// turn is one round of events. Connections that were accepted in the round before are
// looked at first: in churn most have ended by now and are closed without ever having been
// watched, which saves two calls for each.
func (s *server) turn() {
	wait := time.Duration(-1)
	switch {
	case len(s.young) > 0:
		wait = 0
	case s.paused:
		wait = backOff
	}
	n, e := 0, syscall.Errno(0)
	if s.busy {
		n, e = s.poll()
	} else {
		n, e = s.epoll.Wait(wait, s.happened)
	}
	if e != 0 {
		s.fail(result.AtWatch, e)
	}
	s.busy = n > 0 && s.quick()
	if n == 0 && len(s.young) > 0 {
		s.settle()
	}
	if s.came > 0 && !s.quick() {
		fastsock.Nap(gather)
	}
	s.came = 0
	if s.paused && s.now() >= s.retry {
		s.resume()
	}
}

func (s *server) happened(ev fastsock.Event) {
	switch {
	case ev.Data == bellData:
	case ev.Data&listenData != 0:
		s.settle()
		s.accept(int(ev.Data & fdMask))
		return
	default:
		s.readable(int(ev.Data & fdMask))
	}
}

// accept takes a batch of connections and says how many. An event may be of a listener that
// was given up in the same round.
func (s *server) accept(listener int) (n int) {
	if !slices.Contains(s.shard, listener) {
		return 0
	}
	for ; n < batch; n++ {
		fd, e := fastsock.Accept(listener)
		if e == syscall.EAGAIN {
			break
		}
		if e != 0 {
			s.refused(e)
			break
		}
		s.came++
		s.established.Add(1)
		if s.serve.CloseFirst && s.serve.Answer == nil && !s.serve.Echo {
			fastsock.Close(fd)
			continue
		}
		s.open.Add(1)
		s.young = append(s.young, int32(fd))
	}
	if len(s.young) > 0 && s.quick() {
		s.settle()
	}
	return n
}

// quick says whether young connections are to be watched at once: where they are expected
// to stay or to ask.
func (s *server) quick() bool { return s.serve.Answer != nil || s.serve.Echo }

// refused deals with a failed accept().
func (s *server) refused(e syscall.Errno) {
	if e == syscall.ECONNABORTED || e == syscall.EINTR {
		return
	}
	s.settle()
	if s.full(e) {
		for _, fd := range s.shard {
			_ = s.epoll.Remove(fd)
			fastsock.Close(fd) // this table's copy
		}
		shard := s.shard
		s.shard = nil
		s.launch(func(w *worker) { w.server(shard, s.shards) })
		return
	}
	s.fail(result.AtAccept, e)
	s.pause()
}

// pause leaves the listeners alone for a while: they stay readable while nothing can be accepted.
func (s *server) pause() {
	s.paused, s.retry = true, s.now()+int64(backOff)
	for _, fd := range s.shard {
		_ = s.epoll.Remove(fd)
	}
}

func (s *server) resume() {
	s.paused = false
	for _, fd := range s.shard {
		_ = s.epoll.Add(fd, fastsock.Readable, listenData|uint64(fd))
	}
}

// settle looks at young connections: those that live are watched.
func (s *server) settle() {
	young := s.young
	s.young = s.young[:0]
	for _, fd32 := range young {
		fd := int(fd32)
		s.held.add(fd)
		if !s.read(fd) {
			continue
		}
		if e := s.epoll.Add(fd, watchHeld, uint64(fd)); e != 0 {
			s.fail(result.AtWatch, e)
		}
	}
}

// readable is an event of a connection.
func (s *server) readable(fd int) {
	if s.held.has(fd) {
		s.read(fd)
	}
}

// read takes all that has come and answers; false when the connection has ended.
func (s *server) read(fd int) bool {
	for {
		n, e := fastsock.Receive(fd, s.buffer)
		switch {
		case e == syscall.EAGAIN:
			return true
		case e != 0 || n == 0:
			s.shut(fd)
			return false
		}
		s.answered.Add(1)
		if !s.reply(fd, s.buffer[:n]) {
			s.shut(fd)
			return false
		}
	}
}

// reply answers what was read; false where the connection is to be closed.
func (s *server) reply(fd int, asked []byte) bool {
	answer := s.serve.Answer
	if s.serve.Echo {
		answer = asked
	}
	if len(answer) > 0 {
		// What does not fit the send buffer is not kept: an answer is small, and a
		// client that does not read it is no client.
		if n, e := fastsock.Send(fd, answer); e != 0 || n < len(answer) {
			s.fail(result.AtSend, e)
			return false
		}
	}
	return !s.serve.CloseFirst
}

func (s *server) shut(fd int) {
	s.held.drop(fd)
	fastsock.Close(fd)
	s.open.Add(-1)
}

// abort resets a connection: nothing of it shall be left.
func (s *server) abort(fd int) {
	fastsock.ResetOnClose(fd)
	fastsock.Close(fd)
}

// listening is how a socket listens.
type listening struct {
	backlog int
	reset   bool // accepted sockets end with RST
	shard   bool // SO_REUSEPORT
}

// listenAt opens a listener. SO_REUSEADDR lets it have a port on which connections of an
// earlier one are in TIME_WAIT.
func listenAt(at netip.AddrPort, l listening) (fd int, e syscall.Errno) {
	a := fastsock.NewAddr(at)
	if fd, e = fastsock.Socket(a.Family()); e != 0 {
		return -1, e
	}
	steps := []func() syscall.Errno{func() syscall.Errno { return fastsock.ReuseAddr(fd) }}
	if at.Addr().Is6() {
		steps = append(steps, func() syscall.Errno { return fastsock.OnlyIPv6(fd) })
	}
	if l.shard {
		steps = append(steps, func() syscall.Errno { return fastsock.ReusePort(fd) })
	}
	if l.reset {
		steps = append(steps, func() syscall.Errno { return fastsock.ResetOnClose(fd) })
	}
	steps = append(steps, func() syscall.Errno { return fastsock.Bind(fd, &a) },
		func() syscall.Errno { return fastsock.Listen(fd, l.backlog) })
	for _, step := range steps {
		if e = step(); e != 0 {
			fastsock.Close(fd)
			return -1, e
		}
	}
	return fd, 0
}
