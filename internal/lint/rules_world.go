package lint

import (
	"strings"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
)

const (
	podDoc = "Kubernetes documentation, Using sysctls in a Kubernetes cluster"
	ociDoc = "OCI runtime specification, linux.sysctl; runc libcontainer/configs/validate"
)

// inImage is why what a Dockerfile writes sets nothing.
func inImage(s setting) Note {
	switch s.form {
	case asWrite:
		return Note{NoEffect, "Runs while the image is built, where /proc/sys is " +
			"read-only: the " +
			"build fails, and no container would have the value. Set it where the " +
			"container is started (docker run --sysctl, sysctls: of compose).",
			"docker build reference; runc rootfs_linux.go"}
	case asUlimit:
		return Note{NoEffect, "Holds for this command of the build alone. Set it where " +
			"the container is started (docker run --ulimit).", "getrlimit(2)"}
	case asUnit, asProgram:
		return Note{Effective, "Is part of the image.", "docker build reference"}
	}
	return Note{NoEffect, "Nothing reads this file in a container: none boots, and there is " +
		"no login " +
		"through PAM. Set it where the container is started.", "sysctl.d(5), pam_limits(8)"}
}

// inContainer is the verdict for a sysctl that a runtime refuses, or that a command in a container
// cannot write.
func (c *evaluation) inContainer() (Note, bool) {
	w := c.world
	if w.scope == "" || w.scope == OfImage || c.rule == nil && !w.given {
		return Note{}, false
	}
	if w.annotated {
		return Note{NoEffect, "Sysctls in annotations are ignored since Kubernetes 1.11: " +
			"they stand under spec.securityContext.sysctls.", podDoc}, true
	}
	n := knob.Find(c.key)
	switch {
	case n == nil:
		return Note{}, false
	case w.given && w.hostNet && strings.HasPrefix(c.key, "net."):
		return Note{Harmful, "With the host's network no container may set it: " +
			w.refused() + ". It has to be set on the host.", c.worldSource()}, true
	case w.given && !n.Scope.Netns && !ofIPC(c.key):
		return Note{Harmful, "Is a setting of the whole host and none of a network " +
			"namespace: " +
			w.refused() + ". It has to be set on the host.", c.worldSource()}, true
	case !w.given && w.scope != OfNetns && strings.HasPrefix(c.key, "net.") && !w.hostNet &&
		!n.Scope.Netns, w.scope == OfNetns && n.Scope.Initial:
		return Note{NoEffect, "Is a setting of the whole host, which a container does " +
			"not have or " +
			"may not write. It has to be set on the host.", scopeSource(n)}, true
	}
	return Note{}, false
}

// ofIPC says whether a key is of another namespace that a container has of its own.
func ofIPC(key string) bool {
	for _, prefix := range []string{"kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue."} {
		if strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return key == "kernel.domainname" || key == "kernel.hostname"
}

// refused is what comes of it.
func (w world) refused() string {
	if w.scope == OfPod {
		return "the kubelet refuses the pod (SysctlForbidden)"
	}
	return "the container does not start"
}

func (c *evaluation) worldSource() string {
	if c.world.scope == OfPod {
		return podDoc
	}
	return ociDoc
}

// inPod adds what a pod, or a new namespace, needs beside the value.
func (c *evaluation) inPod() {
	w := c.world
	switch n := knob.Find(c.key); {
	case w.scope == "" || w.scope == OfImage || n == nil:
	case w.scope == OfPod && w.given && !n.SafeInPods.IsZero():
		if n.SafeInPods.Compare(host.V(1, 4)) > 0 {
			c.caution("Kubernetes calls it safe since " + n.SafeInPods.String() +
				"; an " +
				"older kubelet needs --allowed-unsafe-sysctls for it.")
		}
	case w.scope == OfPod && w.given:
		c.caution("It is none of the sysctls that Kubernetes calls safe: the kubelet " +
			"refuses " +
			"the pod unless it was started with --allowed-unsafe-sysctls for it.")
	case !w.given && w.scope != OfNetns && !w.privileged:
		c.caution("A command in a container can write it only where /proc/sys is " +
			"writable (--privileged).")
	}
}
