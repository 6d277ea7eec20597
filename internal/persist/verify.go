package persist

import (
	"io/fs"
	"path"
	"strconv"

	"github.com/maxconn/maxconn/internal/sysctld"
)

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
