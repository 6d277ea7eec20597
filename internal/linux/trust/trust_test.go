//go:build linux

package trust

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// stranger is a user who is neither root nor this one.
const stranger = 12345

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func asRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 || os.Chown(t.TempDir(), stranger, stranger) != nil {
		t.Skip("only root gives files to others")
	}
}

// Each directory that leads to a path, and the path itself, is looked at.
func TestDirectory(t *testing.T) {
	asRoot(t)
	for _, c := range []struct {
		name  string
		spoil func(top, above, dir string) error
		want  string // "" is trusted
	}{
		{"as it is", func(string, string, string) error { return nil }, ""},
		{
			"a stranger's",
			func(_, _, dir string) error { return os.Chown(dir, stranger, 0) },
			"belongs to user 12345",
		},
		{
			"written by all",
			func(_, _, dir string) error { return os.Chmod(dir, 0o707) },
			"can be written by others",
		},
		{
			"written by a group",
			func(_, _, dir string) error { return os.Chmod(dir, 0o770) },
			"can be written by others",
		},
		{
			"sticky, and written by all",
			func(_, _, dir string) error { return os.Chmod(dir, 0o777|fs.ModeSticky) },
			"can be written by others",
		},
		{
			"below a stranger's",
			func(_, above, _ string) error { return os.Chown(above, stranger, 0) },
			"belongs to user 12345",
		},
		{
			"far below a stranger's",
			func(top, _, _ string) error { return os.Chown(top, stranger, 0) },
			"belongs to user 12345",
		},
		{
			"below one for all",
			func(_, above, _ string) error { return os.Chmod(above, 0o777) },
			"can be written by others",
		},
		{"below one for a group", func(_, above, _ string) error {
			return errors.Join(os.Chown(above, 0, stranger), os.Chmod(above, 0o775))
		}, "can be written by others"},
		{
			"below one for root's group",
			func(_, above, _ string) error { return os.Chmod(above, 0o775) },
			"",
		},
		{
			"below a sticky one for all",
			func(_, above, _ string) error {
				return os.Chmod(above, 0o777|fs.ModeSticky)
			},
			"",
		},
		{"not there", func(_, _, dir string) error {
			return os.Remove(dir)
		}, "no such file"},
		{"a file", func(_, _, dir string) error {
			return errors.Join(os.Remove(dir), os.WriteFile(dir, nil, 0o600))
		}, "not a directory"},
		{"by root's link", func(top, above, dir string) error {
			return errors.Join(os.Rename(dir, top+"/real"), os.Symlink("../real", dir))
		}, ""},
		{"by a stranger's link", func(top, above, dir string) error {
			return errors.Join(
				os.Rename(dir, top+"/real"),
				os.Symlink(top+"/real", dir),
				os.Lchown(dir, stranger, 0),
			)
		}, "belongs to user 12345"},
		{"by a link to a stranger's", func(top, above, dir string) error {
			return errors.Join(
				os.Rename(dir, top+"/real"),
				os.Symlink("../real", dir),
				os.Chown(top+"/real", stranger, 0),
			)
		}, "belongs to user 12345"},
		{"by a link to itself", func(_, _, dir string) error {
			return errors.Join(os.Remove(dir), os.Symlink(dir, dir))
		}, "too many"},
	} {
		t.Run(c.name, func(t *testing.T) {
			top := filepath.Join(t.TempDir(), "top")
			above := filepath.Join(top, "above")
			dir := filepath.Join(above, "dir")
			must(t, os.MkdirAll(dir, 0o700), c.spoil(top, above, dir))
			err := Directory(dir)
			if (err == nil) != (c.want == "") ||
				err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
	if Directory("relative") == nil {
		t.Error("a relative path")
	}
}

// A file that is a link, a FIFO or somebody else's is not read, and nobody waits for it.
func TestOpen(t *testing.T) {
	asRoot(t)
	for _, c := range []struct {
		name string
		make func(path string) error
		want string
	}{
		{"plain", func(p string) error {
			return os.WriteFile(p, []byte("text"), 0o600)
		}, ""},
		{"a link", func(p string) error {
			return errors.Join(os.WriteFile(p+"-real", nil, 0o600),
				os.Symlink(p+"-real", p))
		}, "is a symbolic link"},
		{"a second name", func(p string) error {
			return errors.Join(os.WriteFile(p+"-real", nil, 0o600),
				os.Link(p+"-real", p))
		}, "has a second name"},
		{"a FIFO", func(p string) error {
			return syscall.Mkfifo(p, 0o600)
		}, "is not a regular file"},
		{"a directory", func(p string) error {
			return os.Mkdir(p, 0o700)
		}, "is not a regular file"},
		{"a stranger's", func(p string) error {
			return errors.Join(os.WriteFile(p, nil, 0o600), os.Chown(p, stranger, 0))
		}, "belongs to user 12345"},
		{"written by others", func(p string) error {
			return errors.Join(os.WriteFile(p, nil, 0o600), os.Chmod(p, 0o666))
		}, "can be written by others"},
		{
			"too large",
			func(p string) error {
				return os.WriteFile(p, make([]byte, 1<<20+1), 0o600)
			},
			"larger than 1 MiB",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file")
			must(t, c.make(path))
			began := time.Now()
			text, err := ReadFile(path, 1<<20)
			if (err == nil) != (c.want == "") ||
				err != nil && !strings.Contains(err.Error(), c.want) ||
				err == nil && string(text) != "text" {
				t.Errorf("%q, %v, want %q", text, err, c.want)
			}
			if time.Since(began) > 5*time.Second {
				t.Error("it waited")
			}
		})
	}
}

// A program that root is to run at each boot is root's, and so is every directory that leads there,
// without exception.
func TestProgram(t *testing.T) {
	if os.Getuid() == 0 {
		if err := Program("/usr/bin/env"); err != nil {
			t.Error(err)
		}
	}
	file := filepath.Join(t.TempDir(), "program") // below a sticky directory for all
	must(t, os.WriteFile(file, nil, 0o755))
	for path, want := range map[string]string{
		file: "can be written by others", "/usr/bin": "is not a regular file",
		"relative": "absolute", "/usr/bin/none-such": "no such file",
	} {
		if err := Program(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}

// An access control list may let anybody write whom the mode does not name: its mask stands where
// the rights of the group were.
func TestAccessControlList(t *testing.T) {
	asRoot(t)
	top := t.TempDir()
	dir := filepath.Join(top, "above", "dir")
	above := filepath.Dir(dir)
	must(t, os.MkdirAll(dir, 0o700), os.Chmod(above, 0o755), os.Chmod(top, 0o755))
	file := filepath.Join(dir, "program")
	must(t, os.WriteFile(file, nil, 0o755))
	control := Directory(dir)
	if err := list(above, stranger, 7); errors.Is(err, syscall.EOPNOTSUPP) {
		t.Skip("the file system has no such lists")
	} else {
		must(t, control, err)
	}
	const want = "can be written by others"
	if err := Directory(dir); err == nil || !strings.Contains(err.Error(), above+" "+want) {
		t.Errorf("below a directory with a list: %v", err)
	}
	info, err := os.Lstat(above)
	must(t, err)
	if err := rootOnly(above, info); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("a program's directory with a list: %v", err)
	}
	must(t, list(above, stranger, 5)) // reading is no harm
	if err := Directory(dir); err != nil {
		t.Errorf("below a directory that a list lets read: %v", err)
	}
}

// list gives a user rights by an access control list (include/uapi/linux/posix_acl_xattr.h).
func list(path string, uid uint32, rights uint16) error {
	text := binary.LittleEndian.AppendUint32(nil, 2) // POSIX_ACL_XATTR_VERSION
	const nobody = 1<<32 - 1
	for _, e := range []struct {
		tag, rights uint16
		id          uint32
	}{{1, 7, nobody}, {2, rights, uid}, {4, 5, nobody}, {16, rights, nobody}, {32, 5, nobody}} {
		text = binary.LittleEndian.AppendUint16(text, e.tag)
		text = binary.LittleEndian.AppendUint16(text, e.rights)
		text = binary.LittleEndian.AppendUint32(text, e.id)
	}
	return syscall.Setxattr(path, "system.posix_acl_access", text, 0)
}
