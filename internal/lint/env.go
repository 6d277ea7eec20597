package lint

import (
	"strings"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
)

// env is the kernel and host that lines are judged for.
type env struct {
	on      Target
	kernel  host.Release
	text    string // the release as written
	read    *host.Reader
	spelled *spellings
}

func newEnv(t Target) *env {
	g := &env{on: t, read: t.Snapshot.Read(), spelled: &spellings{}}
	g.text = t.Kernel
	if g.text == "" {
		g.text = g.read.Optional(host.System("kernel"))
	}
	g.kernel, _ = host.ParseRelease(g.text)
	return g
}

// since says whether the kernel is this release or newer. An unknown one is.
func (g *env) since(major, minor int) bool {
	return g.host().Since(major, minor)
}

// child says whether the subject is a network namespace other than the initial one.
func (g *env) child() bool { return g.read.Optional(host.System("scope")) == "child" }

// seen says whether anything was observed.
func (g *env) seen() bool { return g.on.Kernel == "" && g.on.Snapshot.Len() > 0 }

// running is the value of a sysctl now.
func (g *env) running(key string) (string, bool) {
	f := host.Sysctl(key)
	if !g.read.Has(f) {
		return "", false
	}
	return g.read.Text(f), true
}

// missing says whether the running kernel was asked for a sysctl and does not have it.
func (g *env) missing(key string) bool {
	_, ok := g.on.Snapshot.Lookup(host.Sysctl(key))
	return ok && !g.read.Has(host.Sysctl(key))
}

// host is what defaults follow from.
func (g *env) host() knob.Host { return knob.Host{Kernel: g.kernel, Read: g.read} }

// sameText compares values as the kernel prints them, whatever blanks are in them.
func sameText(a, b string) bool {
	return strings.Join(strings.Fields(a), " ") == strings.Join(strings.Fields(b), " ")
}
