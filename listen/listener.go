package listen

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
)

// Listener is a listening address: one socket, or several shards. All methods may be
// called from any goroutine.
type Listener struct {
	cfg    Config
	addr   net.Addr
	shards []*shard
	unmet  []error

	places chan struct{} // one element for each open connection; nil: no limit
	// apart, so that it can outlive a Listener that was dropped without Close
	reserve *reserve
	parting parting
	queued  leftovers
	// for each connection; nil: it has its settings from the socket or from package net
	alive  *net.KeepAliveConfig
	warned atomic.Int64 // when Warn was last called, UnixNano

	lastTaken atomic.Int64 // when a connection was last accepted, UnixNano

	merging sync.Once
	merged  chan accepted // from the shards to Accept, when there are several
	offered atomic.Int64  // how many of them wait for a caller of Accept
	pumps   sync.WaitGroup
	until   deadline

	turning  sync.Once
	ignoring []bool      // by shard: the kernel takes no new clients; set once
	resizing sync.Mutex  // Resize, Files and SetDeadline, and Close, which ends them
	leaving  bool        // Close has begun to turn clients away; under resizing
	shared   atomic.Bool // others may hold the sockets
	filtered atomic.Bool // Close has attached its filter, which new connections inherit
	closing  atomic.Bool
	closed   chan struct{} // Close has begun
	drained  chan struct{} // Close has taken everything out of the queues
	closer   sync.Once
	closeErr error
}

type accepted struct {
	conn net.Conn
	err  error
}

func newListener(cfg Config, addr net.Addr) *Listener {
	l := &Listener{
		cfg: cfg, addr: addr, merged: make(chan accepted),
		closed: make(chan struct{}), drained: make(chan struct{}),
	}
	l.until.init()
	if cfg.MaxConnections > 0 {
		l.places = make(chan struct{}, cfg.MaxConnections)
	}
	l.reserve = &reserve{wanted: cfg.OnOverload != Wait}
	return l
}

// Addr gives the address, with the port that the system chose. It is a *net.TCPAddr or
// *net.UnixAddr.
func (l *Listener) Addr() net.Addr { return l.addr }

// Unmet lists what the kernel cut or does not have, when Config.BestEffort made Listen
// succeed nevertheless.
func (l *Listener) Unmet() []error { return append([]error(nil), l.unmet...) }

// Accept waits for the next connection and returns it: a *net.TCPConn or *net.UnixConn or, with a
// bound on connections, a wrapper (see Config.MaxConnections).
//
// With several shards the first call starts a goroutine for each, which accepts one connection
// ahead and offers it to the callers; [Listener.Serve] does without them and is the faster way.
// Every error is a *net.OpError, of those that the package comment names.
func (l *Listener) Accept() (net.Conn, error) {
	if len(l.shards) == 1 {
		c, err := l.next(l.shards[0])
		return c, err
	}
	l.merging.Do(l.merge)
	passed := l.until.wait()
	if isClosed(passed) {
		return nil, l.fail("accept", os.ErrDeadlineExceeded)
	}
	select {
	case a := <-l.merged:
		return a.conn, a.err
	case <-passed:
		return nil, l.fail("accept", os.ErrDeadlineExceeded)
	case <-l.closed:
		return l.leftover()
	}
}

// next gives the next connection of a shard, with its place.
func (l *Listener) next(s *shard) (net.Conn, error) {
	c, err := s.take()
	if err == errClosing {
		return l.leftover()
	}
	return c, err
}

// merge starts one goroutine a shard, unless the listener is closed already.
func (l *Listener) merge() {
	l.resizing.Lock() // Close sets closing under it: it waits for all pumps or finds none
	defer l.resizing.Unlock()
	if l.closing.Load() {
		return
	}
	for _, s := range l.shards {
		l.pumps.Go(func() { l.pump(s) })
	}
}

// pump offers what comes to the callers of Accept. A deadline is theirs, so it only makes a pause.
func (l *Listener) pump(s *shard) {
	for {
		changed := l.until.changes()
		c, err := s.take()
		if err == errClosing {
			return
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			select {
			case <-changed:
				continue
			case <-l.closed:
				return
			}
		}
		if !l.offer(s, accepted{c, err}) {
			return
		}
	}
}

// offer hands over to a caller of Accept, now or after Close, which it waits for.
func (l *Listener) offer(s *shard, a accepted) bool {
	l.offered.Add(1)
	defer l.offered.Add(-1)
	select {
	case l.merged <- a:
		return true
	case <-l.closed:
		if a.conn != nil {
			l.keep(s, a.conn)
		}
		return false
	}
}

// Serve accepts connections, with one loop for each shard, and calls handle for each on a
// goroutine of its own. The connection belongs to handle, which closes it.
//
// Serve returns nil when Close was called and the queues are drained, or the error that
// stopped it, having closed the listener; in both cases only after every handle has
// returned. It may run beside Accept and other Serves; each connection goes to one of them.
func (l *Listener) Serve(handle func(net.Conn)) error {
	var loops, handlers sync.WaitGroup
	failed := make(chan error, len(l.shards))
	for _, s := range l.shards {
		loops.Go(func() {
			for {
				c, err := l.next(s)
				if errors.Is(err, net.ErrClosed) {
					return
				}
				if err != nil {
					failed <- err
					l.Close()
					return
				}
				handlers.Go(func() { handle(c) })
			}
		})
	}
	loops.Wait()
	handlers.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// fail makes the error of a method.
func (l *Listener) fail(op string, err error) error {
	return &net.OpError{Op: op, Net: l.addr.Network(), Addr: l.addr, Err: err}
}
