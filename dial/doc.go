// Package dial opens outbound TCP connections without running out of source ports.
//
// A TCP connection is known by four numbers: source address, source port, destination
// address, destination port. A client has one source port for each connection to a
// destination, so
//
//	connections to one destination = source addresses x ports
//
// and with one address and the usual range of ports that is 28,232, counting those that
// linger for a minute in TIME_WAIT after they were closed. [net.Dialer] reaches half of it
// quickly and the other half slowly: past 50 % each connect(2) searches half of the range
// (net/ipv4/inet_hashtables.c, __inet_hash_connect), which makes it 10 to 100 times more
// expensive. With LocalAddr set it does worse: the ports of that address are then shared by
// all destinations.
//
// A [Dialer] has the methods Dial and DialContext of net.Dialer and takes its place:
//
//	d := &dial.Dialer{Sources: []netip.Addr{a, b, c, d}}
//	client := &http.Client{Transport: &http.Transport{DialContext: d.DialContext}}
//
// # What it does
//
// Of a pool of source addresses it takes the one that has most ports left for the
// destination. The port is chosen late, by the destination (IP_BIND_ADDRESS_NO_PORT, Linux
// 4.2), out of a small window of ports that moves on when it is full (IP_LOCAL_PORT_RANGE,
// Linux 6.3), so connect(2) costs the same when the range is nearly full as when it is
// empty. When the kernel has no port for a source address the next address is tried; when
// none has, the dial waits for one, first come first served, no longer than MaxWait and the
// context allow. See [Choice] for what is done on kernels without these options.
//
// Connections to a destination can be limited, in number and in rate; those who wait are
// served in the order in which they came. [Dialer.Stats] says for each destination how many
// connections are open, how many ports are left, and when they will be used up at the
// present rate.
//
// # Guarantees
//
//   - A dial tries every source address that may have a port before it says
//     [ErrPortsExhausted]. The error says so only after the kernel did (EADDRNOTAVAIL), or
//     when every port is held by open connections of this Dialer.
//   - An address that failed for want of ports is not tried again for 100 ms, or until a
//     connection of this Dialer gives one back, or the range changes. An address that the
//     host has lost is not tried again for a second, or until [Dialer.Refresh].
//   - Only a lack of ports or of the source address changes the source. A refused, reset or
//     timed-out connection, or a lack of descriptors, is reported at once, as net.Dialer
//     does.
//   - No dial waits after its context, its Timeout or its Deadline has ended. Waiting takes
//     neither a socket nor a descriptor.
//   - A dial that waits is not overtaken by a later one to the same destination.
//   - Source and destination have the same address family. Names with addresses of both
//     families are raced as in net.Dialer (RFC 6555); the connection that loses is closed.
//   - Connections are [*Conn], a *net.TCPConn whose Close gives the port back, or, from a
//     Dialer with neither sources nor limits, a *net.TCPConn itself (see
//     [Dialer.DialContext]). One that is dropped without Close gives its port back when it
//     is garbage collected. io.Copy from and to a Conn makes the system calls that it would
//     make with the *net.TCPConn. Networks other than TCP are left to net.Dialer and are
//     not counted.
//   - A Dialer runs no goroutine of its own, and holds no descriptor. It remembers a
//     destination (about 1.5 kB) and a former source address until the last connection has
//     been closed and has left TIME_WAIT.
//
// What is counted is what this Dialer opened. Ports in TIME_WAIT and those of other
// programs are not visible to a program; for them the count is an estimate, and the
// kernel's answer decides.
//
// On systems other than Linux source addresses are bound as net.Dialer does with LocalAddr,
// and the system chooses the port; Dialer.Ports and Dialer.UserTimeout are refused there.
// Pool, rotation, limits and statistics are the same.
//
// # Compatibility
//
// From version 1.0 on, what is exported here keeps its name, its type and its meaning
// within a major version; texts of errors may change, what errors.Is and errors.As find
// does not. The one requirement of this module is golang.org/x/sys, and the two newest
// releases of Go build it.
package dial
