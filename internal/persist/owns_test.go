package persist

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/plan"
)

// What a journal may put back is what Files gives, and nothing that only looks like it.
func TestOwns(t *testing.T) {
	for _, path := range []string{
		SysctlFile, ModulesFile, ModprobeFile, VerifyUnit, verifyWants,
		UnitDir + "web.service.d/" + dropInName,
		UnitDir + "php@8.2-fpm.service.d/" + dropInName,
		rulesPrefix + "eth0.rules", rulesPrefix + "eth0.100.rules",
	} {
		if !Owns(path) {
			t.Errorf("%s is not ours", path)
		}
	}
	for _, path := range []string{
		"", "/", "/etc/shadow", "/etc/sysctl.d/zz-maxconn.conf/../../shadow",
		SysctlFile + "x",
		"etc/sysctl.d/zz-maxconn.conf", UnitDir + "web.service.d/other.conf",
		UnitDir + "web.service",
		UnitDir + "../web.service.d/" + dropInName, UnitDir + "a/b.service.d/" + dropInName,
		UnitDir + ".d/" + dropInName, UnitDir + ".service.d/" + dropInName,
		UnitDir + "x.socket.d/" + dropInName,
		rulesPrefix + ".rules", rulesPrefix + "../x.rules", rulesPrefix + "a/b.rules",
		rulesPrefix + "eth0.conf", rulesPrefix + strings.Repeat("a", 16) + ".rules",
	} {
		if Owns(path) {
			t.Errorf("%q is ours", path)
		}
	}
}

// All that Files gives is owned, and a program that others could replace is named by no unit.
func TestUnitsNameTrustedPrograms(t *testing.T) {
	p := plan.Plan{Changes: []plan.Change{{
		Target: plan.Target{
			Kind: host.SysctlKind,
			Name: "net.core.somaxconn",
		}, From: "128", To: "4096",
		Setting: "net.core.somaxconn", Limit: "accept-queue",
	}}}
	facts := snapshot(t, "system scope = initial\n")
	systemd := fstest.MapFS{"usr/lib/systemd/systemd-sysctl": {Mode: 0o755}}
	o := Options{Root: systemd, Program: "/tmp/maxconn", Snapshot: facts}
	files, err := Files(p, o)
	if err != nil || len(files) < 3 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, f := range files {
		if !Owns(f.Path) {
			t.Errorf("%s is not ours", f.Path)
		}
	}
	o.Untrusted = "/tmp can be written by others"
	var refused *ProgramError
	if files, err := Files(p, o); !errors.As(err, &refused) || len(files) > 0 ||
		refused.Hint() == "" ||
		!strings.Contains(err.Error(), o.Untrusted) {
		t.Errorf("%v, %v", files, err)
	}
	o.Root = fstest.MapFS{} // where no unit is written nobody runs it
	if _, err := Files(p, o); err != nil {
		t.Error(err)
	}
}
