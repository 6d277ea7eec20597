// Package coalesce turns many small writes to a network connection into few
// large ones, without making any of them wait for a timer.
//
// A program that writes many short messages to one connection pays for a
// system call, and often for a packet, with each of them. [Conn] wraps a
// [net.Conn] and is used in its place. Write copies the message into a bounded
// buffer and returns; the buffer goes to the kernel in one piece as soon as
// the goroutines that were ready to write have done so:
//
//	conn, err := net.Dial("tcp", addr)
//	if err != nil {
//		return err
//	}
//	c := coalesce.New(conn, coalesce.Config{})
//	defer c.Close()
//	// Any number of goroutines:
//	c.Write(message)
//
// All methods may be called by any number of goroutines at the same time.
//
// # When bytes are sent
//
// The first Write to an idle connection starts a goroutine, the flusher. It
// gives way to goroutines that are ready to run, once more if that brought
// messages, then writes everything that has come together, and ends when
// nothing is left. Where CPU-bound
// goroutines make giving way slow (more than [Config].MaxDelay), it stops
// giving way for a time. A writer that finds a full buffer, or bytes older than
// MaxDelay, that nobody writes yet, writes them itself. A connection that sees
// lone messages only, such as a ping-pong of requests and replies, is written
// to directly, in the caller's goroutine, like a plain net.Conn. Read
// sends what is pending before it waits for input; if input made other goroutines
// write lately, as replies do that are handed to their callers, it gives way
// to them first and does the flusher's work. Other rules are
// [Immediate], [Manual], [Config].ReadDriven and [Conn.Hold].
//
// So no byte waits for a timer (but in a ReadDriven connection whose owner
// does not read), and the delay added is one turn of the Go scheduler. When all
// CPUs are taken by other goroutines, that turn is as long as theirs are.
//
// # Order
//
// Writes are sent in the order in which they were accepted, and the writes of
// one goroutine in the order in which it made them. The bytes of one Write
// follow each other on the wire, whatever its size.
//
// # Who owns the bytes
//
// Write never keeps its argument. A Write of less than half of
// [Config].BufferSize is copied, and a nil error means accepted, not sent. A
// larger one is not copied: Write waits until the kernel has taken all of it,
// and its count and error are exact.
//
// # When an error surfaces
//
// The first failure to send is kept. What was pending is dropped, and each Write, Flush and Close
// from then on returns an [*Error], inside a [*net.OpError], that says how many of the accepted
// bytes were not sent. A goroutine that waits in Read is woken and gets the same error, after the
// input that has already arrived. A write deadline that expires is no failure: the Write that was
// waiting for room returns [os.ErrDeadlineExceeded] with nothing accepted, and the connection
// goes on.
//
// # What Flush and Close wait for
//
// [Conn.Flush] returns when the kernel has every byte accepted before. [Conn.Close] does the
// same, for at most [Config].CloseTimeout, and then closes. Programs call Close where they do not
// expect to wait, as http.Server.Close does for all its connections in turn, so Close does not
// wait for a peer that takes nothing, nor when it is called to end something: see there. Bytes
// that it leaves behind are sent in the background, and its error says so. A program that ends
// after Close should look at that error, or use [Conn.CloseContext], which waits.
//
// Neither means that the peer has anything: TCP sends a reset, and drops
// what was sent, when a connection is closed with input unread, and a
// kernel short of TCP memory may abort closed connections that still hold
// data (tcp_check_oom in net/ipv4/tcp.c). Only a reply proves delivery.
//
// # Ways around the buffer
//
// Whatever way bytes take, they follow those that were written before: ReadFrom, net.Buffers, the
// Write and the Control of SyscallConn, and what [os.File] and [net.TCPConn] do in io.Copy. When
// the buffer is empty io.Copy makes the system calls that it makes for a plain [*net.TCPConn]
// (sendfile and splice), also through wrappers that have its ReadFrom and WriteTo. There are two
// exceptions: io.CopyN from a Conn to a plain TCPConn, since the net package knows sources by
// their types, and io.Copy to a Unix connection from another connection.
//
// # Slow peers
//
// At most [Config].MaxPending bytes, and one buffer on its way, are held for
// a connection. Then Write waits, fails or closes the connection as
// [Config].OnFull says, and [Conn.TryWrite] returns [ErrFull]. A [Budget]
// bounds the buffers of many connections together; when it is used up Write
// goes straight to the connection, so that one stalled peer never blocks
// writers to another, and TryWrite returns ErrFull. A peer that takes no byte for
// [Config].WriteTimeout is a failure.
//
// A program in which both ends only read when they do not write can lock up,
// as with any connection, once buffers on both sides are full. A server
// should not let its only reader wait in Write; use TryWrite or OnFull.
//
// # Idle connections
//
// An idle Conn has no goroutine, no timer and no buffer; it is a struct of 256 bytes. One that
// has lately waited for its peer has a timer for another 25th of WriteTimeout.
//
// # Adoption
//
// A server gives its listener to [NewListener], a client its dial function to [DialContext];
// [Wrap] is for single connections. All three belong below TLS where others look for a
// [*tls.Conn]: net/http knows TLS by the type of a connection, and has neither HTTP/2 nor
// Request.TLS without it. Above TLS Wrap keeps ConnectionState and HandshakeContext, so that
// Request.TLS is set; HTTP/2 is not possible there. A Conn that New returns never has these
// methods, since net/http would take any connection that has them for a secure one.
//
// gRPC sets TCP_USER_TIMEOUT, for its keepalive, on connections of type [*net.TCPConn] only,
// before the handshake of its credentials. Wrap in the credentials then, as the example in
// examples/coalesce/grpc_test.go does, or set the option in net.Dialer.Control.
//
// # TLS
//
// Wrap above TLS, coalesce.New(tls.Client(conn, ...), ...), to make a batch one
// record instead of a record for each message, and set
// tls.Config.DynamicRecordSizingDisabled, since otherwise the first records carry
// one packet each. TLS makes one system call for each record of 16 KiB; a second
// Conn below TLS merges these.
//
// # Busy polling
//
// With [Config].BusyPoll, Read looks for input again and again for a time after traffic before it
// sleeps, and sends what is written meanwhile. That saves waking the reader, for up to a whole
// processor while it lasts. It is for machines with processors to spare: where other programs or
// the peer want the same processors, it can take more time than it saves.
//
// # Systems
//
// The package works on all systems. On Linux, connections of type
// [*net.TCPConn] and [*net.UnixConn] are written to with attempts that never block,
// which lets callers do work that otherwise needs the flusher. Elsewhere, and
// for other types of connection, the flusher does all writes that might
// block. TCP_NODELAY stays as it is; TCP_CORK is not used.
//
// # Compatibility
//
// Programs that compile and run with a version of this package do so with later ones, within the
// first number of the version. Fields may be added to Config, Stats and Causes, so name the
// fields that you set, and methods to the types. The text of errors, the numbers in Stats, and
// what is sent in one system call may change; errors.Is and errors.As hold. The oldest Go release
// that works is the one before the last, and may move with a minor version.
package coalesce
