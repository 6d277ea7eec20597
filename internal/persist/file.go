package persist

import (
	"fmt"
	"io/fs"
	"strings"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/plan"
	"github.com/maxconn/maxconn/internal/sysctld"
)

// File is one regular file to be there at the next boot.
type File struct {
	Path    string // absolute
	Mode    fs.FileMode
	Content []byte
	Why     string // what it does, and what makes it take effect before the next boot, if anything
	// Keeps are the running values of the plan that it sets at each boot. A drop-in has none: it acts on processes to come.
	Keeps []plan.Target
}

// Unkept is a change that no file makes last, with the reason.
type Unkept struct {
	Setting string // the target in words, as in the plan
	Why     string
}

// Options say what there is on the host that the plan is for.
type Options struct {
	// Snapshot tells the scope, the units of processes and the kinds of links. It is the one that the plan was made from, or
	// a later one of the same boot.
	Snapshot host.Snapshot
	// Program is the absolute path of maxconn, for the unit that verifies.
	Program string
	// Untrusted is why no unit may name that program, such as "/tmp can be written by others"; ""
	// where root runs only what root has put there.
	Untrusted string
	// Root is the host's root directory: os.DirFS("/"). Own files there are added to, and units are read.
	Root fs.FS
}

// The files that maxconn owns.
const (
	SysctlFile   = "/etc/sysctl.d/zz-maxconn.conf"
	ModulesFile  = "/etc/modules-load.d/maxconn.conf"
	ModprobeFile = "/etc/modprobe.d/zz-maxconn.conf"
	VerifyUnit   = "/etc/systemd/system/maxconn-verify.service"
	verifyWants  = "/etc/systemd/system/multi-user.target.d/maxconn.conf"
	dropInName   = "zz-maxconn.conf"
	unitDir      = "/etc/systemd/system/"
	rulesPrefix  = "/etc/udev/rules.d/90-maxconn-"
)

// Owns says whether a path is that of a file that Files may give.
func Owns(path string) bool {
	switch path {
	case SysctlFile, ModulesFile, ModprobeFile, VerifyUnit, verifyWants:
		return true
	}
	if dev, ok := strings.CutPrefix(path, rulesPrefix); ok {
		dev, ok = strings.CutSuffix(dev, ".rules")
		return ok && plan.IsDevice(dev)
	}
	unit, ok := strings.CutPrefix(path, unitDir)
	if !ok {
		return false
	}
	unit, ok = strings.CutSuffix(unit, ".d/"+dropInName)
	return ok && plan.IsService(unit)
}

const header = "# maxconn owns this file: maxconn apply writes it, maxconn rollback takes it back.\n"

// InvalidError is a change of a plan that cannot stand in a file: somebody edited the plan.
type InvalidError struct {
	Setting string
	Why     string
}

func (e *InvalidError) Error() string { return fmt.Sprintf("persist %q: %s", e.Setting, e.Why) }

// ProgramError is a program that no unit may name: at each boot root would run what somebody else
// can put in its place.
type ProgramError struct {
	Path string
	Why  string
}

func (e *ProgramError) Error() string {
	return fmt.Sprintf("a unit that runs %s at each boot as root: %s", e.Path, e.Why)
}

// Hint says what to do about it.
func (e *ProgramError) Hint() string {
	return "install it where only root writes, and run that one: " +
		"install -o root -g root -m 755 maxconn /usr/local/bin/maxconn"
}

// Files renders what the plan needs at the next boot, the verifying unit last; none where nothing can be kept. What cannot
// be kept is Left's to say. The error is an *InvalidError or a *ProgramError.
func Files(p plan.Plan, o Options) ([]File, error) {
	w, err := sorted(p, o)
	if err != nil {
		return nil, err
	}
	var files []File
	files = append(files, w.sysctlFiles(o)...)
	files = append(files, w.moduleFiles()...)
	files = append(files, w.unitFiles()...)
	files = append(files, w.linkFiles()...)
	if len(files) > 0 && boots(o.Root) == sysctld.Systemd {
		if o.Untrusted != "" {
			return nil, &ProgramError{o.Program, o.Untrusted}
		}
		files = append(files, verifyFiles(o.Program)...)
	}
	return files, nil
}

// Left lists the changes of a plan that Files does not keep, in the plan's order.
func Left(p plan.Plan, o Options) ([]Unkept, error) {
	w, err := sorted(p, o)
	return w.left, err
}
