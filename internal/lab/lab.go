//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/maxconn/maxconn/internal/linux/role"
)

// ErrUnavailable says that this user on this kernel cannot make network
// namespaces: no CAP_SYS_ADMIN and user namespaces switched off, counted out
// (user.max_user_namespaces) or without privileges (a security module).
var ErrUnavailable = errors.New("network namespaces cannot be made here")

// closeGrace bounds the wait for processes that were killed: on an emulated CPU the kernel
// takes half a minute to close 66,000 sockets.
const closeGrace = 40 * time.Second

// Lab is one network namespace and the workers in it. It is safe for concurrent
// use.
type Lab struct {
	hold    *control
	process *os.Process // the first worker
	said    *tail
	ended   chan struct{} // closed when the first worker has been waited for
	// the lab that it is beside, whose first worker waits for this one's; nil for the
	// first
	origin *Lab

	mu     sync.Mutex
	detach func() bool // from the context
	actors []*Actor
	beside []*Lab // made by Beside: they end with this one
	closed bool
}

// Start makes a lab: lo is up with 127.0.0.1 and ::1, every setting is what this
// kernel gives a new namespace. It ends with Close, with ctx, or with this process.
func Start(ctx context.Context) (*Lab, error) {
	if role.Named(workerRole) {
		return nil, fmt.Errorf("lab: started by a worker: main must call lab.Main first")
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l, err := startHolder(cloneFlags())
	if err != nil {
		return nil, err
	}
	return l.readied(ctx)
}

// readied sets a lab up that ends with ctx at the latest.
func (l *Lab) readied(ctx context.Context) (*Lab, error) {
	if err := l.setUp(); err != nil {
		l.Close()
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.detach = context.AfterFunc(ctx, func() { l.Close() })
	return l, nil
}

// cloneFlags lists what to try. Root in a container often lacks CAP_SYS_ADMIN
// there, but may have a user namespace.
func cloneFlags() []uintptr {
	mapped := uintptr(syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET)
	if os.Geteuid() == 0 {
		return []uintptr{syscall.CLONE_NEWNET, mapped}
	}
	return []uintptr{mapped}
}

func startHolder(tries []uintptr) (*Lab, error) {
	var all error
	for _, flags := range tries {
		l, err := startFirst(flags)
		if err == nil {
			return l, nil
		}
		if !refused(err) {
			return nil, err
		}
		kind := "as it is"
		if flags&syscall.CLONE_NEWUSER != 0 {
			kind = "in a user namespace"
		}
		if all == nil {
			all = fmt.Errorf("%s: %w", kind, err)
		} else {
			all = fmt.Errorf("%w; %s: %w", all, kind, err)
		}
	}
	return nil, fmt.Errorf("%w: %w", ErrUnavailable, all)
}

// refused tells a kernel that does not let this user have namespaces from any
// other failure. EINVAL: built without them; ENOSPC, EUSERS: counted out.
func refused(err error) bool {
	return slices.ContainsFunc([]error{
		syscall.EPERM, syscall.EACCES, syscall.EINVAL, syscall.ENOSPC, syscall.EUSERS,
		syscall.ENOSYS,
	}, func(e error) bool { return errors.Is(err, e) })
}

func startFirst(flags uintptr) (*Lab, error) {
	hold, theirs, err := socketPair("lab")
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	l := &Lab{
		hold:   hold,
		said:   &tail{},
		ended:  make(chan struct{}),
		detach: func() bool { return false },
	}
	hold.said = l.said
	cmd, granted, err := workerCommand("lab", theirs)
	if err != nil {
		hold.conn.Close()
		return nil, err
	}
	defer granted()
	cmd.Stderr = l.said
	cmd.SysProcAttr.Cloneflags = flags
	cmd.SysProcAttr.Setpgid = true // Ctrl-C is for the parent, which then ends the lab
	if flags&syscall.CLONE_NEWUSER != 0 {
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Geteuid(),
			Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(),
			Size: 1}}
	}
	started := make(chan error)
	go l.keep(cmd, started)
	if err := <-started; err != nil {
		hold.conn.Close()
		var path *os.PathError
		if errors.As(err, &path) {
			err = path.Err // the path says nothing: it is this program
		}
		return nil, fmt.Errorf("start the first worker: %w", err)
	}
	l.process = cmd.Process
	return l, nil
}

// keep starts the first worker and waits for it on one thread, which thereby lives
// as long as the worker: the parent-death signal is sent when the thread that
// started it ends, and a Go thread may (prctl(2), PR_SET_PDEATHSIG).
func (l *Lab) keep(cmd *exec.Cmd, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := cmd.Start()
	started <- err
	if err == nil {
		cmd.Wait()
		close(l.ended)
	}
}

func (l *Lab) setUp() error {
	if err := l.order("name", "lab", nil); err != nil {
		return l.explain(err)
	}
	err := l.order("up", "lo", nil)
	if errors.Is(err, syscall.EPERM) {
		return fmt.Errorf("%w: no privileges inside: %w", ErrUnavailable, err)
	}
	return err
}

// explain waits for what the first worker printed before it ended.
func (l *Lab) explain(err error) error {
	if !errors.Is(err, ErrEnded) {
		return err
	}
	<-l.ended
	return fmt.Errorf("%w (does main call lab.Main first?)", l.hold.fail("name", io.EOF))
}

// order has the first worker do a short verb.
func (l *Lab) order(verb string, args, result any) error {
	return l.hold.call(verb, args, result, 0)
}

// NetNS is the path of the namespace, as `maxconn --netns` takes it. Entering it
// takes root; Run starts a program inside for anybody.
func (l *Lab) NetNS() string { return fmt.Sprintf("/proc/%d/ns/net", l.process.Pid) }

// PID is the first worker, which holds the namespace and no sockets.
func (l *Lab) PID() int { return l.process.Pid }

// Set writes a sysctl inside and reads it back. The kernel keeping another value
// is an *Error without an errno.
func (l *Lab) Set(key, value string) error {
	return l.order("sysctl", setting{key, value}, nil)
}

// Value reads a sysctl inside.
func (l *Lab) Value(key string) (string, error) {
	return ask[string](l.hold, "value", key, 0)
}

// AddAddress gives a device inside another address, usable at once.
func (l *Lab) AddAddress(device string, prefix netip.Prefix) error {
	return l.order("address", address{device, prefix}, nil)
}

// Close kills every worker and waits until they are gone, and the namespace with
// them. It may be called more than once.
func (l *Lab) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	l.detach()
	var errs []error
	for _, peer := range l.beside {
		errs = append(errs, peer.Close())
	}
	for _, a := range l.actors {
		a.kill()
	}
	if len(l.actors) > 0 {
		errs = append(errs, l.hold.call("reap", nothing{}, nil, closeGrace))
	}
	l.process.Kill() // no error matters: either it is killed or it has ended
	l.hold.conn.Close()
	return errors.Join(append(errs, l.awaitEnd())...)
}

// awaitEnd waits for the end of the first worker, which has been killed.
func (l *Lab) awaitEnd() error {
	if l.origin != nil {
		return l.origin.forget(l)
	}
	select {
	case <-l.ended:
		return nil
	case <-time.After(closeGrace):
		return fmt.Errorf("lab: worker %d still runs %v after SIGKILL", l.process.Pid,
			closeGrace)
	}
}

// isEnd recognizes the ways in which a closed socket shows.
func isEnd(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, net.ErrClosed)
}

// Here is a lab in the present namespaces: its settings are those of the machine and its
// sockets are seen by everybody. It is for a machine that may be spoiled, to show what no
// namespace can.
func Here(ctx context.Context) (*Lab, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l, err := startFirst(0)
	if err != nil {
		return nil, err
	}
	return l.readied(ctx)
}
