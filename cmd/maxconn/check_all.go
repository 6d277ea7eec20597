//go:build linux

package main

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/linux/netns"
	"github.com/maxconn/maxconn/internal/observe"
	"github.com/maxconn/maxconn/internal/render"
)

// checkAll reports on every network namespace that can be seen, each once. The exit status
// is that of the worst.
func (a *app) checkAll(ctx context.Context, f *checkFlags, o diagnose.Options) error {
	if f.netns != "" || f.pid != 0 || f.from != "" {
		return misuse("--all-netns looks at each network namespace of this host",
			"--all-netns with --netns, --pid or --from: give one of them")
	}
	list, err := namespaces()
	if err != nil {
		return err
	}
	snapshots, errs, err := a.observeAll(ctx, f.source, list)
	if err != nil {
		return err
	}
	all, err := computed(ctx, func() render.Reports {
		return reportAll(list, snapshots, errs, o)
	})
	if err != nil {
		return err
	}
	a.status = worst(all)
	return show(a, f.form, f.verbose, all, forms[render.Reports]{
		text: render.ReportsText, json: render.ReportsJSON,
		markdown: render.ReportsMarkdown,
	})
}

// observeAll observes the namespaces one after the other and then looks at their counters again,
// or where there is a window all at once, so that it lasts as long as one.
func (a *app) observeAll(ctx context.Context, s source, list netns.Listing) ([]host.Snapshot,
	[]error, error) {
	window, err := s.length()
	if err != nil {
		return nil, nil, err
	}
	snapshots, errs := make([]host.Snapshot, len(list.Namespaces)),
		make([]error, len(list.Namespaces))
	var under sync.WaitGroup
	begun := make([]time.Time, len(list.Namespaces))
	for i, ns := range list.Namespaces {
		one := func() { snapshots[i], errs[i] = a.watch(ctx, optionsOf(ns), window) }
		if begun[i] = time.Now(); window == 0 {
			one()
		} else {
			under.Go(one)
		}
	}
	under.Wait()
	for i, ns := range list.Namespaces {
		if window == 0 && errs[i] == nil {
			snapshots[i], errs[i] = observe.Again(ctx, optionsOf(ns), snapshots[i],
				begun[i])
		}
	}
	return snapshots, errs, ctx.Err()
}

func reportAll(list netns.Listing, snapshots []host.Snapshot, errs []error,
	o diagnose.Options) (all render.Reports) {
	nobody, wanted := unmatchedAnywhere(snapshots, o.Workload), o.Workload
	for i, ns := range list.Namespaces {
		if errs[i] != nil {
			all.Unreachable = append(all.Unreachable,
				render.Unreachable{Netns: labelOf(ns), Why: reason(errs[i])})
			continue
		}
		o.Workload = elsewhere(wanted, snapshots[i], nobody)
		all.Reports = append(all.Reports, diagnose.Check(snapshots[i], o))
	}
	for _, u := range list.Unreadable {
		all.Unreachable = append(all.Unreachable,
			render.Unreachable{Netns: processes(u.Count), Why: u.Reason})
	}
	return all
}

// elsewhere takes the goals out of a workload whose listener another namespace has and this one
// has not. What nobody has is asked of each.
func elsewhere(w limit.Workload, s host.Snapshot, nobody map[string]bool) limit.Workload {
	missing := diagnose.Unmatched(s, w)
	w.Inbound = slices.DeleteFunc(slices.Clone(w.Inbound), func(g limit.Goal) bool {
		return !nobody[g.Subject] && slices.Contains(missing, g.Subject)
	})
	return w
}

// unmatchedAnywhere are the wanted listeners that no namespace has.
func unmatchedAnywhere(snapshots []host.Snapshot, w limit.Workload) map[string]bool {
	missing, nobody := map[string]int{}, map[string]bool{}
	for _, s := range snapshots {
		for _, l := range diagnose.Unmatched(s, w) {
			missing[l]++
		}
	}
	for _, goal := range w.Inbound {
		nobody[goal.Subject] = missing[goal.Subject] == len(snapshots)
	}
	return nobody
}

// reason is the error without what was tried on what.
func reason(err error) string {
	var e *netns.Error
	if errors.As(err, &e) {
		return strings.TrimPrefix(e.Error(), e.Op+" network namespace ")
	}
	return err.Error()
}

// worst is the exit status of many reports: something that binds outweighs what is unknown,
// as inside one report. A namespace that could not be entered is one that could not be
// told.
func worst(all render.Reports) int {
	status := statusHolds
	if len(all.Unreachable) > 0 || len(all.Reports) == 0 {
		status = statusUnknown
	}
	for _, r := range all.Reports {
		switch statusOf(r.Verdict) {
		case statusBinds:
			return statusBinds
		case statusUnknown:
			status = statusUnknown
		}
	}
	return status
}

func processes(n int) string {
	if n == 1 {
		return "1 process or name"
	}
	return strconv.Itoa(n) + " processes or names"
}
