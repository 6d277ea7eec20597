//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/load"
	"github.com/maxconn/maxconn/internal/load/result"
)

// rawOf is what was asked of --raw; nothing without it.
func (f *loadFlags) rawOf(s load.Spec) (raw load.Raw, err error) {
	switch {
	case !f.raw:
		return raw, nil
	case f.device == "":
		return raw, misuse("for example --raw --device veth0 --source 10.0.1.0-10.0.1.15",
			"--raw needs a --device")
	case len(s.Sources) == 0:
		return raw, misuse("for example --source 10.0.1.0-10.0.1.15",
			"--raw needs source addresses that no kernel answers for")
	}
	raw.Device = f.device
	if f.gateway == "" {
		return raw, nil
	}
	if raw.Gateway, err = netip.ParseAddr(f.gateway); err != nil || !raw.Gateway.Is4() {
		return raw, misuse("write an IPv4 address",
			"--gateway: %s is not an address of a next hop", quoted(f.gateway))
	}
	return raw, nil
}

// runRaw connects by frames. Limits of sockets do not touch it.
func (a *app) runRaw(ctx context.Context, f *loadFlags, s load.Spec, raw load.Raw) error {
	live := a.live()
	if s.Progress == nil {
		s.Progress = live.show
	}
	r, err := load.ConnectRaw(ctx, s, raw)
	live.done()
	switch {
	case errors.Is(err, syscall.EPERM):
		return &failure{statusFailed, err,
			"frames take CAP_NET_RAW: run as root, or load --self --raw"}
	case errors.Is(err, load.ErrHeld):
		return &failure{statusUsage, err,
			"give addresses that no host has: nothing was sent to the target"}
	}
	if err != nil {
		return &failure{statusUsage, err, "maxconn load connect --help lists the flags"}
	}
	return a.loaded(f, r)
}

// The two namespaces of --self --raw: the server's has an address with room for sources,
// the client's has none at all.
const (
	rawServer = "10.64.0.1"
	rawPort   = 7000
	// 896 neighbours of the server: 1,024 is what a host keeps for all its namespaces together
	// (gc_thresh3; net/core/neighbour.c neigh_alloc).
	rawSources = "10.64.1.0-10.64.4.127"
	rawDevice  = "client"
)

// selfRaw has a server in the lab and a raw client in another beside it.
func (a *app) selfRaw(c *cobra.Command, f *loadFlags, s load.Spec, l *lab.Lab) error {
	args := passed(c)
	if s.Mode != result.Churn {
		if err := a.within(f, &s, load.ForeseeServer(c.Context(), s)); err != nil {
			return err
		}
		args = append(args, "--connections="+strconv.FormatInt(s.Connections, 10))
	}
	peer, err := l.Beside(context.WithoutCancel(c.Context()))
	if err != nil {
		return err
	}
	defer peer.Close()
	at := netip.PrefixFrom(netip.MustParseAddr(rawServer), 11)
	err = errors.Join(l.Set("net.ipv4.tcp_max_syn_backlog", "262144"),
		l.Wire(peer, lab.Cable{Here: lab.Plug{Device: "server",
			Addresses: []netip.Prefix{at}}, There: lab.Plug{Device: rawDevice}}))
	if err != nil {
		return err
	}
	stop, err := serveIn(c.Context(), l)
	if err != nil {
		return err
	}
	r, status, err := a.pairIn(c.Context(), peer, append([]string{
		"load", "connect", rawServer + ":" + strconv.Itoa(rawPort), "--json",
		"--i-own-the-target", "--i-own-the-sources", // both namespaces are this program's
		"--raw", "--device=" + rawDevice, "--source=" + rawSources}, args...))
	server, failed := stop()
	if err != nil || r == nil {
		a.status = status
		return errors.Join(err, failed)
	}
	if failed != nil {
		// the client's report says what that cost
		a.complain(fmt.Errorf("the server in the lab: %w", failed), "")
		server = nil
	}
	r.Server = server
	return a.loaded(f, r)
}

// serveIn starts a server in a lab and waits until it listens. stop ends it and gives its report.
func serveIn(ctx context.Context, l *lab.Lab) (stop func() (*result.Report, error), err error) {
	dir, err := os.MkdirTemp("", "maxconn-load-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "ready")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		return nil, err
	}
	ready, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer ready.Close()
	running, end := io.Pipe()
	var report *result.Report
	ended := make(chan error, 1)
	go func() {
		out, err := l.Run(context.WithoutCancel(ctx), running, "/proc/self/exe", "load",
			"serve", rawServer+":"+strconv.Itoa(rawPort), "--json", "--reset",
			"--while-input=true", "--ready-to="+name)
		if err == nil && out.Code != 0 && len(out.Stderr) > 0 {
			err = errors.New(strings.TrimSpace(string(out.Stderr)))
		}
		if err == nil {
			report, err = reported(out)
		}
		ended <- err
	}()
	stop = func() (*result.Report, error) { end.Close(); err := <-ended; return report, err }
	if err := ready.SetReadDeadline(time.Now().Add(serverStart)); err != nil {
		_, failed := stop()
		return nil, errors.Join(err, failed)
	}
	if _, err := ready.Read(make([]byte, 1)); err != nil {
		end.Close()
		return nil, errors.Join(errors.New("the server in the lab does not listen"),
			<-ended)
	}
	return stop, nil
}

// serverStart is how long a server may take until it listens.
const serverStart = 30 * time.Second
