package limit

import (
	"slices"
	"strings"
	"testing"
)

func causes(found []OtherCause) string {
	var words []string
	for _, c := range found {
		words = append(words, strings.TrimSpace(c.Errno+" "+c.Call))
	}
	return strings.Join(words, ", ")
}

// What no limit is behind is known all the same, as the call that the text names has it.
func TestFindOtherCauses(t *testing.T) {
	for text, want := range map[string]string{
		"ECONNREFUSED": "ECONNREFUSED connect",
		"dial tcp 127.0.0.1:5432: connect: connection refused": "ECONNREFUSED " +
			"connect",
		"connect() failed (111: Connection refused) while connecting to upstream": "ECONNREFUSED " +
			"connect",
		"[Errno 111] Connection refused": "ECONNREFUSED " +
			"connect",
		// no other is known
		"write: connection refused": "ECONNREFUSED connect",
		"read tcp 10.0.0.1:40000->10.0.0.9:443: read: connection reset by peer": "ECONNRESET",
		"recv() failed (104: Connection reset by peer)":                         "ECONNRESET",
		"read: connection timed out": "ETIMEDOUT read write " +
			"recv send",
		"dial tcp 10.0.0.9:443: connect: connection timed out": "",
		"dial tcp 10.0.0.9:443: i/o timeout":                   "",
		"connect: no route to host": "EHOSTUNREACH " +
			"connect",
		"connect: network is unreachable":                                               "ENETUNREACH connect",
		"bind() to 0.0.0.0:80 failed (13: Permission denied)":                           "EACCES bind",
		"connect() to unix:/run/app.sock failed (11: Resource temporarily unavailable)": "EAGAIN connect",
		"accept: resource temporarily unavailable": "EAGAIN accept read " +
			"write recv send",
		"too many open files":             "",
		"":                                "",
		"kernel: socket: no more sockets": "ENFILE",
		"dial tcp 10.0.0.9:443: connect: operation not permitted":   "EPERM connect bind socket",
		"connect() failed (1: Operation not permitted) to 10.0.0.9": "EPERM connect bind socket",
	} {
		if have := causes(FindOtherCauses(text)); have != want {
			t.Errorf("%q: %q, want %q", text, have, want)
		}
	}
}

// Every errno that the catalogue speaks of is known by its name, its number and its texts.
func TestEveryErrnoIsKnown(t *testing.T) {
	for _, name := range Errnos() {
		i := slices.IndexFunc(errnos(), func(e errno) bool { return e.name == name })
		if i < 0 {
			t.Errorf("%s has no number and no text", name)
			continue
		}
		e := errnos()[i]
		for _, text := range append([]string{name, "errno " + e.number}, e.texts...) {
			if len(FindSigns(text)) == 0 && len(FindOtherCauses(text)) == 0 {
				t.Errorf("%s: unknown limit, setting or error: %q", name, text)
			}
		}
	}
	for _, c := range OtherCauses() {
		if c.Errno == "" && len(c.Texts) == 0 || c.Means == "" || c.Look == "" ||
			c.Source == "" {
			t.Errorf("%+v is not whole", c)
		}
		for _, id := range c.Limits {
			if Find(ID(id)) == nil {
				t.Errorf("%s: there is no limit %s", c.Errno, id)
			}
		}
	}
}

// Descriptors first, even if others know the error.
func TestEMFILE(t *testing.T) {
	for _, text := range []string{"EMFILE", "errno 24", "Too many open files",
		"No file descriptors available", "socket: too many open files",
		"accept4: too many " +
			"open files", "open /etc/hosts: too many open files"} {
		if found := FindSigns(text); len(found) == 0 ||
			found[0].Limit.ID != "process-files" {
			t.Errorf("%q: %s", text, describeMatches(found))
		}
	}
}
