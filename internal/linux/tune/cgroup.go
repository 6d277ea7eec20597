//go:build linux

package tune

import (
	"os"
	"path/filepath"
	"strconv"
)

// Cgroup makes a cgroup of version 2 below a mounted hierarchy and gives it settings (file
// -> value, such as pids.max). Controllers are switched on in the parent. It outlives the
// process: RemoveCgroup ends it.
func Cgroup(path string, controllers []string, settings map[string]string) error {
	parent := filepath.Dir(path)
	for _, c := range controllers {
		if err := cgroupWrite(filepath.Join(parent, "cgroup.subtree_control"),
			"+"+c); err != nil {
			return err
		}
	}
	if err := os.Mkdir(path, 0o755); err != nil && !os.IsExist(err) {
		return &Error{Op: "make cgroup", Subject: path, Err: bare(err)}
	}
	for file, value := range settings {
		if err := cgroupWrite(filepath.Join(path, file), value); err != nil {
			return err
		}
	}
	return nil
}

// JoinCgroup moves a process into a cgroup.
func JoinCgroup(path string, pid int) error {
	return cgroupWrite(filepath.Join(path, "cgroup.procs"), strconv.Itoa(pid))
}

// RemoveCgroup removes a cgroup without processes.
func RemoveCgroup(path string) error {
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return &Error{Op: "remove cgroup", Subject: path, Err: bare(err)}
	}
	return nil
}

func cgroupWrite(file, value string) error {
	if err := writeOnce(file, value); err != nil {
		return &Error{Op: "write", Subject: file, Want: value, Err: err}
	}
	return nil
}
