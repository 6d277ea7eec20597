//go:build linux

package lab

import (
	"fmt"
	"math"
	"net/netip"
	"runtime"
	"syscall"
	"time"

	"github.com/maxconn/maxconn/internal/linux/clock"
)

// CostSpec describes connections whose price is measured.
type CostSpec struct {
	To    netip.AddrPort `json:"to"`
	N     int            `json:"n"`
	Batch int            `json:"batch"` // connections a measurement; 0 means 16
	// Low and Window cut the local range into windows, which are filled in turn: socket
	// i gets the ports from Low + i/Window*Window on, Window of them
	// (IP_LOCAL_PORT_RANGE, Linux 6.3). 0: the sockets have the whole range.
	Low    uint16 `json:"low"`
	Window int    `json:"window"`
}

// Cost is what the connections took.
type Cost struct {
	Group  Group          `json:"group"`
	Count  int            `json:"count"`
	Errors map[string]int `json:"errors"`
	// Each is the CPU time of one connection, in nanoseconds, for each batch: of
	// connect() alone, with what the kernel does inside it, which on loopback is both
	// ends of the handshake. It is the least of the batch, because the kernel charges
	// interrupts and other sockets' packets to the running task.
	Each []int64 `json:"each"`
}

// ipLocalPortRange is IP_LOCAL_PORT_RANGE (include/uapi/linux/in.h).
const ipLocalPortRange = 51

// ConnectCost opens connections, keeps them and measures the CPU time of each batch.
func (a *Actor) ConnectCost(spec CostSpec) (Cost, error) {
	return ask[Cost](a.control, "cost", spec, maxWithin)
}

func connectCost(w *worker, spec CostSpec) (Cost, error) {
	if !spec.To.IsValid() || spec.Window < 0 || spec.Batch < 0 {
		return Cost{}, fmt.Errorf("cost of connections to %v: %w", spec.To, syscall.EINVAL)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	batch := spec.Batch
	if batch == 0 {
		batch = 16
	}
	o, each := startOpening(maxWithin), []int64(nil)
	for at := 0; at < count(spec.N) && o.left() > 0; at += batch {
		least := time.Duration(math.MaxInt64)
		for i := at; i < min(at+batch, count(spec.N)); i++ {
			took, err := o.pricedConnect(spec, i)
			if err != nil {
				return Cost{}, err
			}
			least = min(least, took)
		}
		each = append(each, int64(least))
	}
	out := o.finish(w)
	return Cost{Group: out.Group, Count: out.Count, Errors: out.Errors, Each: each}, nil
}

// pricedConnect opens one connection and says what connect() took. The error is of the
// measuring; the kernel's refusal is noted.
func (o *opening) pricedConnect(spec CostSpec, i int) (time.Duration, error) {
	fd, err := tcpSocket(spec.To.Addr(), 0)
	if err != nil {
		o.note(-1, err)
		return 0, nil
	}
	if spec.Window > 0 {
		low := int(spec.Low) + i/spec.Window*spec.Window
		if err := syscall.SetsockoptInt(fd, syscall.IPPROTO_IP, ipLocalPortRange,
			int(int32(uint32(low+spec.Window-1)<<16|uint32(low)))); err != nil {
			syscall.Close(fd)
			return 0, fmt.Errorf("set IP_LOCAL_PORT_RANGE: %w", err)
		}
	}
	before, err := clock.Thread()
	if err != nil {
		return 0, err
	}
	refused := connectFD(fd, sockaddr(spec.To))
	after, err := clock.Thread()
	if refused != nil {
		syscall.Close(fd)
	}
	o.note(fd, refused)
	return after - before, err
}
