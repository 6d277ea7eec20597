package sysctld

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
)

const (
	maxFile  = 4 << 20 // bytes; a file of sysctls is some kilobytes
	maxLinks = 40      // as the kernel's MAXSYMLINKS
)

// list gives the names of a directory's .conf files, sorted; a directory that is not there
// has none.
func list(root fs.FS, dir string) (names []string, why string) {
	real, err := Resolve(root, dir)
	if err != nil {
		return nil, whyNot(err)
	}
	entries, err := fs.ReadDir(root, real)
	if err != nil {
		return nil, whyNot(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".conf") {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, ""
}

// whyNot is the reason without the path, or "" where there is nothing.
func whyNot(err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return err.Error()
}

// readFile reads one file; ok says whether there is one of this name, be it a link that
// leads nowhere.
func readFile(root fs.FS, name string) (f File, ok bool) {
	f = File{Path: "/" + name}
	parent, err := Resolve(root, path.Dir(name))
	if err != nil {
		f.Unread = whyNot(err)
		return f, f.Unread != ""
	}
	entry := path.Join(parent, path.Base(name))
	info, err := fs.Lstat(root, entry)
	if err != nil {
		f.Unread = whyNot(err)
		return f, f.Unread != ""
	}
	real, err := Resolve(root, entry)
	if info.Mode()&fs.ModeSymlink != 0 && err == nil {
		f.Target = "/" + real
	}
	if err == nil && real != "dev/null" {
		f.Data, err = readRegular(root, real)
	}
	if err != nil {
		f.Unread = whyNot(err)
	}
	return f, true
}

var errLarge = errors.New("larger than 4 MiB")

// ReadFile reads a regular file of a tree whose links stay inside it; of a directory or a
// device it gives nothing.
func ReadFile(root fs.FS, name string) ([]byte, error) {
	real, err := Resolve(root, name)
	if err != nil {
		return nil, err
	}
	return readRegular(root, real)
}

// readRegular reads no pipe and no device: those could wait forever.
func readRegular(root fs.FS, name string) ([]byte, error) {
	info, err := fs.Lstat(root, name)
	if err != nil || !info.Mode().IsRegular() {
		return nil, err
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if len(data) > maxFile {
		return nil, errLarge
	}
	return data, err
}

// ErrLinks is a name that leads nowhere.
var ErrLinks = errors.New("too many levels of symbolic links")

// Resolve follows all links of a name as a process would whose root directory this is: a
// link to /usr/lib stays in the tree. The name and the result are without the leading
// slash; the root itself is ".". A link that leads nowhere gives the name that is missing
// and no error.
func Resolve(root fs.FS, name string) (string, error) {
	done, rest := ".", name
	for links := 0; rest != ""; {
		var part string
		part, rest, _ = strings.Cut(rest, "/")
		if part == "" || part == "." {
			continue
		}
		next := path.Join("/", done, part)[1:] // ".." ends at the root
		if next == "" {
			done = "."
			continue
		}
		info, err := fs.Lstat(root, next)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return path.Join(next, rest), nil
		case err != nil:
			return "", err
		case info.Mode()&fs.ModeSymlink == 0:
			done = next
			continue
		}
		if links++; links > maxLinks {
			return "", ErrLinks
		}
		target, err := fs.ReadLink(root, next)
		if err != nil {
			return "", err
		}
		if strings.HasPrefix(target, "/") {
			done = "."
		}
		rest = target + "/" + rest
	}
	return done, nil
}
