//go:build linux

package netns

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// View says where to look. Tests pass directories of their own.
type View struct {
	Proc  string   // where procfs is mounted
	Named []string // directories with one file a named namespace, as ip-netns(8) makes them
}

// System is the view of the running host. On most hosts /var/run is a link to
// /run and both directories are the same; names are listed once.
func System() View {
	return View{Proc: "/proc", Named: []string{"/run/netns", "/var/run/netns"}}
}

// Resolve turns a user's word into a path: anything with a slash is a path,
// then a name under the named directories, then a process ID. A name wins over a
// process of the same digits, as ip-netns(8) knows only names. The result was a
// network namespace at the time of the call.
func (v View) Resolve(word string) (Path, error) {
	p, err := v.find(word)
	if err != nil {
		return "", err
	}
	f, _, err := open("resolve", p)
	if err != nil {
		return "", err
	}
	f.Close()
	return p, nil
}

func (v View) find(word string) (Path, error) {
	if strings.Contains(word, "/") {
		return Path(word), nil
	}
	if p, ok := v.byName(word); ok {
		return p, nil
	}
	if pid, err := strconv.Atoi(word); err == nil && pid > 0 {
		return v.byProcess(pid)
	}
	known := v.names()
	return "", &Error{Op: "resolve", Subject: word, Reason: NoSuchName,
		Near: alike(word, known), Known: known}
}

func (v View) byName(name string) (Path, bool) {
	if name == "" || name == "." || name == ".." {
		return "", false
	}
	for _, dir := range v.Named {
		p := filepath.Join(dir, name)
		if _, err := os.Lstat(p); err == nil {
			return Path(p), true
		}
	}
	return "", false
}

func (v View) byProcess(pid int) (Path, error) {
	if _, err := os.Stat(filepath.Join(v.Proc, strconv.Itoa(pid))); err != nil {
		return "", &Error{Op: "resolve", Subject: strconv.Itoa(pid), Reason: Gone,
			Known: v.names(), Err: err}
	}
	return v.processPath(pid), nil
}

// processPath is spelled so that processOf can take it apart again.
func (v View) processPath(pid int) Path {
	return Path(fmt.Sprintf("%s/%d/ns/net", strings.TrimSuffix(v.Proc, "/"), pid))
}

// names lists every name once, sorted.
func (v View) names() []string {
	var all []string
	for _, dir := range v.Named {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue // a host without named namespaces has no directory
		}
		for _, e := range entries {
			all = append(all, e.Name())
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// processOf takes /proc/PID/ns/net apart.
func processOf(p Path) (process string, ok bool) {
	process, ok = strings.CutSuffix(string(p), "/ns/net")
	if !ok {
		return "", false
	}
	_, err := strconv.Atoi(filepath.Base(process))
	return process, err == nil
}

// gone reports whether the process directory belongs to nobody or to a zombie. A
// zombie keeps its directory but gave its namespaces back (kernel/exit.c
// do_exit, exit_task_namespaces), so its ns/net cannot be opened by anyone; the
// kernel says EACCES or ENOENT for that, which reads like a lack of privileges.
func gone(process string) bool {
	stat, err := os.ReadFile(filepath.Join(process, "stat"))
	if err != nil {
		return os.IsNotExist(err)
	}
	state, ok := processState(string(stat))
	return ok && (state == 'Z' || state == 'X')
}

// processState is the third field of /proc/PID/stat. The name before it is in
// parentheses and may hold spaces and parentheses itself.
func processState(stat string) (byte, bool) {
	end := strings.LastIndexByte(stat, ')')
	if end < 0 || len(stat) < end+3 {
		return 0, false
	}
	return stat[end+2], true
}
