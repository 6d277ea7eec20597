// Package listen makes listening sockets whose accept queue has the size that the
// program asked for, and whose Accept survives what overloads a server.
//
// A [Listener] is a [net.Listener] and goes wherever one goes: [net/http.Server.Serve],
// a gRPC server, [crypto/tls.NewListener]. Beyond the standard one it
//
//   - has an explicit backlog ([Config.Backlog]), which the kernel either takes or the error
//     says to what it was cut and by which setting, and which [Listener.Resize] changes while it listens;
//   - keeps accepting when descriptors run out ([Config.OnOverload]): peers are reset or told at once instead
//     of left hanging, without a spinning loop and without an error for the caller;
//   - bounds the connections that are open at once ([Config.MaxConnections]);
//   - spreads load over several queues ([Config.Shards], SO_REUSEPORT);
//   - hands out, on Close, what the queues still held;
//   - counts what it did and reads what the kernel did to it ([Listener.Stats]), without privileges.
//
// [RaiseFiles] raises the limit of open files and says what stopped it.
//
// # The accept queue
//
// The kernel finishes handshakes by itself and queues the connections until the program accepts them.
// The queue of one listening socket holds one more than its limit, which is the smaller of the
// backlog given to listen(2) and net.core.somaxconn at that moment (net/socket.c __sys_listen). When it
// is full, further clients are not refused: their segments are dropped, and they try again
// after a second. The standard library always asks for the somaxconn that it read when the program made its first socket.
//
// # Errors
//
// Accept returns an error only when the listener is closed ([net.ErrClosed]) or broken. These never
// surface: ECONNABORTED and the pending network errors that accept(2) says to retry; EMFILE, ENFILE, ENOBUFS, ENOMEM
// and ENOSPC (epoll watches), which [Config.OnOverload] handles. [Config.Warn] tells of them.
//
// # Closing
//
// Close does not wait for connections or for callers of Accept. It first has
// the kernel ignore new handshakes (a client tries those again after a second, and
// so reaches a successor on the same port; a kernel that allows that only with CAP_NET_ADMIN, as some of 2026 do, refuses
// them instead) and gives those that have begun a moment to end ([Config.HandshakeGrace]).
// Then it takes all connections out of the queues and closes the sockets.
// Accept then hands out what was taken and only afterwards says [net.ErrClosed]. So a loop that accepts until it gets an
// error serves everybody whose handshake had finished.
// For [net/http.Server] close the listener before Shutdown: Shutdown closes it too, but once that has begun the server
// closes connections without answering the requests that it still reads. A gRPC server that is being stopped does likewise.
// What nobody asks for within [Config.DrainTimeout] is reset.
// A handshake that takes longer than the grace, as does one whose last segment was dropped at a full queue, is forgotten by the kernel,
// which resets the client when it next sends something, unless another socket of the same SO_REUSEPORT
// group takes it over (net.ipv4.tcp_migrate_req, Linux 5.14; [Stats.MigrateReq]).
//
// # Systems
//
// Everything works on Linux 5.10 and later without privileges, and most of it on older kernels: what one lacks is an error
// of [Config.Listen], or left out with [Config.BestEffort].
// On other systems these are refused with an error that is [errors.ErrUnsupported]: Backlog, Shards
// above 1, DeferAccept, FastOpen, Resize, RaiseFiles. There, Accept answers a lack of
// descriptors with a pause, whatever OnOverload says, Close does not drain, and kernel
// readings in Stats are [Unknown]. All else is the same.
package listen
