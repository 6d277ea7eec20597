// Package listen makes listening sockets whose accept queue has the size that the program
// asked for, and whose Accept survives what overloads a server.
//
// A [Listener] is a [net.Listener] and goes wherever one goes: [net/http.Server.Serve], a
// gRPC server, [crypto/tls.NewListener]. Beyond the standard one it
//
//   - has an explicit backlog ([Config.Backlog]), which the kernel either takes or the
//     error says to what it was cut and by which setting, and which [Listener.Resize]
//     changes while it listens;
//   - keeps accepting when descriptors run out ([Config.OnOverload]): peers are reset or
//     told at once instead of left hanging, without a spinning loop and without an error
//     for the caller;
//   - bounds the connections that are open at once ([Config.MaxConnections]);
//   - spreads load over several queues ([Config.Shards], SO_REUSEPORT);
//   - hands out, on Close, what the queues still held;
//   - counts what it did and reads what the kernel did to it ([Listener.Stats]), without
//     privileges.
//
// [RaiseFiles] raises the limit of open files and says what stopped it.
//
// # The accept queue
//
// The kernel finishes handshakes by itself and queues the connections until the program
// accepts them. The queue of one listening socket holds one more than its limit, which is
// the smaller of the backlog given to listen(2) and net.core.somaxconn at that moment
// (net/socket.c __sys_listen). When it is full, further clients are not refused: their
// segments are dropped, and they try again after a second. The standard library always asks
// for the somaxconn that it read when the program made its first socket.
//
// # Errors
//
// Accept returns an error only when the listener is closed ([net.ErrClosed]) or broken.
// These never surface: ECONNABORTED and the pending network errors that accept(2) says to
// retry; EMFILE, ENFILE, ENOBUFS, ENOMEM and ENOSPC (epoll watches), which
// [Config.OnOverload] handles. [Config.Warn] tells of them.
//
// # Closing
//
// To end a server so that no client notices, call [Listener.Drain] and then the server's
// own Shutdown or GracefulStop. Its comment has the order for net/http and for gRPC.
//
// [Listener.Close] alone, which a server's Shutdown calls too, does this:
//
//   - The kernel takes no new clients. It ignores their handshakes, so that they try again
//     after a second and reach a successor on the same port. (Some kernels of 2026 allow
//     that only with CAP_NET_ADMIN; there it refuses them.) Handshakes that have begun get
//     a moment to end ([Config.HandshakeGrace]).
//   - Every Accept that waits is released. Close does not wait for connections, for callers
//     of Accept, or for places under MaxConnections.
//   - What is in the queues is taken out, and the sockets are closed. Accept first hands
//     out what was taken, and only then says [net.ErrClosed]; so a loop that accepts until
//     it gets an error serves everybody whose handshake had finished. Nobody asks: what is
//     left after [Config.DrainTimeout] is reset.
//   - At MaxConnections, a client that waits for a place stays in the kernel's queue. It is
//     served by another holder of the socket if there is one; else the kernel resets it at
//     once, as it does when a listener of package net is closed. With AtLimit RefuseMessage
//     it is told.
//
// A connection that net/http or gRPC accepts after its own end has begun is closed without
// an answer: that is why Drain comes first.
//
// A handshake that takes longer than the grace, as does one whose last segment was dropped
// at a full queue, is forgotten by the kernel, which resets the client when it next sends
// something, unless another socket of the same SO_REUSEPORT group takes it over
// (net.ipv4.tcp_migrate_req, Linux 5.14; [Stats.MigrateReq]).
//
// Sockets that others hold too (after [Listener.Files], File or SyscallConn, and all that
// [Config.Adopt] was given) are left to them: Close takes out of their queues what there is
// room for, and changes nothing else.
//
// # Copies
//
// io.Copy from and to an accepted connection stays inside of the kernel, by sendfile(2) and
// splice(2), wherever it would with the *net.TCPConn or *net.UnixConn alone. Two calls
// cannot be helped, in which package net looks for its own type: ReadFrom of a plain
// *net.TCPConn with a wrapper, and io.CopyN from a wrapper to one. Give them what the
// wrapper's NetConn returns.
//
// # Systems
//
// Everything works on Linux 5.10 and later without privileges, and most of it on older
// kernels: what one lacks is an error of [Config.Listen], or left out with
// [Config.BestEffort]. On other systems these are refused with an error that is
// [errors.ErrUnsupported]: Backlog, Shards above 1, DeferAccept, FastOpen, Resize,
// RaiseFiles. There, Accept answers a lack of descriptors with a pause, whatever OnOverload
// says, Close does not drain, and kernel readings in Stats are [Unknown]. All else is the
// same.
//
// # Compatibility
//
// From version 1.0 on, what is exported here keeps its name, its type and its meaning
// within a major version; texts of errors may change, what errors.Is and errors.As find
// does not. The one requirement of this module is golang.org/x/sys, and the two newest
// releases of Go build it.
package listen
