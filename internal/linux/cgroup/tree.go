package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// ErrNoController is the error where no hierarchy has the controller: nothing
// limits the process by it.
var ErrNoController = errors.New("no cgroup hierarchy has the controller")

// ErrNotMounted is the error where the process's hierarchy is not mounted, as
// under "ip netns exec", which mounts /sys anew: limits may be there, unseen.
var ErrNotMounted = errors.New("its cgroup hierarchy is not mounted here")

// ErrOutside is the error where the process's group is not below any mount of
// its hierarchy, as of a process outside the reader's cgroup namespace.
var ErrOutside = errors.New("cgroup is outside of what is mounted here")

// Tree is the cgroup file systems that can be reached. Its methods may be
// called concurrently, but not with Add.
type Tree struct{ mounts []reachable }

// reachable is a mount and the directory from which its mount point is looked up.
type reachable struct {
	Mount
	root string
}

// NewTree takes the reader's own mountinfo (/proc/self/mountinfo). The mount
// points are looked up below root, which is "/" but in tests.
func NewTree(root string, mountinfo []byte) (*Tree, error) {
	t := &Tree{}
	return t, t.Add(root, mountinfo)
}

// Add makes the mounts of another process reachable: mountinfo is that process's
// and root leads to its root directory (/proc/PID/root). What both files and
// those of NewTree call a group depends on the reader alone.
func (t *Tree) Add(root string, mountinfo []byte) error {
	mounts, err := ParseMountinfo(mountinfo)
	if err != nil {
		return err
	}
	for _, m := range mounts {
		if strings.HasPrefix(m.Type, "cgroup") {
			t.mounts = append(t.mounts, reachable{m, root})
		}
	}
	return nil
}

// Place is the group of a process in the hierarchy that has one controller.
// Processes of the same group have equal Places.
type Place struct {
	Controller string // "memory" or "pids"
	Version    int    // 1 or 2
	Top        string // directory that stands for the topmost visible group
	Path       string // of the group, from Top: "/system.slice/nginx.service"
}

// Locate finds the group of a process. A version 1 hierarchy that has the
// controller goes before version 2, which cannot have it then.
func (t *Tree) Locate(controller string, groups []Membership) (Place, error) {
	for _, g := range groups {
		if slices.Contains(g.Controllers, controller) {
			return t.place(controller, 1, g.Path, func(m Mount) bool {
				return m.has(controller)
			})
		}
	}
	for _, g := range groups {
		if g.Unified {
			return t.unified(controller, g.Path)
		}
	}
	return Place{}, fmt.Errorf("%s: %w", controller, ErrNoController)
}

// Frozen says whether a process is frozen with a group of its own or one above ("docker pause"):
// cgroup.events of version 2, freezer.state of version 1 (kernel/cgroup/freezer.c,
// legacy_freezer.c).
func (t *Tree) Frozen(groups []Membership) bool {
	for _, g := range groups {
		switch {
		case g.Unified:
			place, err := t.place("", 2, g.Path, func(m Mount) bool {
				return m.Type == "cgroup2"
			})
			if err == nil && readKeyed(place.dir(), "cgroup.events", "frozen").N > 0 {
				return true
			}
		case slices.Contains(g.Controllers, "freezer"):
			place, err := t.place("freezer", 1, g.Path, func(m Mount) bool {
				return m.has("freezer")
			})
			if err != nil {
				continue
			}
			state, _ := os.ReadFile(filepath.Join(place.dir(), "freezer.state"))
			if strings.TrimSpace(string(state)) == "FROZEN" {
				return true
			}
		}
	}
	return false
}

func (p Place) dir() string { return filepath.Join(p.Top, p.Path) }

func (t *Tree) unified(controller, groupPath string) (Place, error) {
	place, err := t.place(controller, 2, groupPath, func(m Mount) bool {
		return m.Type == "cgroup2"
	})
	if err != nil {
		return Place{}, err
	}
	list, err := os.ReadFile(filepath.Join(place.Top, "cgroup.controllers"))
	if err == nil && isWholeTree(place) &&
		!slices.Contains(strings.Fields(string(list)), controller) {
		return Place{}, fmt.Errorf("%s: %w", controller, ErrNoController)
	}
	return place, nil
}

// place looks for the mount that shows the most ancestors of a group.
func (t *Tree) place(controller string, version int, groupPath string,
	fits func(Mount) bool) (Place, error) {
	best, mounted := Place{}, false
	for _, m := range t.mounts {
		if !fits(m.Mount) {
			continue
		}
		mounted = true
		if below, ok := cutRoot(groupPath, m.Root); ok && len(below) > len(best.Path) {
			top := filepath.Join(m.root, m.Point)
			best = Place{Controller: controller, Version: version, Top: top,
				Path: below}
		}
	}
	switch {
	case !mounted:
		return Place{}, fmt.Errorf("%s: %w", controller, ErrNotMounted)
	case best.Path == "":
		return Place{}, fmt.Errorf("%s: %s: %w", controller, clip(groupPath), ErrOutside)
	}
	return best, nil
}

// cutRoot returns the path of a group from the directory that is mounted. Both
// are seen from the same namespace, where "/.." is the parent of its root: how
// the levels in between are called cannot be known from below, so that "/a"
// under a mount of "/.." is not found.
func cutRoot(groupPath, root string) (string, bool) {
	below, ok := groupPath, true
	if root != "/" {
		below, ok = strings.CutPrefix(groupPath, root)
	}
	if !ok || below != "" && below[0] != '/' {
		return "", false
	}
	if slices.Contains(strings.Split(below, "/"), "..") {
		return "", false
	}
	return path.Clean("/" + below), true
}

// level is one group on the way up.
type level struct{ path, dir string }

// levels returns the group of a place and its ancestors, bottom up.
func (p Place) levels() []level {
	var all []level
	for at := p.Path; ; at = path.Dir(at) {
		all = append(all, level{path: at, dir: filepath.Join(p.Top, at)})
		if at == "/" {
			return all
		}
	}
}

// isWholeTree reports whether the topmost visible group is certainly the root of
// its hierarchy. The kernel marks it by files that only the root has (release_agent,
// version 1) or that only the root lacks (cgroup.events, version 2;
// kernel/cgroup/cgroup.c cgroup_base_files, cgroup-v1.c cgroup1_base_files).
func isWholeTree(p Place) bool {
	if p.Version == 1 {
		_, err := os.Stat(filepath.Join(p.Top, "release_agent"))
		return err == nil
	}
	if _, err := os.Stat(filepath.Join(p.Top, "cgroup.controllers")); err != nil {
		return false
	}
	_, err := os.Stat(filepath.Join(p.Top, "cgroup.events"))
	return errors.Is(err, os.ErrNotExist)
}

// Group is a cgroup, as its hierarchy calls it and where its files are.
type Group struct{ Path, Dir string }

// Unified finds the group of a process in the hierarchy of version 2, whichever version bounds its
// memory: that group first, then those above that can be seen. A process without one has none, and
// no error.
func (t *Tree) Unified(groups []Membership) (all []Group, err error) {
	for _, g := range groups {
		if !g.Unified {
			continue
		}
		place, err := t.place("cgroup2", 2, g.Path, func(m Mount) bool {
			return m.Type == "cgroup2"
		})
		if err != nil {
			return nil, err
		}
		for _, at := range place.levels() {
			all = append(all, Group{at.path, at.dir})
		}
	}
	return all, nil
}
