package observe_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/linux/netns/nstest"
)

const unlisted = "that this /proc does not list"

// A container with the network of its host, whose /proc shows only its own processes: the
// sockets of those outside are seen, and nobody who holds them.
func TestProcessesOfAnotherPIDNamespace(t *testing.T) {
	s := start(t)
	alone, err := s.seenBy("apart listening", "")
	if err != nil {
		nstest.Unavailable(t, err)
	}
	if why := whyProcesses(alone); why != "" {
		t.Errorf("with its own listener only: %s", why)
	}
	server, client := s.spawn("server"), s.spawn("client")
	listening, at := s.listen(server, "127.0.0.1:8080", 100)
	c := s.connect(client, lab.ConnectSpec{To: at, N: 40})
	s.accept(server, listening, 40)
	if why := whyProcesses(s.observe()); strings.Contains(why, unlisted) {
		t.Errorf("where all processes are listed: %s", why)
	}
	for range 2 { // the same each time
		have := must(s.seenBy("apart", ""))(t)
		if why := whyProcesses(have); !strings.Contains(why, unlisted) {
			t.Errorf("processes are missing because %q", why)
		}
		s.want(have, host.InboundKind, at.String(), "ESTABLISHED=40 pid= process=")
		s.want(have, host.ListenerKind, at.String(), "pid= process=")
	}
	must(server.Close(listening, lab.CloseSpec{}))(t)
	if why := whyProcesses(must(s.seenBy("apart", ""))(t)); !strings.Contains(why, unlisted) {
		t.Errorf("with connections alone processes are missing because %q", why)
	}
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	must(client.Close(c, lab.CloseSpec{Reset: true}))(t)
	if why := whyProcesses(must(s.seenBy("apart", ""))(t)); why != "" {
		t.Errorf("without any socket: %s", why)
	}
}

// With next to no descriptors of its own to read with, maxconn says so rather than lose a process.
func TestOwnDescriptorsRunOut(t *testing.T) {
	s := start(t)
	server, client := s.spawn("server"), s.spawn("client")
	g, at := s.listen(server, "127.0.0.1:8080", 100)
	s.connect(client, lab.ConnectSpec{To: at, N: 40})
	s.accept(server, g, 40)
	whole := 0
	for _, limit := range []int{4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16, 20, 30, 40} {
		have, err := s.seenBy("look", fmt.Sprintf("ulimit -n %d", limit))
		if err != nil {
			continue // it failed, and did not pass for an answer
		}
		all := true
		for _, a := range []*lab.Actor{server, client} {
			r := row(have, host.ProcessKind, fmt.Sprint(a.PID()))
			all = all && r["soft"] != "" && r["name"] == a.Name() &&
				r["attributed"] == "all" && r["ESTABLISHED"] == "40"
		}
		want := fmt.Sprintf("maxconn itself ran out of descriptors (limit %d)", limit)
		if why := whyProcesses(have); !all && why != want {
			t.Errorf("limit %d: only processes %v, because %q", limit,
				names(have, host.ProcessKind), why)
		}
		if all {
			whole++
		}
	}
	if whole < 3 {
		t.Errorf("only %d of these limits were enough", whole)
	}
}
