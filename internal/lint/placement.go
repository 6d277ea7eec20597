package lint

import (
	"path"
	"slices"
	"strings"
)

// placement is why a line is not read where it stands.
func (j *judge) placement(s setting) (Note, bool) {
	f := j.files[s.file]
	rcLocal := path.Base(s.target) == "rc.local" ||
		(s.target == "" && path.Base(f.Name) == "rc.local" && f.Mode != Executable)
	switch {
	case s.world.scope == OfImage:
		return inImage(s), true
	case rcLocal && s.target == "" && f.Mode == NotExecutable:
		return Note{NoEffect,
			"/etc/rc.local does not run: it is not executable, and systemd starts " +
				"it only where it is (rc-local.service).", rcLocalSource}, true
	case rcLocal:
		return Note{NoEffect,
			"/etc/rc.local does not run by itself: systemd starts it only where it " +
				"exists and is executable (rc-local.service), and today's " +
				"distributions have none. " + instead(s), rcLocalSource}, true
	case j.order.unread(s.file) && s.target == "" && oneOfForms(s.form, asConf, asExclude):
		return Note{NoEffect,
			"/etc/sysctl.conf is not read at boot here: systemd-sysctl reads " +
				"sysctl.d only, and no file there links to it. sysctl -p and " +
				"sysctl --system read it. Move the line to a file in " +
				"/etc/sysctl.d.", orderSource}, true
	case s.target == "" && oneOfForms(s.form, asConf, asExclude) && isOutOfOrder(f.Name):
		return Note{NoEffect, "systemd-sysctl and sysctl --system read only the files of " +
			"sysctl.d whose name ends in .conf.", orderSource}, true
	case s.target == "" && oneOfForms(s.form, asConf, asExclude) && j.order.hidden(s.file):
		return Note{NoEffect, "systemd-sysctl skips files whose name begins with a dot.",
			orderSource}, true
	}
	return Note{}, false
}

// isOutOfOrder says whether a file stands in a directory of a boot under a name that is not read.
func isOutOfOrder(name string) bool {
	dir, base := path.Split(cleanPath(name))
	return base == cleanName(base) && !strings.HasSuffix(base, ".conf") &&
		slices.ContainsFunc(directories, func(d string) bool {
			return strings.HasSuffix("/"+dir, "/"+d+"/")
		})
}

const rcLocalSource = "systemd-rc-local-generator(8)"

// instead says where a setting of rc.local belongs.
func instead(s setting) string {
	switch s.form {
	case asQueue:
		return "A .link file (TransmitQueueLength=) or a udev rule sets the length of " +
			"a device's queue."
	case asUlimit:
		return "LimitNOFILE= of the unit sets the limit of a service."
	}
	return "A file in /etc/sysctl.d sets it at boot."
}
