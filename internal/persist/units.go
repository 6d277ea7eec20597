package persist

import (
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/encode"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/plan"
	"github.com/maxconn/maxconn/internal/sysctld"
)

// Unit is what the drop-in of one service is to say.
type Unit struct {
	Name       string
	soft, hard uint64
	why        []string
}

// Limits are the descriptor limits, "soft:hard".
func (u *Unit) Limits() string {
	return strconv.FormatUint(u.soft, 10) + ":" + strconv.FormatUint(u.hard, 10)
}

// process takes a descriptor limit where the process belongs to a service.
func (w *Boot) process(c plan.Change) {
	row, ok := w.Snapshot.Read().Row(host.ProcessKind, c.Target.Name)
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
	if late := lateDropIn(w.Root, unit, w.paths.dropIn); late != "" {
		w.leave(c, late+" is read after "+w.paths.dropIn+
			" and sets LimitNOFILE= as well; change it there")
		return
	}
	w.unit(unit).raise(c, row)
}

// noService says why there is no unit to write for.
func noService(unit string) string {
	const ends = "the limit of a process that runs lasts until it ends; "
	switch {
	case unit == "":
		return ends + "it belongs to no unit, so whatever starts it has to raise the " +
			"limit (ulimit -n in its script, --ulimit nofile= of a container)"
	case strings.HasPrefix(unit, "user@"):
		return ends + "it is a unit of a user's own service manager: LimitNOFILE= in " +
			"the user's unit file raises it up to the hard limit of " + unit
	case strings.HasPrefix(unit, "session-"):
		return ends + "it was started from a login (" + unit +
			"): /etc/security/limits.d sets what a login starts with"
	}
	return ends + unit +
		" was made by another program (a container's engine), which has to set the " +
		"limit: --ulimit nofile= or default-ulimits of Docker"
}

// unit finds or adds the drop-in of a unit. It begins with what the unit has, so that
// nothing is lowered.
func (w *Boot) unit(name string) *Unit {
	for _, u := range w.Units {
		if u.Name == name {
			return u
		}
	}
	u := &Unit{Name: name}
	u.soft, u.hard = configured(w.Root, name, w.paths.dropIn)
	w.Units = append(w.Units, u)
	return u
}

// raise takes a change in; what it does not name stays at least as the process has it.
func (u *Unit) raise(c plan.Change, row host.Row) {
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
	if why := Reason(c); !slices.Contains(u.why, why) {
		u.why = append(u.why, why)
	}
}

// unitFiles are the drop-ins.
func (w Boot) unitFiles() (files []File) {
	for _, u := range w.Units {
		limit := u.Limits()
		files = append(files, File{
			Path: UnitDir + u.Name + ".d/" + w.paths.dropIn, Mode: 0o644,
			Content: w.file(encode.Comment[encode.Conf]("#", u.why...),
				"[Service]\nLimitNOFILE=", plain(limit), "\n"),
			Why: "starts " + u.Name + " with descriptor limits of " + limit +
				" (soft:hard); systemctl daemon-reload makes it known, the next " +
				"start of the unit takes it; a program that sets a limit of its " +
				"own, as nginx does with worker_rlimit_nofile, still does",
		})
	}
	return files
}

// verifyFiles are the unit that compares after each boot, and what has it started: a
// drop-in of multi-user.target rather than the link that systemctl enable makes, so that
// all that maxconn owns are regular files. The unit comes after the programs that also set
// sysctls; those that are not installed do not matter. It fails, and so shows in systemctl
// --failed, where a value is not as it was applied; it never keeps the boot waiting for
// more than a minute.
func (b Boot) verifyFiles() []File {
	unit := `[Unit]
Description=Compare the settings that maxconn applied with those of this boot
After=systemd-modules-load.service systemd-sysctl.service network.target
After=ufw.service firewalld.service tuned.service docker.service containerd.service

[Service]
Type=oneshot
ExecStart=` + plain(b.Program) + ` verify --boot
TimeoutStartSec=60
RemainAfterExit=yes
`
	return []File{
		{Path: VerifyUnit, Mode: 0o644, Content: b.file(unit),
			Why: "runs maxconn verify --boot after each boot; systemctl " +
				"daemon-reload makes it known before"},
		{Path: verifyWants, Mode: 0o644,
			Content: b.file("[Unit]\nWants=maxconn-verify.service\n"),
			Why:     "has maxconn-verify.service started at each boot"},
	}
}

// boots is who reads sysctl.d when the host boots: /sbin/init tells, and where there is
// none, what is installed.
func boots(root fs.FS) sysctld.Program {
	init, err := sysctld.Resolve(root, "sbin/init")
	switch {
	case err == nil && exists(root, init) && path.Base(init) != "systemd":
		return sysctld.Procps
	case exists(root, "usr/lib/systemd/systemd-sysctl"),
		exists(root, "lib/systemd/systemd-sysctl"):
		return sysctld.Systemd
	}
	return sysctld.Procps
}

// count is a number and its noun.
func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return strconv.Itoa(n) + " " + noun
}
