package observe

import (
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/infile"
	"github.com/maxconn/maxconn/internal/linux/pidfd"
)

// socketRange is what a socket's part of the port range is called.
var socketRange = host.Fact{Kind: host.FeatureKind, Name: "IP_LOCAL_PORT_RANGE"}

// features records what the kernel can be asked to show, so that its version need not tell: those
// of distributions carry changes of newer ones.
func (s *subject) features() {
	if s.options.Root != "" {
		return // the features are the kernel's, and that tree is not
	}
	has, err := pidfd.HasPorts()
	if err != nil {
		s.miss(why(err), socketRange)
		return
	}
	s.snapshot.Set(socketRange, yesNo(has))
}

// osRelease records the distribution of the root directory.
func (s *subject) osRelease() {
	fact := host.System("os")
	top := "/"
	if s.root != "" {
		top = filepath.Dir(string(s.root))
	}
	const most = 1 << 20
	text, _, err := infile.Text(s.ctx, filepath.Join(top, "etc/os-release"), most)
	if errors.Is(err, fs.ErrNotExist) {
		text, _, err = infile.Text(s.ctx, filepath.Join(top, "usr/lib/os-release"), most)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.miss("there is no os-release", fact)
		return
	case err != nil:
		s.miss(why(err), fact)
		return
	}
	id, err := host.ParseOSRelease(string(text))
	if err != nil {
		s.miss(err.Error(), fact)
		return
	}
	s.snapshot.Set(fact, id)
}
