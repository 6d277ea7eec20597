package dial_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/maxconn/maxconn/dial"
	"github.com/maxconn/maxconn/internal/lab"
)

// roleVar makes the test binary a program that runs inside a lab, and specVar says what it does.
const (
	roleVar = "MAXCONN_DIAL_TEST_ROLE"
	specVar = "MAXCONN_DIAL_TEST_SPEC"
	jobRole = "job"
)

// job is what a program in a lab does: to each destination it dials that many times, or
// until it fails.
type job struct {
	Plain    bool // net.Dialer
	Choice   dial.Choice
	Sources  []netip.Addr
	Device   string
	Dial     []leg
	NoServer bool // nobody listens
	Churn    bool // close each connection at once, this side first
	Reset    bool // ... with a reset, which leaves no TIME_WAIT
	Wait     time.Duration
	Bind     []netip.AddrPort // plain binders hold these ports
	Remove   string           // an address that lo loses before the second leg
	Restore  bool             // ... and has again, with a Refresh, before the third
	Return   bool             // ... and has again, a second passes, and no Refresh
	Widen    string           // the kernel's range from the second leg on
}

type leg struct {
	To netip.AddrPort
	N  int
}

// report is what came of it.
type report struct {
	Legs  []legReport
	Stats dial.Stats
}

type legReport struct {
	Made      int
	Err       string
	Exhausted bool // errors.Is(err, dial.ErrPortsExhausted)
	NotAvail  bool // errors.Is(err, syscall.EADDRNOTAVAIL)
	NoSource  bool
	From      map[string]int // connections by source address
	Took      time.Duration
}

// play runs one role and gives the exit status.
func play(role string) int {
	roles := map[string]func() error{fillRole: playFill, jobRole: playJob}
	if err := roles[role](); err != nil {
		fmt.Fprintln(os.Stderr, role, err)
		return 1
	}
	return 0
}

func playJob() error {
	var j job
	if err := json.Unmarshal([]byte(os.Getenv(specVar)), &j); err != nil {
		return err
	}
	r, err := j.run()
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

func (j job) run() (r report, err error) {
	for _, b := range j.Bind {
		if err := bindPlainly(b); err != nil {
			return r, err
		}
	}
	served := map[netip.AddrPort]bool{}
	for _, l := range j.Dial {
		if !served[l.To] && !j.NoServer {
			served[l.To] = true
			if err := serveAt(l.To, j.Churn); err != nil {
				return r, err
			}
		}
	}
	d := &dial.Dialer{Choice: j.Choice, Sources: j.Sources, Device: j.Device, MaxWait: j.Wait}
	open := d.DialContext
	if j.Plain {
		open = (&net.Dialer{}).DialContext
	}
	for i, l := range j.Dial {
		if err := j.disturb(i, d); err != nil {
			return r, err
		}
		made, held := j.leg(l, open)
		r.Legs = append(r.Legs, made)
		defer runtime.KeepAlive(held)
	}
	r.Stats = d.Stats()
	return r, nil
}

func (j job) leg(l leg, open func(context.Context, string, string) (net.Conn,
	error)) (out legReport, held []net.Conn) {
	began := time.Now()
	out.From = map[string]int{}
	for range l.N {
		c, err := open(context.Background(), "tcp", l.To.String())
		if err != nil {
			out.Err = err.Error()
			out.Exhausted, out.NotAvail = errors.Is(err, dial.ErrPortsExhausted),
				errors.Is(err, syscall.EADDRNOTAVAIL)
			out.NoSource = errors.Is(err, dial.ErrNoSource)
			break
		}
		out.Made++
		out.From[c.LocalAddr().(*net.TCPAddr).IP.String()]++
		if j.Reset {
			c.(interface{ SetLinger(int) error }).SetLinger(0)
		}
		if j.Churn {
			c.Close()
			continue
		}
		held = append(held, c)
	}
	out.Took = time.Since(began)
	return out, held
}

// disturb takes an address from lo, or gives it back, before a leg.
func (j job) disturb(i int, d *dial.Dialer) error {
	if i == 1 && j.Widen != "" {
		return os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte(j.Widen), 0)
	}
	if j.Remove == "" || i == 0 {
		return nil
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	addr, err := netlink.ParseAddr(j.Remove)
	if err != nil {
		return err
	}
	switch {
	case i == 1:
		return netlink.AddrDel(lo, addr)
	case i == 2 && j.Restore:
		if err := netlink.AddrAdd(lo, addr); err != nil {
			return err
		}
		return d.Refresh()
	case i == 2 && j.Return:
		time.Sleep(time.Second) // after which it is tried again
		return netlink.AddrAdd(lo, addr)
	}
	return nil
}

// bindPlainly takes a port as programs do that know nothing of others. The descriptor lives
// as long as the program.
func bindPlainly(at netip.AddrPort) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return unix.Bind(fd, &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()})
}

// serveAt accepts; a server of churn closes after its peer.
func serveAt(at netip.AddrPort, churn bool) error {
	l, err := net.Listen("tcp", at.String())
	if err != nil {
		return err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if churn {
				go func() { io.Copy(io.Discard, c); c.Close() }()
			} else {
				keepAlive(c)
			}
		}
	}()
	return nil
}

// keepAlive keeps a connection open as long as the program runs: its descriptor, without
// the net.Conn.
func keepAlive(c net.Conn) {
	if f, err := c.(*net.TCPConn).File(); err == nil {
		unix.Dup(int(f.Fd()))
		f.Close()
	}
	c.Close()
}

// inside runs a job in a lab.
func inside(t *testing.T, l *lab.Lab, j job) report {
	t.Helper()
	spec := must(json.Marshal(j))(t)
	t.Setenv(roleVar, jobRole)
	t.Setenv(specVar, string(spec))
	defer os.Unsetenv(roleVar)
	exe := must(os.Executable())(t)
	out, err := l.Run(t.Context(), nil, exe)
	if err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(out.Stdout, &r); err != nil || out.Code != 0 {
		t.Fatalf("exit status %d, %v\n%s%s", out.Code, err, out.Stdout, out.Stderr)
	}
	return r
}
