package cgroup_test

import (
	"strings"
	"testing"

	"github.com/maxconn/maxconn/internal/linux/cgroup"
)

func TestUnit(t *testing.T) {
	id := strings.Repeat("4f4b3c2d1e0f9a8b", 4)
	for _, c := range []struct{ path, unit string }{
		{"/system.slice/nginx.service", "nginx.service"},
		{"/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service"},
		{"/system.slice/app.service/worker/1", "app.service"},
		{"/init.scope", "init.scope"},
		{"/user.slice/user-1000.slice/session-3.scope", "session-3.scope"},
		{"/user.slice/user-1000.slice/user@1000.service/init.scope", "user@1000.service"},
		{"/user.slice/user-1000.slice/user@1000.service/app.slice/web.service/x",
			"user@1000.service"},
		{"/system.slice/docker-" + id + ".scope", "docker-" + id + ".scope"},
		{"/system.slice/docker-" + id + ".scope/system.slice/nginx.service",
			"docker-" + id + ".scope"},
		{"/machine.slice/libpod-" + id + ".scope/container", "libpod-" + id + ".scope"},
		{"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod12_3.slice/cri-containerd-" + id + ".scope",
			"cri-containerd-" + id + ".scope"},
		{"/kubepods/burstable/pod123e4567-e89b-12d3-a456-426614174000/" + id, ""},
		{"/kubepods.slice/kubepods-pod12.slice:cri-containerd:" + id, ""},
		{"/docker/" + id, ""},
		{"/../nginx.service", "nginx.service"},
		{"/../../system.slice/nginx.service", "nginx.service"},
		{"/_cgroup.service", "cgroup.service"}, // escaped
		{"/system.slice", ""},
		{"/", ""},
		{"", ""},
		{"/jobs/17", ""},
		// not made by systemd: its parent is neither slice nor unit
		{"/jobs/a.service", ""},
		{"/.service", ""},
		{"/system.slice/deadbeef.service", "deadbeef.service"},
	} {
		if got := cgroup.Unit(c.path); got != c.unit {
			t.Errorf("%s: unit %q, want %q", c.path, got, c.unit)
		}
	}
}
