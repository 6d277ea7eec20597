package limit

import (
	"maps"
	"slices"
	"strings"
)

// errnosIn finds the errnos that a line names, and where.
func errnosIn(line []word, text string) map[string]span {
	found := map[string]span{}
	for _, e := range errnos() {
		for i, w := range line {
			if w.text == strings.ToLower(e.name) || (w.text == e.number && i > 0 &&
				strings.HasSuffix(line[i-1].text, "errno")) {
				found[e.name] = span{i, i + 1}
			}
		}
		for _, phrase := range e.texts {
			if at, _, ok := matchWhole(line, text, words(phrase)); ok {
				found[e.name] = at
			}
		}
	}
	for name, at := range found {
		if insideLonger(at, name, found) {
			delete(found, name)
		}
	}
	return found
}

type errno struct {
	name, number string
	texts        []string
}

// errnos are those of TCP connections, with their numbers (asm-generic/errno.h; a few
// architectures differ), their texts in glibc and musl, and what Go writes for a connect()
// that it gave up.
func errnos() []errno {
	return []errno{
		{"EPERM", "1", []string{"operation not permitted"}},
		{"EAGAIN", "11", []string{"resource temporarily unavailable", "try again"}},
		{"ENOMEM", "12", []string{"cannot allocate memory"}},
		{"EACCES", "13", []string{"permission denied"}},
		{"ENFILE", "23", []string{"too many open files in system"}},
		{"EMFILE", "24", []string{"too many open files", "no file descriptors available"}},
		{"ENOSPC", "28", []string{"no space left on device"}},
		{"EPIPE", "32", []string{"broken pipe"}},
		{"EADDRINUSE", "98", []string{"address already in use", "address in use"}},
		{"EADDRNOTAVAIL", "99", []string{"cannot assign requested address",
			"can't assign requested address", "address not available"}},
		{"ENETUNREACH", "101", []string{"network is unreachable", "network unreachable"}},
		{"ECONNABORTED", "103", []string{"software caused connection abort",
			"connection aborted"}},
		{"ECONNRESET", "104", []string{"connection reset by peer"}},
		{"ENOBUFS", "105", []string{"no buffer space available"}},
		{"ETIMEDOUT", "110", []string{"connection timed out", "operation timed out",
			"dial … i/o timeout"}},
		{"ECONNREFUSED", "111", []string{"connection refused"}},
		{"EHOSTUNREACH", "113", []string{"no route to host", "host is unreachable"}},
		{"EINPROGRESS", "115", []string{"operation now in progress",
			"operation in progress"}},
	}
}

// callsIn finds the system calls that a line names, in the catalogue's words. The text of an errno
// names none: open() has nothing to do with "too many open files".
func callsIn(line []word, errnos map[string]span) (calls []string) {
	for i, w := range line {
		switch w.text {
		case "open":
			if !slices.ContainsFunc(slices.Collect(maps.Values(errnos)),
				func(at span) bool { return at.start <= i && i < at.end }) {
				calls = append(calls, w.text)
			}
		case "accept4":
			calls = append(calls, "accept")
		case "dial", "connecting", "connectexception", "connecterror":
			calls = append(calls, "connect")
		case "bind0", "make_sock", "binding":
			calls = append(calls, "bind")
		case "watch", "watching", "watcher", "watchers", "add_watch", "inotify",
			"inotify_add_watch", "inotify_init", "inotify_init1", "fsnotify":
			calls = append(calls, "inotify_add_watch", "inotify_init")
		case "recvfrom", "recvmsg":
			calls = append(calls, "recv")
		case "sendmsg":
			calls = append(calls, "send")
		case "readv":
			calls = append(calls, "read")
		case "writev":
			calls = append(calls, "write")
		case "accept", "bind", "clone", "connect", "copy", "epoll_ctl", "fork", "fsync",
			"listen", "mkdir", "mmap", "pthread_create", "pwrite", "read",
			"recv", "rename", "send", "sendto", "setrlimit", "socket", "sync", "write":
			calls = append(calls, w.text)
		}
	}
	return calls
}
