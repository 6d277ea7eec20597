//go:build linux

package vm

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// writeImage writes the initramfs for one Run.
func writeImage(ctx context.Context, to io.Writer, spec Spec) error {
	files, argv, err := programs(ctx, spec)
	if err != nil {
		return err
	}
	for name, body := range spec.Files {
		if err := checkPlace(name); err != nil {
			return err
		}
		files[path.Clean(name)] = body
	}
	modules, err := spec.modules(ctx)
	if err != nil {
		return err
	}
	j := job{Secret: spec.secret, Argv: argv, Env: spec.Env, Disk: spec.Disk != nil}
	for i, m := range modules {
		file := fmt.Sprintf("%s/%02d-%s.ko", modulePath, i, m.name)
		files[file] = m.image
		j.Modules = append(j.Modules, moduleFile{m.name, m.params, file})
	}
	if files[jobPath], err = json.Marshal(j); err != nil {
		return fmt.Errorf("vm: %w", err)
	}
	return writeTree(to, files)
}

// programs are the running program as init, the program to run, and their libraries. argv is the
// command inside.
func programs(ctx context.Context, spec Spec) (files map[string][]byte, argv []string, err error) {
	// Right even when the program's file was replaced; "self" would be the loader that
	// looks at it.
	files, own, err := place(ctx, fmt.Sprintf("/proc/%d/exe", os.Getpid()), initPath)
	if err != nil || spec.Binary == "" {
		return files, append([]string{own}, spec.Args...), err
	}
	more, inside, err := place(ctx, spec.Binary, "/usr/bin/"+filepath.Base(spec.Binary))
	if err != nil {
		return nil, nil, err
	}
	maps.Copy(files, more)
	return files, append([]string{inside}, spec.Args...), nil
}

// place gives a program with its libraries, the program itself at another path.
func place(ctx context.Context, program, at string) (map[string][]byte, string, error) {
	files, err := libraries(ctx, program)
	if err != nil {
		return nil, "", fmt.Errorf("vm: program %s: %w", program, err)
	}
	if files[at], err = os.ReadFile(program); err != nil {
		return nil, "", fmt.Errorf("vm: program: %w", err)
	}
	return files, at, nil
}

// checkPlace refuses files that would be invisible in the machine.
func checkPlace(name string) error {
	if !path.IsAbs(name) || path.Clean(name) == "/" {
		return fmt.Errorf("vm: file %q: not an absolute path", name)
	}
	top := "/" + strings.Split(path.Clean(name), "/")[1]
	if slices.Contains([]string{"/proc", "/sys", "/dev", "/vm", initPath}, top) {
		return fmt.Errorf("vm: file %q: the machine's own %s is there", name, top)
	}
	return nil
}

// modules are, in loading order, those of the machine's devices, so that what goes wrong
// later reaches the host; the spec's, so that their parameters count; and the usual ones.
func (s Spec) modules(ctx context.Context) ([]module, error) {
	set, err := s.Kernel.openModules()
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Concat(deviceModules(), s.Modules, usualModules()) {
		if err := set.add(ctx, name); err != nil {
			return nil, err
		}
	}
	return set.order, nil
}

// writeTree writes files, sorted, with the directories that they need. /bin, /lib and so on
// are links into /usr, as in Debian, so that files of a host find their places.
func writeTree(to io.Writer, files map[string][]byte) error {
	c := newCPIO(to)
	for _, dir := range strings.Fields(
		"dev proc sys run root etc var vm vm/disk usr usr/bin usr/sbin usr/lib usr/lib64") {
		c.directory(dir, 0o755)
	}
	c.directory("tmp", 0o1777)
	for _, name := range []string{"bin", "sbin", "lib", "lib64"} {
		c.link(name, "usr/"+name)
	}
	// Without a console the kernel gives init no standard files, and Go's runtime wants
	// /dev/null for these.
	c.device("dev/console", 5, 1)
	c.device("dev/null", 1, 3)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		c.parents(path.Dir(name[1:]))
		c.file(name[1:], files[name])
	}
	if err := c.finish(); err != nil {
		return fmt.Errorf("vm: write the initramfs: %w", err)
	}
	return nil
}

// parents makes a file's directories, each once: the kernel makes none by itself.
func (c *cpio) parents(dir string) {
	if dir == "." || c.made[dir] {
		return
	}
	c.parents(path.Dir(dir))
	c.directory(dir, 0o755)
}

// cpio writes an archive in the form that the kernel unpacks into its first root file system
// (Documentation/driver-api/early-userspace/buffer-format.rst, "newc"). The first error
// sticks and comes out of finish.
type cpio struct {
	to   *bufio.Writer
	made map[string]bool // entries so far
	err  error
}

func newCPIO(to io.Writer) *cpio { return &cpio{to: bufio.NewWriter(to), made: map[string]bool{}} }

// Modes of entries (inode(7)).
const (
	modeDirectory = 0o040000 // and permissions
	modeDevice    = 0o020600
	modeLink      = 0o120777
	modeFile      = 0o100644
	modeProgram   = 0o100755
)

func (c *cpio) link(name, target string)   { c.entry(name, modeLink, 0, 0, []byte(target)) }
func (c *cpio) file(name string, b []byte) { c.entry(name, fileMode(b), 0, 0, b) }

func (c *cpio) directory(name string, permissions uint32) {
	c.entry(name, modeDirectory|permissions, 0, 0, nil)
}

func (c *cpio) device(name string, major, minor uint32) {
	c.entry(name, modeDevice, major, minor, nil)
}

// finish ends the archive.
func (c *cpio) finish() error {
	c.entry("TRAILER!!!", 0, 0, 0, nil)
	if c.err == nil {
		c.err = c.to.Flush()
	}
	return c.err
}

func (c *cpio) entry(name string, mode, major, minor uint32, body []byte) {
	c.made[name] = true
	// inode, mode, uid, gid, links, mtime, size, device (2), rdev (2), name size, check
	c.print("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		0, mode, 0, 0, 1, 0, len(body), 0, 0, major, minor, len(name)+1, 0, name)
	c.pad(headerSize + len(name) + 1)
	if c.err == nil {
		_, c.err = c.to.Write(body)
	}
	c.pad(len(body))
}

const headerSize = 6 + 13*8

func (c *cpio) print(format string, args ...any) {
	if c.err == nil {
		_, c.err = fmt.Fprintf(c.to, format, args...)
	}
}

// pad fills up to a multiple of four.
func (c *cpio) pad(n int) {
	c.print("%.*s", -n&3, "\x00\x00\x00")
}

// fileMode makes programs of ELF objects and scripts.
func fileMode(b []byte) uint32 {
	if len(b) > 3 && (string(b[:4]) == "\x7fELF" || string(b[:2]) == "#!") {
		return modeProgram
	}
	return modeFile
}
