//go:build linux

package faults

import (
	"sync"
	"time"

	"github.com/maxconn/maxconn/internal/lab"
)

// scene is a fault that was made.
type scene struct {
	// works tries again what was refused, and says whether it works now.
	works func() bool
	// again does what has to happen before remedies act that take effect later: the program
	// calls listen() again, or its connections end and new ones come. nil: none is like that.
	again func()
	// relisten is listen() with another backlog; nil where there is no listener to blame.
	relisten func(backlog int) error
	// load is one round of clients that go on as they did when the fault was made; it says how
	// many were served. nil: that which works tries is the load.
	load func() int
}

// round is one round of the load.
func (s scene) round() int {
	switch {
	case s.load != nil:
		return s.load()
	case s.works():
		return 1
	}
	return 0
}

// unserved is a scene whose program does not take what waits in its queue.
func (s scene) unserved() scene {
	s.load = nil
	return s
}

// served has n clients come at once, and the server take all that got in; both ends are closed.
func (w world) served(listener lab.Group, n int) func() int {
	return func() int {
		const soon = 50 * time.Millisecond // nobody waits for a server that is well
		opened, err := w.client.Connect(lab.ConnectSpec{To: at(8080), N: n,
			NonBlocking: true})
		w.must(err)
		taken, err := w.server.Accept(lab.AcceptSpec{Listener: listener, N: n,
			Within: soon})
		w.must(err)
		w.leave(opened, taken)
		return taken.Count
	}
}

// leave ends connections of the client and of the server, without a TIME_WAIT.
func (w world) leave(opened, taken lab.Opened) {
	_, err := w.client.Close(opened.Group, lab.CloseSpec{Reset: true})
	w.must(err)
	_, err = w.server.Close(taken.Group, lab.CloseSpec{Reset: true})
	w.must(err)
}

// visits has one client connect to a server that takes whom it gets.
func (w world) visits(listener lab.Group) func() int {
	connect := w.opens(lab.ConnectSpec{To: at(8080)})
	serve := sync.OnceFunc(func() { w.must(w.server.Serve(listener, lab.Hold)) })
	return func() int {
		serve()
		return connect()
	}
}

// opens has one client connect, and the one before it leave.
func (w world) opens(spec lab.ConnectSpec) func() int {
	spec.Within = attempt
	var last []lab.Group
	return func() int {
		for _, g := range last {
			_, err := w.client.Close(g, lab.CloseSpec{Reset: true})
			w.must(err)
		}
		out, err := w.client.Connect(spec)
		w.must(err)
		last = []lab.Group{out.Group}
		return out.Count
	}
}

// connects is whether a connection can be opened.
func (w world) connects(spec lab.ConnectSpec) func() bool {
	spec.Within = attempt
	return func() bool {
		out, err := w.client.Connect(spec)
		w.must(err)
		return out.Count == 1
	}
}

// connecting works where a client gets in.
func (w world) connecting(spec lab.ConnectSpec) scene {
	return scene{works: w.connects(spec), load: w.opens(spec)}
}

// attempt is how long one attempt may take: less than what a SYN that was dropped waits.
const attempt = 500 * time.Millisecond

// takes is whether the server gets a connection out of its queue.
func (w world) takes(listener lab.Group, port uint16) func() bool {
	return func() bool {
		w.knock(port, 1)
		out, err := w.server.Accept(lab.AcceptSpec{Listener: listener, Within: attempt})
		w.must(err)
		return out.Count == 1
	}
}

// still is whether a counter does not move while something is done.
func (w world) still(counter string, do func()) func() bool {
	return func() bool {
		before := w.counter(counter)
		do()
		return w.counter(counter) == before
	}
}

// queueing is a listener on port 8080 whose accept queue is full: it works where the queue takes n
// more at once.
func (w world) queueing(listener lab.Group, backlog, n int) scene {
	return scene{
		works:    w.still("TcpExt.ListenOverflows", func() { w.knock(8080, n) }),
		again:    func() { w.must(w.relisten(listener)(backlog)) },
		relisten: w.relisten(listener),
		load:     w.served(listener, n),
	}
}

// relisten is listen() on the open socket.
func (w world) relisten(listener lab.Group) func(int) error {
	return func(backlog int) error {
		_, err := w.server.Relisten(listener, backlog)
		return err
	}
}

// halfOpen is a listener on port 8080 whose SYN queue is full: it works where a client gets in.
func (w world) halfOpen(listener lab.Group, backlog int) scene {
	return scene{
		works:    w.connects(lab.ConnectSpec{To: at(8080)}),
		load:     w.visits(listener),
		again:    func() { w.must(w.relisten(listener)(backlog)) },
		relisten: w.relisten(listener),
	}
}

// without is whether the server has no socket in a state.
func (w world) without(g lab.Group, state string) func() bool {
	return func() bool {
		states, err := w.server.States(g)
		w.must(err)
		return states[state] == 0
	}
}
