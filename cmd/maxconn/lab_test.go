//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/linux/netns"
)

// condition is [lab] of scripts: network namespaces can be made here; and [root-lab]: they
// can be entered from outside as well. With MAXCONN_REQUIRE=lab they are taken for granted
// (the second by root), so that their want is a failure.
func condition(name string) (bool, error) {
	if name != "root-lab" && name != "lab" {
		return false, fmt.Errorf("there is no condition %q", name)
	}
	if (os.Geteuid() == 0 || name == "lab") &&
		strings.Contains(os.Getenv("MAXCONN_REQUIRE"), "lab") {
		return true, nil
	}
	l, err := lab.Start(context.Background())
	if err != nil {
		return false, nil
	}
	defer l.Close()
	return name == "lab" || netns.Do(netns.Path(l.NetNS()), func() error {
		return nil
	}) == nil, nil
}

// startLab makes a network namespace with a process "server" that listens on 127.0.0.1:8080
// with a backlog of 5. It lasts as long as the script. $NETNS is its path, $NETNSID its
// identity as the kernel writes it, $HOLDER the process that came first in it, $SERVER the
// server.
func startLab(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: lab")
	}
	l, err := lab.Start(context.Background())
	ts.Check(err)
	ts.Defer(func() { ts.Check(l.Close()) })
	server, err := l.Spawn("server")
	ts.Check(err)
	_, _, err = server.Listen(lab.ListenSpec{Addr: at(8080), Backlog: 5})
	ts.Check(err)
	id, err := netns.Identify(netns.Path(l.NetNS()))
	ts.Check(err)
	ts.Setenv("NETNS", l.NetNS())
	ts.Setenv("NETNSID", id.String())
	ts.Setenv("HOLDER", strconv.Itoa(l.PID()))
	ts.Setenv("SERVER", strconv.Itoa(server.PID()))
}
