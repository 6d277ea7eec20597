package observe

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/infile"
	"github.com/maxconn/maxconn/internal/linux/procfs"
	"github.com/maxconn/maxconn/internal/serverconf"
)

const (
	mostConfig  = 1 << 20                // bytes of one file
	mostConfigs = 16                     // files of one program
	configWait  = 300 * time.Millisecond // for all of them; a file system may not answer
	ticks       = 100                    // a second, as user space has it (USER_HZ)
)

// errOther is that a configuration is not the one that the process read.
var errOther = errors.New("changed since")

// program is a server whose configuration says how many connections it allows itself.
type program struct {
	files func(argv []string) []string // its configuration, in the order in which it is read
	read  func(files [][]byte) (serverconf.Limit, error)
}

// programs is by the name of the process.
var programs = map[string]program{
	"nginx": {nginxFiles, func(f [][]byte) (serverconf.Limit, error) {
		return serverconf.Nginx(f[0])
	}},
	"haproxy": {haproxyFiles, func(f [][]byte) (serverconf.Limit, error) {
		return serverconf.Haproxy(f...)
	}},
}

// ownLimit appends what the program allows itself, where its configuration tells.
func (s *subject) ownLimit(row host.Fields, h *holder, p *procfs.Process) host.Fields {
	kind, ok := programs[h.comm]
	if !ok {
		return row
	}
	l, err := s.configured(kind, h.comm, p)
	if err != nil {
		return row
	}
	counts := "all"
	if l.Inbound {
		counts = "inbound"
	}
	return row.AddInt("own_limit", l.Connections).Add("own_limit_name", l.Name).
		Add("own_limit_counts", counts)
}

// configured reads the configuration in the root directory of the process that read it: of a
// worker that is its parent, for the worker may have changed its own (chroot).
func (s *subject) configured(kind program, comm string, p *procfs.Process) (l serverconf.Limit,
	err error) {
	stat, err := p.Stat()
	if err != nil {
		return l, err
	}
	first := p
	if parent, err := s.root.Open(stat.Parent); err == nil {
		defer parent.Close()
		if name, err := parent.Comm(); err == nil && name == comm {
			first = parent
		}
	}
	cmdline, err := first.Read("cmdline")
	if err != nil {
		return l, err
	}
	started, err := s.started(stat)
	if err != nil {
		return l, err
	}
	names := kind.files(strings.Split(strings.TrimRight(string(cmdline), "\x00"), "\x00"))
	if len(names) == 0 || len(names) > mostConfigs {
		return l, fs.ErrNotExist
	}
	dir, err := first.RootDir()
	if err != nil {
		return l, err
	}
	defer dir.Close()
	files, err := readConfigs(s.ctx, dir, names, started)
	if err != nil {
		return l, err
	}
	return kind.read(files)
}

// started is when a process began.
func (s *subject) started(stat procfs.ProcessStat) (time.Time, error) {
	b, err := s.root.Read("uptime")
	if err != nil {
		return time.Time{}, err
	}
	text, _, _ := strings.Cut(string(b), " ")
	up, err := strconv.ParseFloat(text, 64)
	age := up - float64(stat.StartTime)/ticks
	return time.Now().Add(-time.Duration(age * float64(time.Second))), err
}

// readConfigs reads files below a root directory that cannot be left. The file system may be
// anybody's: what does not answer in time is not waited for.
func readConfigs(ctx context.Context, dir *os.File, names []string, started time.Time) ([][]byte,
	error) {
	ctx, cancel := context.WithTimeout(ctx, configWait)
	defer cancel()
	type outcome struct {
		files [][]byte
		err   error
	}
	root, err := os.OpenRoot(fmt.Sprintf("/proc/self/fd/%d", dir.Fd()))
	if err != nil {
		return nil, err
	}
	done := make(chan outcome, 1)
	go func() {
		defer root.Close()
		var o outcome
		for _, name := range names {
			var b []byte
			if b, o.err = readConfig(ctx, root, name, started); o.err != nil {
				break
			}
			o.files = append(o.files, b)
		}
		done <- o
	}()
	select {
	case o := <-done:
		return o.files, o.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// readConfig refuses a file that was changed after the process had started; clocks differ by
// some hundredths of a second.
func readConfig(ctx context.Context, root *os.Root, name string, started time.Time) ([]byte,
	error) {
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	info, err := root.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.ModTime().After(started.Add(time.Second / 10)) {
		return nil, errOther
	}
	b, _, err := infile.In(ctx, root, name, mostConfig)
	return b, err
}

// nginxFiles is the file behind -c, else the one that distributions compile in. A relative name
// depends on what was compiled in, and so does -p.
func nginxFiles(argv []string) []string {
	if title, ok := strings.CutPrefix(argv[0], "nginx: master process "); ok {
		argv = strings.Fields(title) // src/os/unix/ngx_setproctitle.c
	}
	for i, arg := range argv[1:] {
		switch {
		case strings.HasPrefix(arg, "-p"):
			return nil
		case strings.HasPrefix(arg, "-c"):
			name := strings.TrimPrefix(arg, "-c")
			if name == "" && i+2 < len(argv) {
				name = argv[i+2]
			}
			return absolute([]string{name})
		}
	}
	return []string{"/etc/nginx/nginx.conf"}
}

// haproxyFiles are those behind -f, up to the next option (haproxy src/haproxy.c). -n is a
// limit of its own and -C another directory: then nothing is read.
func haproxyFiles(argv []string) (files []string) {
	for i := 1; i < len(argv); i++ {
		switch arg := argv[i]; {
		case arg == "-n", arg == "-C":
			return nil
		case arg == "-f" && i+1 < len(argv):
			i++
			files = append(files, argv[i])
		}
	}
	return absolute(files)
}

// absolute is the names if none depends on a working directory.
func absolute(names []string) []string {
	for _, name := range names {
		if !path.IsAbs(name) {
			return nil
		}
	}
	return names
}
