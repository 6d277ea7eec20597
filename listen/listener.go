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

	places  chan struct{} // one element for each open connection; nil: no limit
	reserve *reserve      // apart, so that it can outlive a Listener that was dropped without Close
	parting parting
	queued  leftovers
	alive   *net.KeepAliveConfig // for each connection; nil: it has its settings from the socket or from package net
	warned  atomic.Int64         // when Warn was last called, UnixNano

	merging sync.Once
	merged  chan accepted // from the shards to Accept, when there are several
	pumps   sync.WaitGroup

	resizing sync.Mutex  // Resize and Files, and Close, which ends them
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
	l := &Listener{cfg: cfg, addr: addr, merged: make(chan accepted), closed: make(chan struct{}), drained: make(chan struct{})}
	if cfg.MaxConnections > 0 {
		l.places = make(chan struct{}, cfg.MaxConnections)
	}
	l.reserve = &reserve{wanted: cfg.OnOverload != Wait}
	l.queued.expired = make(chan struct{})
	return l
}

// Addr gives the address, with the port that the system chose. It is a *net.TCPAddr or *net.UnixAddr.
func (l *Listener) Addr() net.Addr { return l.addr }

// Unmet lists what the kernel cut or does not have, when Config.BestEffort made Listen succeed nevertheless.
func (l *Listener) Unmet() []error { return append([]error(nil), l.unmet...) }

// Accept waits for the next connection and returns it: a *net.TCPConn or *net.UnixConn or, with a bound on connections, a
// wrapper that embeds one.
//
// With several shards the first call starts a goroutine for each, which accepts one connection ahead and offers it to the
// callers; [Listener.Serve] does without them and is the faster way. The errors are those of the package comment.
// After Close, Accept returns what was in the queues, and then net.ErrClosed.
func (l *Listener) Accept() (net.Conn, error) {
	if len(l.shards) == 1 {
		return l.next(l.shards[0])
	}
	l.merging.Do(l.merge)
	select {
	case a := <-l.merged:
		return a.conn, a.err
	case <-l.closed:
		return l.leftover()
	}
}

// next gives the next connection of a shard that has a place.
func (l *Listener) next(s *shard) (net.Conn, error) {
	for {
		c, err := s.accept()
		if err == errClosing {
			return l.leftover()
		}
		if err != nil {
			return nil, err
		}
		if c = l.admit(s, c); c != nil {
			return c, nil
		}
	}
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

func (l *Listener) pump(s *shard) {
	for {
		var a accepted
		a.conn, a.err = s.accept()
		if a.err == errClosing {
			return
		}
		if a.err == nil {
			if a.conn = l.admit(s, a.conn); a.conn == nil {
				continue
			}
		}
		select {
		case l.merged <- a:
		case <-l.closed:
			if a.conn != nil {
				l.keep(s, a.conn)
			}
			return
		}
	}
}

// Serve accepts connections, with one loop for each shard, and calls handle for each on a goroutine of its own. The connection
// belongs to handle, which closes it.
//
// Serve returns nil when Close was called and the queues are drained, or the error that stopped it, having closed the
// listener; in both cases only after every handle has returned. It may run beside Accept and other Serves; each connection goes to one of them.
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

// Files gives duplicates of the listening sockets, one for each shard, to pass on to a successor ([os/exec.Cmd.ExtraFiles],
// [net.FileListener], [Config.Adopt]). The caller closes them. From then on Close leaves the sockets
// open for whoever else holds them, as it does after Adopt, and the file of a Unix socket stays.
//
// On Linux, unlike those of package net's File method, the duplicates do not become blocking when their Fd method is called: that would hold for
// this Listener too, and neither Close nor a deadline could end its Accept. Once Close has begun the error is net.ErrClosed.
func (l *Listener) Files() ([]*os.File, error) {
	l.resizing.Lock()
	defer l.resizing.Unlock()
	if l.leaving { // a successor would get a socket that takes no clients
		return nil, l.fail("files", net.ErrClosed)
	}
	var files []*os.File
	for _, s := range l.shards {
		f, err := s.file()
		if err != nil {
			for _, f := range files {
				f.Close()
			}
			return nil, l.fail("files", err)
		}
		files = append(files, f)
	}
	l.shared.Store(true)
	return files, nil
}

// fail makes the error of a method.
func (l *Listener) fail(op string, err error) error {
	return &net.OpError{Op: op, Net: l.addr.Network(), Addr: l.addr, Err: err}
}
