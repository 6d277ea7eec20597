//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/linux/netns"
	"github.com/maxconn/maxconn/internal/observe"
	"github.com/spf13/cobra"
)

// observed is a snapshot of the running kernel.
func (a *app) observed(ctx context.Context, s source, window time.Duration) (host.Snapshot, error) {
	at, err := s.subject()
	if err != nil {
		return host.Snapshot{}, err
	}
	begun := time.Now()
	at.Ports = s.ports
	snapshot, err := a.watch(ctx, at, window)
	if err == nil && s.twice && window == 0 {
		snapshot, err = observe.Again(ctx, at, snapshot, begun)
	}
	return snapshot, s.wentAway(err)
}

// subject resolves --netns and --pid. Neither is the own network namespace.
func (s source) subject() (observe.Options, error) {
	switch {
	case s.netns != "":
		path, err := netns.System().Resolve(s.netns)
		return observe.Options{Namespace: path, Name: s.netns}, namespaceError(err)
	case s.pid != 0:
		id := strconv.FormatInt(s.pid, 10)
		path, err := netns.System().Resolve("/proc/" + id + "/ns/net")
		return observe.Options{Namespace: path, Name: "pid " + id}, namespaceError(err)
	}
	return observe.Options{}, nil
}

// watch takes one sample, or two where there is a window. It ends with ctx.
func (a *app) watch(ctx context.Context, at observe.Options, window time.Duration) (host.Snapshot,
	error) {
	p := a.progress()
	defer p.done()
	return interruptible(ctx, func() (host.Snapshot, error) {
		if window == 0 {
			s, err := observe.Observe(ctx, at)
			return s, namespaceError(err)
		}
		s, err := observe.Window(ctx, at, window, p.show)
		return s, namespaceError(err)
	})
}

// namespaceError adds a status and a hint to the error of a namespace.
func namespaceError(err error) error {
	var e *netns.Error
	if !errors.As(err, &e) {
		return err
	}
	f := &failure{status: statusUsage, err: err}
	switch e.Reason {
	case netns.NoSuchName:
		f.hint = didYouMean(e.Near,
			"ip netns lists the names; a path such as /proc/PID/ns/net or a "+
				"process ID will do too")
	case netns.NotNamespace:
		f.hint = "give a name that ip netns lists, a path such as /proc/PID/ns/net, or " +
			"a process ID"
	case netns.Gone:
		f.hint = "ps -e lists the processes that exist"
	case netns.Permission:
		f.status, f.hint = statusFailed,
			"that takes root on the host (CAP_SYS_PTRACE and CAP_SYS_ADMIN over "+
				"the process): another user's namespace is closed to others"
	default:
		f.status = statusFailed
	}
	return f
}

// wentAway is for a subject that was there when the command line was read: its end is
// nobody's misuse.
func (s source) wentAway(err error) error {
	var e *netns.Error
	if !errors.As(err, &e) {
		return err
	}
	process := "process " + strconv.FormatInt(s.pid, 10)
	if s.pid == 0 {
		process = "the process of network namespace " + s.netns
	}
	hint := "another process of its network namespace, or the name of the namespace " +
		"(--netns), may last longer"
	switch e.Reason {
	case netns.Gone:
		return &failure{statusUnknown,
			fmt.Errorf("could not tell: %s ended while it was observed", process), hint}
	case netns.NoSuchName, netns.NotNamespace:
		return &failure{statusUnknown,
			fmt.Errorf("could not tell: the network namespace %s was removed while "+
				"it was observed", s.netns), ""}
	}
	return err
}

// namespaces lists every network namespace once, and counts those that cannot be seen.
func namespaces() (netns.Listing, error) { return netns.System().List() }

// optionsOf observes a listed namespace, called by its name or by a process in it.
func optionsOf(ns netns.Namespace) observe.Options {
	if ns.Own {
		return observe.Options{Name: strings.Join(ns.Names, ",")}
	}
	return observe.Options{Namespace: ns.Path, Name: labelOf(ns)}
}

// labelOf is how people know a namespace: a name, or the process that came first.
func labelOf(ns netns.Namespace) string {
	switch {
	case len(ns.Names) > 0:
		return strings.Join(ns.Names, ",")
	case ns.Comm == "":
		return "pid " + strconv.Itoa(ns.PID)
	}
	return ns.Comm + " (pid " + strconv.Itoa(ns.PID) + ")"
}

// completeNamespaces offers the names of network namespaces.
func completeNamespaces(*cobra.Command, []string, string) ([]cobra.Completion,
	cobra.ShellCompDirective) {
	list, err := namespaces()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []cobra.Completion
	for _, ns := range list.Namespaces {
		for _, n := range ns.Names {
			names = append(names, cobra.Completion(n))
		}
	}
	return names, cobra.ShellCompDirectiveDefault // a path will do too
}
