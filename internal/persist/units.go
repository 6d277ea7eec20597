package persist

import (
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/encode"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/plan"
)

// unitLimit is what the drop-in of one unit is to say.
type unitLimit struct {
	name       string
	soft, hard uint64
	why        []string
}

// process takes a descriptor limit where the process belongs to a service.
func (w *work) process(c plan.Change, o Options) {
	row, ok := o.Snapshot.Read().Row(host.ProcessKind, c.Target.Name)
	unit := row.Text("unit")
	start, _ := strconv.ParseUint(row.Text("start"), 10, 64)
	switch {
	case !ok:
		w.leave(c, "the process could not be seen, so neither could its unit")
		return
	case c.Target.Start != 0 && start != 0 && start != c.Target.Start:
		w.leave(c, "the process has ended; its pid belongs to another one now")
		return
	case !strings.HasSuffix(unit, ".service"), strings.HasPrefix(unit, "user@"):
		w.leave(c, noService(unit))
		return
	case !plan.IsService(unit):
		w.leave(c, "the unit has a name for which no file is written: "+strconv.Quote(unit))
		return
	}
	if late := lateDropIn(o.Root, unit); late != "" {
		w.leave(c, late+" is read after "+dropInName+" and sets LimitNOFILE= as well; change it there")
		return
	}
	w.unit(unit, o).raise(c, row)
}

// noService says why there is no unit to write for.
func noService(unit string) string {
	const ends = "the limit of a process that runs lasts until it ends; "
	switch {
	case unit == "":
		return ends + "it belongs to no unit, so whatever starts it has to raise the limit (ulimit -n in its script, --ulimit nofile= of a container)"
	case strings.HasPrefix(unit, "user@"):
		return ends + "it is a unit of a user's own service manager: LimitNOFILE= in the user's unit file raises it up to the hard limit of " + unit
	case strings.HasPrefix(unit, "session-"):
		return ends + "it was started from a login (" + unit + "): /etc/security/limits.d sets what a login starts with"
	}
	return ends + unit + " was made by another program (a container's engine), which has to set the limit: --ulimit nofile= or default-ulimits of Docker"
}

// unit finds or adds the drop-in of a unit. It begins with what the unit has, so that nothing is lowered.
func (w *work) unit(name string, o Options) *unitLimit {
	for _, u := range w.units {
		if u.name == name {
			return u
		}
	}
	u := &unitLimit{name: name}
	u.soft, u.hard = configured(o.Root, name)
	w.units = append(w.units, u)
	return u
}

// raise takes a change in; what it does not name stays at least as the process has it.
func (u *unitLimit) raise(c plan.Change, row host.Row) {
	to, _ := strconv.ParseUint(c.To, 10, 31)
	switch c.Target.Field {
	case "soft":
		u.soft = max(u.soft, to)
	case "hard":
		u.hard = max(u.hard, to)
	}
	if now, err := strconv.ParseUint(row.Text("hard"), 10, 31); err == nil {
		u.hard = max(u.hard, now)
	}
	u.hard = max(u.hard, u.soft)
	if why := c.Limit + ": " + c.Why; !contains(u.why, why) {
		u.why = append(u.why, why)
	}
}

// unitFiles are the drop-ins.
func (w work) unitFiles() (files []File) {
	for _, u := range w.units {
		limit := strconv.FormatUint(u.soft, 10) + ":" + strconv.FormatUint(u.hard, 10)
		files = append(files, File{
			Path: unitDir + u.name + ".d/" + dropInName, Mode: 0o644,
			Content: file(encode.Comment[encode.Conf]("#", u.why...), "[Service]\nLimitNOFILE=", plain(limit), "\n"),
			Why: "starts " + u.name + " with descriptor limits of " + limit + " (soft:hard); systemctl daemon-reload makes it known, the next start of the unit takes it; " +
				"a program that sets a limit of its own, as nginx does with worker_rlimit_nofile, still does",
		})
	}
	return files
}
