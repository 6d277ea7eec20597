//go:build linux

package main

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/maxconn/maxconn/internal/fix"
	"github.com/maxconn/maxconn/internal/lab"
)

// fixed runs fix under the load that goes on, and wants a cure by one change of a setting.
func (w world) fixed(limit, setting string) fix.Report {
	w.Helper()
	var r fix.Report
	state := w.TempDir()
	w.maxconn(false, statusHolds, &r, "fix", "--yes", "--json", "--for", "2s",
		"--limit", limit, "--state-dir", state)
	if r.Outcome != fix.Kept || len(r.Evidence) == 0 || len(r.Changes) == 0 ||
		!strings.Contains(r.Changes[0].Setting, setting) {
		w.Fatalf("%+v", r)
	}
	w.Log(r.Evidence[0])
	path, err := binary()
	w.must(err)
	for _, args := range [][]string{{"history"}, {"fix", "--from", "1"}} {
		args = append(args, "--state-dir", state)
		out, err := exec.Command(path, args...).CombinedOutput()
		words := strings.Join(strings.Fields(string(out)), " ") // it is wrapped
		if err != nil || !strings.Contains(words, r.Evidence[0].After.String()) {
			w.Errorf("%q: %v\n%s", args, err, out)
		}
	}
	return r
}

// nginx with a short backlog under wrk.
func TestFixOfNginx(t *testing.T) {
	needServers(t, map[string]string{"nginx": "nginx-light", "wrk": "wrk"})
	w := newWorld(t)
	w.nginx(8, "")
	w.start("wrk", "-t1", "-c200", "-d10m", "http://127.0.0.1:8080/")
	w.overflowing()
	w.fixed("accept-queue", "accept queue of 127.0.0.1:8080, nginx")
	before, more := w.overflows(), w.opened()+5000
	w.await("5000 more connections", func() bool { return w.opened() >= more })
	if n, q := w.overflows()-before, w.queue(8080); n != 0 || q.Limit <= 8 {
		t.Errorf("%d overflows after fix, the queue takes %d", n, q.Limit)
	}
}

// Redis whose limit of descriptors somebody has lowered, under redis-benchmark.
func TestFixOfRedis(t *testing.T) {
	needServers(t, map[string]string{"redis-server": "redis-server",
		"redis-benchmark": "redis-tools", "prlimit": "util-linux"})
	w := newWorld(t)
	w.start("redis-server", "--port", "6379", "--bind", "127.0.0.1", "--save", "",
		"--dir", t.TempDir())
	w.await("Redis listens", func() bool { return w.queue(6379).Limit > 0 })
	var pid int64
	w.await("Redis is found", func() bool {
		r, _ := w.check("--verbose")
		for _, l := range r.Capacity.Inbound {
			pid = max(pid, l.PID)
		}
		return pid != 0
	})
	files := func() int {
		list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		w.must(err)
		return len(list)
	}
	out, err := exec.Command("prlimit", "--pid", strconv.FormatInt(pid, 10),
		"--nofile=60:").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	w.start("redis-benchmark", "-p", "6379", "-c", "200", "-n", "1000000000", "-t",
		"ping_mbulk", "-q")
	w.await("Redis has no descriptor left", func() bool { return files() >= 59 })
	w.fixed("process-files", "descriptor limit of redis-server")
	w.await("Redis has taken all", func() bool { return files() > 200 })
}

// HAProxy between a client in another network namespace and a backend to which it has 20 ports:
// 24 connections are wanted at one time.
func TestFixOfHAProxy(t *testing.T) {
	needServers(t, map[string]string{"haproxy": "haproxy"})
	w := newWorld(t)
	w.must(w.server.Serve(w.listen(9000, 512), lab.Hold))
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	w.must(os.WriteFile(file, []byte(`global
	maxconn 200
defaults
	mode tcp
	retries 0
	option nolinger
	timeout connect 5s
	timeout client 60s
	timeout server 60s
frontend f
	bind :8080
	default_backend b
backend b
	server s 127.0.0.1:9000
`), 0o644))
	w.start("haproxy", "-db", "-f", file)
	w.await("HAProxy listens", func() bool { return w.queue(8080).Limit > 0 })
	w.set("net.ipv4.ip_local_port_range", "40000 40019")
	client := w.beside(netip.MustParsePrefix("10.73.0.254/24"),
		netip.MustParsePrefix("10.73.0.1/24"))
	served := make(chan int)
	go w.proxied(client, netip.MustParseAddrPort("10.73.0.254:8080"), served)
	w.await("20 are served", func() bool { return <-served == 20 })
	w.fixed("ephemeral-ports", "net.ipv4.ip_local_port_range")
	w.await("all are served", func() bool { return <-served == proxyClients })
}

// proxyClients is how many clients HAProxy has.
const proxyClients = 24

// beside is a process in a network namespace of its own, which is wired to the lab.
func (w world) beside(ours, theirs netip.Prefix) *lab.Actor {
	w.Helper()
	beside, err := w.lab.Beside(w.Context())
	w.must(err)
	w.must(w.lab.Wire(beside, lab.Cable{
		Here:  lab.Plug{Device: "down", Addresses: []netip.Prefix{ours}},
		There: lab.Plug{Device: "up", Addresses: []netip.Prefix{theirs}}}))
	a, err := beside.Spawn("beside")
	w.must(err)
	return a
}

// proxied are clients that stay, and that come again at once where HAProxy sends them away because
// it finds no port. After each round it says how many are served.
func (w world) proxied(client *lab.Actor, to netip.AddrPort, served chan<- int) {
	clients := map[lab.Group]bool{}
	for {
		for len(clients) < proxyClients {
			out, err := client.Connect(lab.ConnectSpec{To: to})
			if err != nil {
				return // the lab has ended
			}
			clients[out.Group] = true
		}
		time.Sleep(50 * time.Millisecond) // as long as clients wait before they come again
		for g := range clients {
			states, err := client.States(g)
			if err == nil && states["ESTABLISHED"] == 0 {
				delete(clients, g)
				_, err = client.Close(g, lab.CloseSpec{Reset: true})
			}
			if err != nil {
				return
			}
		}
		select {
		case served <- len(clients):
		case <-w.Context().Done():
			return
		default:
		}
	}
}
