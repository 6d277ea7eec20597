package dial

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// defaultWait is what a MaxWait of zero means.
const defaultWait = time.Second

// A Dialer opens connections. Its zero value is ready to use: the kernel chooses the source
// address and nothing is limited. All methods may be called concurrently. The fields must
// not be changed, nor the Dialer copied, after the first call.
type Dialer struct {
	// Base has the options of net.Dialer; all of them apply. Timeout and Deadline bound
	// the whole dial, waiting included. Control or ControlContext is called before the
	// socket is bound, and again for each further socket that a dial needs; it must
	// neither bind nor connect. (Only the deprecated Cancel ends no wait.)
	//
	// A LocalAddr without a port is a pool of one address when Sources and Device are
	// empty. With a port, the dial is left to net.Dialer.
	Base net.Dialer

	// Sources is the pool of source addresses. Destinations of a family of which the pool
	// has no address are not dialled. An empty pool leaves the address to the kernel's routes.
	Sources []netip.Addr

	// Device adds all addresses of a network device to the pool: those that it has at
	// the first dial, and at each Refresh. Link-local addresses of IPv6 serve
	// link-local destinations only.
	Device string

	// Ports narrows the source ports, both ends included. The zero value means the
	// system's range (net.ipv4.ip_local_port_range). A kernel that chooses takes only
	// what lies in its own range too; ExplicitPort takes any. A kernel without
	// IP_LOCAL_PORT_RANGE cannot be told: there Ports makes every Choice ExplicitPort.
	// On systems other than Linux a dial with Ports fails with errors.ErrUnsupported.
	Ports PortRange

	// Choice says who chooses the source port. The zero value takes the best that the
	// kernel has.
	Choice Choice

	// MaxOpen is the greatest number of connections to one destination (an IP address
	// and a port), those being dialled included, and those that a client keeps idle.
	// Zero means no limit.
	//
	// A name with several addresses is as many destinations. A dial waits for its turn
	// at the first of them; with a deadline, no longer than its share of the time,
	// before it tries the next one.
	//
	// An http.Transport dials for each request that finds no idle connection, and goes
	// on with that dial when another connection has become idle and served the request.
	// Such dials would wait here by the thousand, and each would then make a connection
	// that nobody needs. Set MaxConnsPerHost of the Transport to MaxOpen or less: then
	// the requests wait there.
	MaxOpen int

	// MaxPerSecond is the greatest rate of dials to one destination, evenly spaced; up to a
	// tenth of a second's worth may come at once. Zero means no limit.
	MaxPerSecond float64

	// MaxWait bounds how long a dial waits for a port when the destination has none
	// left. Zero means one second; below zero, a dial does not wait.
	MaxWait time.Duration

	// UserTimeout is how long sent data may stay unacknowledged before the kernel ends
	// a connection (TCP_USER_TIMEOUT, Linux; in milliseconds, rounded up). Zero leaves
	// the kernel's 15 to 30 minutes. A gRPC client sets it by its keepalive parameters,
	// but only on a *net.TCPConn: where DialContext returns a *Conn, set it here, to
	// the same Timeout (20 s if not given). On other systems a dial with it fails with
	// errors.ErrUnsupported.
	UserTimeout time.Duration

	starting sync.Mutex
	core     atomic.Pointer[core]
}

// Dial is DialContext with the background context.
func (d *Dialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

// DialContext connects to the address; network and address are those of net.Dial.
//
// The connection is a *Conn when the network is "tcp", "tcp4" or "tcp6" and the Dialer has
// sources (Sources, Device, or Base.LocalAddr without a port), Ports, limits, or Choice
// ExplicitPort. Else it is what net.Dialer gives, for TCP a *net.TCPConn, so that programs
// that look for that type find it (gRPC sets TCP_USER_TIMEOUT on no other). Such a
// connection is counted too, but nobody tells when it is closed: Stats and the search for a
// port look for closed ones, each dial does once a second, and a dial that waits for a port
// does every 100 ms; the estimate of TIME_WAIT takes all of them for closed on this side
// first.
//
// Errors are *net.OpError as in net.Dialer; with errors.Is they match ErrPortsExhausted,
// ErrLimit, ErrNoSource, or the system's errno. When the context ended the dial they match
// context.Canceled or context.DeadlineExceeded, and at the end of a Timeout or Deadline the
// latter. (net.Dialer's error for a handshake that took too long is sometimes this one and
// sometimes os.ErrDeadlineExceeded; here it matches both.)
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if !tcp(network) || d.fixed() {
		return d.Base.DialContext(ctx, network, address)
	}
	c, err := d.start()
	if err != nil {
		return nil, opError(network, nil, err)
	}
	if end, ok := d.deadline(ctx); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, end)
		defer cancel()
	}
	first, second, err := c.resolve(ctx, network, address)
	if err != nil {
		return nil, opError(network, nil, err)
	}
	conn, err := c.race(ctx, network, first, second)
	if err != nil {
		return nil, err // a nil *Conn in a net.Conn would not be nil
	}
	if c.plain(c.set.Load()) {
		return conn.loosen(), nil
	}
	return conn, nil
}

// Refresh reads the addresses of Device and the kernel's port settings again, and has the
// addresses that the host had lost tried again at once. Connections are
// left alone. When the device cannot be read the pool stays as it is.
func (d *Dialer) Refresh() error {
	c, err := d.start()
	if err != nil {
		return err
	}
	return c.refresh()
}

// start makes the core at the first call. That may fail for lack of descriptors; then the
// next call tries again, for what was not seen because of it would be missed forever.
func (d *Dialer) start() (*core, error) {
	if c := d.core.Load(); c != nil {
		return c, nil
	}
	d.starting.Lock()
	defer d.starting.Unlock()
	if c := d.core.Load(); c != nil {
		return c, nil
	}
	c, err := newCore(d)
	if err == nil {
		d.core.Store(c)
	}
	return c, err
}

// fixed says that the user has chosen the one source port, or a local address that is not TCP's.
func (d *Dialer) fixed() bool {
	if d.Base.LocalAddr == nil {
		return false
	}
	local, ok := d.Base.LocalAddr.(*net.TCPAddr)
	return !ok || local != nil && local.Port != 0
}

func (d *Dialer) deadline(ctx context.Context) (time.Time, bool) {
	end := d.Base.Deadline
	if d.Base.Timeout != 0 {
		if t := time.Now().Add(d.Base.Timeout); end.IsZero() || t.Before(end) {
			end = t
		}
	}
	if given, ok := ctx.Deadline(); end.IsZero() || ok && given.Before(end) {
		return time.Time{}, false
	}
	return end, true
}

func tcp(network string) bool {
	return network == "tcp" || network == "tcp4" || network == "tcp6"
}
