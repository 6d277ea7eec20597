//go:build linux

// Package lab makes network namespaces to experiment in: with real sockets, real
// limits and settings that nobody else feels.
//
// A lab is a copy of the running program (a test binary, or maxconn itself), started in a
// new network namespace and told by Main to be a worker. The first worker holds the
// namespace; Spawn starts further ones in it, each a process with its own name and its own
// descriptor table. Tests drive them with verbs (Listen, Connect, Close, ...), which run as
// plain system calls in a loop, and assert on the kernel afterwards.
//
//	func TestMain(m *testing.M) { lab.Main(); os.Exit(m.Run()) }
//
// Nothing outlives the program that made it, however that one ends: the namespace exists
// only as long as its processes, each of which the kernel kills with its parent
// (PR_SET_PDEATHSIG, prctl(2)), and a worker also ends when its control socket closes.
// Everything a worker does is bounded in number and time.
//
// As root a lab takes CLONE_NEWNET; an ordinary user gets a user namespace as well
// (user_namespaces(7)) and is root inside. Where the kernel forbids both, Start says
// ErrUnavailable. What a lab can show are limits of a namespace or a process, never the
// host-wide ones (tcp_mem, orphans, fs.file-max, neighbour thresholds).
package lab
