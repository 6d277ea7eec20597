//go:build linux

package lab

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/maxconn/maxconn/internal/linux/tune"
)

// cgroupRoot is where version 2 is mounted on a machine that has nothing else.
const cgroupRoot = "/sys/fs/cgroup"

// Cgroup is a cgroup of version 2, made for an experiment on a machine that may be spoiled:
// unlike everything else of a lab it does not end by itself.
type Cgroup struct {
	Path string // of its directory
	lab  *Lab
}

// Cgroup makes one, with settings such as "pids.max".
func (l *Lab) Cgroup(name string, controllers []string, settings map[string]string) (*Cgroup,
	error) {
	c := &Cgroup{filepath.Join(cgroupRoot, filepath.Base(name)), l}
	if _, err := os.Stat(filepath.Join(cgroupRoot, "cgroup.controllers")); err != nil {
		return nil, fmt.Errorf("lab: cgroup %s: no cgroup version 2: %w", name, err)
	}
	return c, l.order("cgroup", newCgroup{c.Path, controllers, settings}, nil)
}

// Join moves an actor into the cgroup.
func (c *Cgroup) Join(a *Actor) error { return c.lab.order("join", joining{c.Path, a.PID()}, nil) }

// Read gives the text of one of its files.
func (c *Cgroup) Read(file string) (string, error) {
	text, err := os.ReadFile(filepath.Join(c.Path, file))
	return string(text), err
}

// Remove ends it; its processes must be gone.
func (c *Cgroup) Remove() error { return c.lab.order("rmcgroup", c.Path, nil) }

type newCgroup struct {
	Path        string            `json:"path"`
	Controllers []string          `json:"controllers"`
	Settings    map[string]string `json:"settings"`
}

func makeCgroup(_ *worker, c newCgroup) (nothing, error) {
	return nothing{}, tune.Cgroup(c.Path, c.Controllers, c.Settings)
}

type joining struct {
	Path string `json:"path"`
	PID  int    `json:"pid"`
}

func joinCgroup(_ *worker, j joining) (nothing, error) {
	return nothing{}, tune.JoinCgroup(j.Path, j.PID)
}

func removeCgroup(_ *worker, path string) (nothing, error) {
	return nothing{}, tune.RemoveCgroup(path)
}
