//go:build linux

package outfile

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// nobody is a user who owns nothing.
const nobody = 65534

// sticky is a directory like /tmp, with one of root's files beside it that nobody else may change.
func sticky(t *testing.T) (dir, victim string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: the files are another user's")
	}
	dir = t.TempDir()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		must(t, os.Chmod(d, 0o755)) // for the other user to get there
	}
	victim = filepath.Join(t.TempDir(), "shadow")
	must(t, os.WriteFile(victim, []byte("secret"), 0o600))
	must(t, os.Chmod(dir, 0o777|fs.ModeSticky))
	return dir, victim
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// asNobody runs a shell command as another user, in a directory.
func asNobody(t *testing.T, dir, command string) {
	t.Helper()
	c := exec.Command("/bin/sh", "-c", command)
	c.Dir = dir
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody,
		Gid: nobody}}
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
}

// What another user plants under the name of an output of root's leads nowhere.
func TestPlanted(t *testing.T) {
	dir, victim := sticky(t)
	for name, c := range map[string]struct{ plant, out string }{
		"a link to a file":         {"ln -s " + victim + " a", "a"},
		"a link to nothing":        {"ln -s /etc/there-is-no-such b", "b"},
		"a link to a directory":    {"ln -s " + filepath.Dir(victim) + " c", "c/shadow"},
		"a link to itself":         {"ln -s d d", "d"},
		"a chain of links":         {"ln -s " + victim + " e1; ln -s e1 e", "e"},
		"a link to a planted file": {"echo > f1; ln -s f1 f", "f"},
		"a pipe":                   {"mkfifo g", "g"},
		"a file":                   {"echo planted > h; chmod 666 h", "h"},
		"a directory":              {"mkdir i", "i"},
		"a link in the own directory": {"mkdir j; ln -s " + filepath.Dir(victim) + " j/k",
			"j/k/shadow"},
		"a link back": {"mkdir l; ln -s " + filepath.Dir(victim) +
			"/.. l/m", "l/m/" + filepath.Base(filepath.Dir(victim)) + "/shadow"},
	} {
		t.Run(name, func(t *testing.T) {
			asNobody(t, dir, c.plant)
			before := listing(t, dir)
			for what, err := range map[string]error{
				"write": Write(filepath.Join(dir, c.out), []byte("new"),
					Private),
				"writable": Writable(filepath.Join(dir, c.out)),
			} {
				if err == nil || strings.Contains(err.Error(), "\n") {
					t.Errorf("%s: error %v, want one on one line", what, err)
				}
			}
			if after := listing(t, dir); !slices.Equal(before, after) {
				t.Errorf("before %q, after %q", before, after)
			}
			unchanged(t, victim)
		})
	}
}

func listing(t *testing.T, dir string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		info, infoErr := d.Info()
		if err = errors.Join(err, infoErr); err == nil {
			all = append(all, path+" "+info.Mode().String())
		}
		return err
	})
	must(t, err)
	return all
}

func unchanged(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	info, statErr := os.Stat(file)
	if errors.Join(err, statErr) != nil || string(text) != "secret" ||
		info.Mode().Perm() != 0o600 {
		t.Errorf("%s: %q, %v, %v", file, text, info.Mode(), err)
	}
}

// A second name of a file of root's is not replaced where others may have made it;
// elsewhere the other name keeps its text.
func TestHardLink(t *testing.T) {
	dir, victim := sticky(t)
	must(t, os.Link(victim, filepath.Join(dir, "a")))
	if err := Write(filepath.Join(dir, "a"), []byte("new"), Private); err == nil {
		t.Error("a hard link in a directory of all was replaced")
	}
	own := t.TempDir()
	must(t, os.Link(victim, filepath.Join(own, "a")))
	must(t, Write(filepath.Join(own, "a"), []byte("new"), Private))
	unchanged(t, victim)
}

// A file that another user has put into a directory that a group or an access control list lets
// them write to is not what the output goes into: it would be theirs to read.
func TestSharedDirectories(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives files to others")
	}
	group := func(gid int, mode fs.FileMode) func(string) error {
		return func(dir string) error {
			return errors.Join(os.Chown(dir, 0, gid), os.Chmod(dir, mode))
		}
	}
	for name, c := range map[string]struct {
		share   func(dir string) error
		refused bool
	}{
		"its owner's":          {group(0, 0o755), false},
		"root's group's":       {group(0, 0o775), false},
		"a group's":            {group(nobody, 0o775), true},
		"a group's and sticky": {group(nobody, 0o775|fs.ModeSticky), true},
		"by a list": {func(dir string) error {
			return unix.Setxattr(dir, "system.posix_acl_access", list, 0)
		}, true},
	} {
		dir := t.TempDir()
		if err := c.share(dir); errors.Is(err, syscall.EOPNOTSUPP) {
			continue // the file system has no such lists
		} else {
			must(t, err)
		}
		out := filepath.Join(dir, "out")
		must(t, errors.Join(os.WriteFile(out, []byte("planted"), 0o644),
			os.Chown(out, nobody, nobody)))
		err := Write(out, []byte("new"), Private)
		if _, is := errors.AsType[*Refused](err); is != c.refused || err != nil && !is {
			t.Errorf("%s: %v, want it refused: %v", name, err, c.refused)
		}
		must(t, Write(filepath.Join(dir, "fresh"), nil, Private))
	}
}

// list is an access control list that lets nobody write (include/uapi/linux/posix_acl_xattr.h): its
// version, and for each entry a tag, rights, and whom.
var list = []byte{2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255, 2, 0, 7, 0, 254, 255, 0, 0,
	4, 0, 5, 0, 255, 255, 255, 255, 16, 0, 7, 0, 255, 255, 255, 255,
	32, 0, 5, 0, 255, 255, 255, 255}

// A file that another user has put where an earlier maxconn wrote first does not block the
// output, and stays.
func TestPlantedPart(t *testing.T) {
	dir, _ := sticky(t)
	asNobody(t, dir, "echo > out.part; mkfifo out.tmp; mkdir .out")
	for _, text := range []string{"first", "second"} {
		must(t, Write(filepath.Join(dir, "out"), []byte(text), Private))
	}
	if text, err := os.ReadFile(filepath.Join(dir, "out")); string(text) != "second" {
		t.Errorf("%q, %v", text, err)
	}
}

// The mode and the owner of a file that is there stay; a new file is for its owner alone.
func TestModeAndOwner(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "out")
	must(t, Write(name, []byte("new"), Private))
	for _, mode := range []fs.FileMode{0o600, 0o644, 0o640, 0o400, 0o666, 0o755} {
		must(t, os.Chmod(name, mode))
		if os.Geteuid() == 0 {
			must(t, os.Chown(name, nobody, 7))
		}
		must(t, Write(name, []byte("again"), Private))
		info, err := os.Lstat(name)
		must(t, err)
		owner := info.Sys().(*syscall.Stat_t)
		if info.Mode() != mode {
			t.Errorf("mode %v became %v", mode, info.Mode())
		}
		if os.Geteuid() == 0 && (owner.Uid != nobody || owner.Gid != 7) {
			t.Errorf("owner became %d:%d", owner.Uid, owner.Gid)
		}
	}
	fresh := filepath.Join(dir, "fresh")
	must(t, Write(fresh, nil, Private))
	if info, err := os.Lstat(fresh); err != nil || info.Mode() != 0o600 {
		t.Errorf("a new file: %v, %v", info, err)
	}
	if left := listing(t, dir); len(left) != 3 {
		t.Errorf("left %q", left)
	}
}

// The user's own links in a path, and root's, work; the last part has to be a file.
func TestOwnLinks(t *testing.T) {
	dir := t.TempDir()
	must(t, errors.Join(os.Mkdir(filepath.Join(dir, "real"), 0o755),
		os.Symlink("real", filepath.Join(dir, "short")),
		os.Symlink(dir, filepath.Join(dir, "real", "back")),
		os.Symlink("real/out", filepath.Join(dir, "out"))))
	for _, name := range []string{"short/out", "real/back/short/out", "./short/../real/./out",
		"short//out"} {
		must(t, Write(dir+"/"+name, []byte(name), Private))
		if text, err := os.ReadFile(filepath.Join(dir, "real/out")); string(text) != name {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
	var refused *Refused
	if err := Write(filepath.Join(dir, "out"), nil, Private); !errors.As(err, &refused) ||
		refused.Hint == "" {
		t.Errorf("a link of one's own as the output: %v", err)
	}
	t.Chdir(filepath.Join(dir, "real"))
	must(t, errors.Join(Write("a", nil, Private), Write("./b", nil, Private),
		Write("../c", nil, Private)))
	for _, name := range []string{"real/a", "real/b", "c"} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"", "/", ".", "..", "a/", "a/b", "no/such", "\x00"} {
		if err := Write(name, nil, Private); err == nil {
			t.Errorf("%q was written", name)
		}
	}
}

// A directory that one may search and write to but not list takes files.
func TestNotListed(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o300))
	defer os.Chmod(dir, 0o700)
	must(t, Write(filepath.Join(dir, "out"), nil, Private))
}

// Names of open files are those files, whatever they are.
func TestStreams(t *testing.T) {
	r, w, err := os.Pipe()
	must(t, err)
	defer r.Close()
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	must(t, err)
	defer file.Close()
	_, err = file.WriteString("before ")
	must(t, err)
	for _, f := range []*os.File{w, file} {
		must(t, Write("/dev/fd/"+strconv.Itoa(int(f.Fd())), []byte("text"), Private))
		must(t, Writable("/proc/self/fd/"+strconv.Itoa(int(f.Fd()))))
	}
	must(t, w.Close())
	buffer := make([]byte, 10)
	if n, err := r.Read(buffer); string(buffer[:n]) != "text" {
		t.Errorf("pipe: %q, %v", buffer[:n], err)
	}
	if text, err := os.ReadFile(file.Name()); string(text) != "before text" {
		t.Errorf("file: %q, %v", text, err)
	}
	must(t, errors.Join(Write("/dev/null", []byte("x"), Private), Writable("/dev/null")))
	for _, name := range []string{"/dev/fd/999", "/dev/zero", "/dev/fd/x"} {
		if Write(name, nil, Private) == nil || Writable(name) == nil {
			t.Errorf("%s was written", name)
		}
	}
}

// Several files go below a directory that nobody else has put there.
func TestDir(t *testing.T) {
	dir, victim := sticky(t)
	asNobody(t, dir, "ln -s "+filepath.Dir(victim)+" a")
	if root, err := Dir(filepath.Join(dir, "a")); err == nil {
		root.Close()
		t.Error("a planted link was followed")
	}
	root, err := Dir(filepath.Dir(victim))
	must(t, err)
	must(t, root.Close())
}
