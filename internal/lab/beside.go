//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/maxconn/maxconn/internal/linux/tune"
)

// Beside makes another lab next to this one: a network namespace of its own, which Wire can
// join to this one. Both belong to the same user namespace, so it takes no more privileges
// than the first did. It ends with Close, with ctx, or with the first lab.
func (l *Lab) Beside(ctx context.Context) (*Lab, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.origin != nil {
		return nil, errors.New("lab: beside: the lab is closed, or not the first one")
	}
	hold, theirs, err := socketPair("lab")
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	hold.said = l.said
	peer := &Lab{hold: hold, said: l.said, origin: l, detach: func() bool { return false }}
	if err := l.startBeside(peer, theirs); err != nil {
		hold.conn.Close()
		return nil, err
	}
	l.beside = append(l.beside, peer)
	if err := peer.setUpBeside(); err != nil {
		return nil, err // it ends with the first
	}
	peer.mu.Lock()
	defer peer.mu.Unlock()
	peer.detach = context.AfterFunc(ctx, func() { peer.Close() })
	return peer, nil
}

func (l *Lab) startBeside(peer *Lab, theirs *os.File) error {
	var made spawned
	if err := l.hold.call("beside", nothing{}, &made, 0, int(theirs.Fd())); err != nil {
		return err
	}
	process, err := os.FindProcess(made.PID)
	if err != nil {
		return fmt.Errorf("lab: beside: %w", err)
	}
	peer.process = process
	return nil
}

func (l *Lab) setUpBeside() error {
	if err := l.order("name", "lab", nil); err != nil {
		return err
	}
	return l.order("up", "lo", nil)
}

// forget waits until the first worker of a lab beside this one is gone. Where this one's
// own is gone, the kernel has killed the other with it.
func (l *Lab) forget(peer *Lab) error {
	err := l.hold.call("gone", peer.process.Pid, nil, closeGrace)
	if errors.Is(err, ErrEnded) {
		return nil
	}
	return err
}

// Cable is a veth pair between two labs.
type Cable struct{ Here, There Plug }

// Plug is one end of a Cable.
type Plug struct {
	Device     string // 1 to 15 bytes
	Addresses  []netip.Prefix
	TxQueueLen int // packets; 0: what the kernel gives a device (1000)
}

// Wire joins this lab to another with a cable; both ends are up and have their addresses
// when it returns. The qdisc of both is noqueue, as for every veth (drivers/net/veth.c
// veth_setup, IFF_NO_QUEUE).
func (l *Lab) Wire(peer *Lab, c Cable) error {
	err := l.order("veth", tune.Veth{
		Name: c.Here.Device, TxQueueLen: c.Here.TxQueueLen,
		Peer: c.There.Device, PeerTxQueueLen: c.There.TxQueueLen, PeerIn: peer.PID(),
	}, nil)
	return errors.Join(err, l.plug(c.Here), peer.plug(c.There))
}

func (l *Lab) plug(p Plug) error {
	for _, prefix := range p.Addresses {
		if err := l.AddAddress(p.Device, prefix); err != nil {
			return err
		}
	}
	return l.order("up", p.Device, nil)
}

// MTU sets the greatest packet of a device, in bytes.
func (l *Lab) MTU(device string, bytes int) error {
	return l.order("mtu", deviceNumber{device, bytes}, nil)
}

// TxQueueLen sets the transmit queue length of a device, in packets.
func (l *Lab) TxQueueLen(device string, packets int) error {
	return l.order("qlen", deviceNumber{device, packets}, nil)
}

// Qdisc gives a device another queue ("pfifo", "fq_codel", "noqueue"). With a rate, in
// bytes a second, a token bucket in front of it (tbf) lets packets out only so fast. A
// kernel without that kind says ENOENT.
func (l *Lab) Qdisc(device, kind string, rate uint64) error {
	return l.order("qdisc", queueing{device, kind, rate}, nil)
}

// Route sends packets for a network to a gateway on a device's own network.
func (l *Lab) Route(to netip.Prefix, via netip.Addr) error {
	return l.order("route", gatewayRoute{to, via}, nil)
}

// spawnBeside starts the first worker of a lab beside this one, in a network namespace of its own.
func spawnBeside(w *worker, _ nothing) (spawned, error) {
	if len(w.passed) != 1 {
		return spawned{}, fmt.Errorf("beside: %d descriptors came along, want 1",
			len(w.passed))
	}
	control := os.NewFile(uintptr(w.passed[0]), "control")
	w.passed = nil
	defer control.Close()
	cmd, granted, err := workerCommand("lab", control)
	if err != nil {
		return spawned{}, err
	}
	defer granted()
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWNET
	if err := cmd.Start(); err != nil {
		return spawned{}, err
	}
	if w.beside == nil {
		w.beside = map[int]chan struct{}{}
	}
	ended := make(chan struct{})
	w.beside[cmd.Process.Pid] = ended
	w.children.Go(func() { cmd.Wait(); close(ended) })
	return spawned{cmd.Process.Pid}, nil
}

// awaitBeside waits for the end of such a worker, which somebody else has killed.
func awaitBeside(w *worker, pid int) (nothing, error) {
	ended, ok := w.beside[pid]
	if !ok {
		return nothing{}, fmt.Errorf("process %d is no lab beside this one", pid)
	}
	select {
	case <-ended:
		delete(w.beside, pid)
		return nothing{}, nil
	case <-time.After(closeGrace):
		return nothing{}, fmt.Errorf("worker %d still runs %v after SIGKILL", pid,
			closeGrace)
	}
}

// deviceNumber is a device and a figure of it.
type deviceNumber struct {
	Device string `json:"device"`
	Number int    `json:"number"`
}

func setMTU(n deviceNumber) error { return tune.LinkMTU(n.Device, n.Number) }

func setTxQueueLen(n deviceNumber) error {
	return tune.LinkTxQueueLen(n.Device, 0, uint32(n.Number))
}

type queueing struct {
	Device string `json:"device"`
	Kind   string `json:"kind"`
	Rate   uint64 `json:"rate"`
}

func setQdisc(q queueing) error {
	return tune.RootQdisc(q.Device, tune.Qdisc{Kind: q.Kind, Rate: q.Rate})
}

type gatewayRoute struct {
	To  netip.Prefix `json:"to"`
	Via netip.Addr   `json:"via"`
}

func addRoute(r gatewayRoute) error { return tune.AddRouteVia(r.To, r.Via) }
