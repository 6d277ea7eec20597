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
	// what it does, and what makes it take effect before the next boot, if anything
	Why string
	// Keeps are the running values of the plan that it sets at each boot. A drop-in has
	// none: it acts on processes to come.
	Keeps []plan.Target
}

// Unkept is a change that no file makes last, with the reason.
type Unkept struct {
	Change  plan.Change
	Setting string // the target in words, as in the plan
	Why     string
}

// Options say what there is on the host that the plan is for.
type Options struct {
	// Snapshot tells the scope, the units of processes and the kinds of links. It is
	// the one that the plan was made from, or a later one of the same boot.
	Snapshot host.Snapshot
	// Program is the absolute path of maxconn, for the unit that verifies.
	Program string
	// Untrusted is why no unit may name that program, such as "/tmp can be written by
	// others"; "" where root runs only what root has put there.
	Untrusted string
	// Root is the host's root directory: os.DirFS("/"). Own files there are added to,
	// and units are read.
	Root fs.FS
	// About makes the files those of another tool: it is what they begin with, in place
	// of the words that maxconn owns them. They have names of their own, hold the plan
	// alone, and take what is of another network namespace, as About has to say. No
	// unit verifies them.
	About []string
}

// paths are those of the files of one owner. They sort behind those of others, because the last one
// wins.
type paths struct{ sysctl, modules, modprobe, dropIn, rules string }

var (
	own      = paths{SysctlFile, ModulesFile, ModprobeFile, dropInName, rulesPrefix}
	exported = paths{
		sysctl:   ExportedSysctl,
		modules:  "/etc/modules-load.d/maxconn-plan.conf",
		modprobe: "/etc/modprobe.d/zz-maxconn-plan.conf",
		dropIn:   "zz-maxconn-plan.conf",
		rules:    "/etc/udev/rules.d/91-maxconn-plan-",
	}
)

func (o Options) paths() paths {
	if o.About != nil {
		return exported
	}
	return own
}

// The files that maxconn owns.
const (
	SysctlFile   = "/etc/sysctl.d/zz-maxconn.conf"
	ModulesFile  = "/etc/modules-load.d/maxconn.conf"
	ModprobeFile = "/etc/modprobe.d/zz-maxconn.conf"
	VerifyUnit   = "/etc/systemd/system/maxconn-verify.service"
	verifyWants  = "/etc/systemd/system/multi-user.target.d/maxconn.conf"
	dropInName   = "zz-maxconn.conf"
	UnitDir      = "/etc/systemd/system/"
	rulesPrefix  = "/etc/udev/rules.d/90-maxconn-"
)

// ExportedSysctl is the sysctl.d file of another tool; see Options.About.
const ExportedSysctl = "/etc/sysctl.d/zz-maxconn-plan.conf"

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
	unit, ok := strings.CutPrefix(path, UnitDir)
	if !ok {
		return false
	}
	unit, ok = strings.CutSuffix(unit, ".d/"+dropInName)
	return ok && plan.IsService(unit)
}

const header = "# maxconn owns this file: maxconn apply writes it, maxconn rollback rolls it " +
	"back.\n"

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

// Files renders what the plan needs at the next boot, the verifying unit last; none where nothing
// can be kept. What cannot be kept is Left's to say. The error is an *InvalidError or a
// *ProgramError.
func Files(p plan.Plan, o Options) ([]File, error) {
	b, err := Sort(p, o)
	if err != nil {
		return nil, err
	}
	files := b.Files()
	if len(files) > 0 && o.About == nil && boots(o.Root) == sysctld.Systemd {
		if o.Untrusted != "" {
			return nil, &ProgramError{o.Program, o.Untrusted}
		}
		files = append(files, b.verifyFiles()...)
	}
	return files, nil
}

// Files are those that set the values, without what verifies them.
func (b Boot) Files() (files []File) {
	files = append(files, b.sysctlFiles()...)
	files = append(files, b.moduleFiles()...)
	files = append(files, b.unitFiles()...)
	return append(files, b.linkFiles()...)
}

// Left lists the changes of a plan that Files does not keep, in the plan's order.
func Left(p plan.Plan, o Options) ([]Unkept, error) {
	b, err := Sort(p, o)
	return b.Left, err
}
