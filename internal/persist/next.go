package persist

import (
	"cmp"
	"io/fs"
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
	"github.com/maxconn/maxconn/internal/plan"
	"github.com/maxconn/maxconn/internal/sysctld"
)

// Winner is what is known of a sysctl's value after the next boot, in the host's own
// network namespace.
type Winner struct {
	Key string
	// Program reads the files at boot; Systemd and Procps are what the two make of
	// them. Procps matters on a host with systemd too: packages and people run "sysctl
	// --system".
	Program         sysctld.Program
	Systemd, Procps sysctld.Winner
	// Others also set the key, or may, outside of the files that Program reads; in the
	// order in which they come to run.
	Others []Owner
	// Unseen are files that could not be read and might hold a later word, with the
	// reason each.
	Unseen []string
	// Hidden are files of other programs that this user may not read, and which might
	// set the key.
	Hidden []string
	// Idle is why no file is read at boot at all, or "".
	Idle string
}

// Owner is a program beside systemd-sysctl and procps that sets a sysctl.
type Owner struct {
	Program string // "tuned"
	File    string // where it says so, or by which it was recognised
	Line    int    // 0 where there is no one line
	// "" where that is unknown; ">2048" where it only raises, "<10" where it only
	// lowers
	Value string
	// Sure says that it runs at boot and sets Value after the files were read. Without
	// it the owner is only a possible one.
	Sure bool
	Why  string // what it does with the key
}

// next computes the winners of some sysctls from what is under a root directory. The map has the
// keys as they were given.
func next(root fs.FS, tree sysctld.Tree, keys []string) map[string]Winner {
	program := boots(root)
	settings := map[sysctld.Program][]sysctld.Setting{}
	for _, p := range []sysctld.Program{sysctld.Systemd, sysctld.Procps, sysctld.Tuned} {
		settings[p] = tree.Settings(p)
	}
	others := owners(root, settings[sysctld.Tuned])
	out := map[string]Winner{}
	for _, key := range keys {
		w := Winner{
			Key: key, Program: program, Others: others.of(key), Hidden: others.hidden,
			Systemd: sysctld.Winners(sysctld.Systemd, settings[sysctld.Systemd], key),
			Procps:  sysctld.Winners(sysctld.Procps, settings[sysctld.Procps], key),
		}
		if w.Idle = idle(root, program); w.Idle == "" {
			w.Unseen = tree.Unseen(program, w.AtBoot())
		}
		out[key] = w
	}
	return out
}

// idle says why the program does not run.
func idle(root fs.FS, p sysctld.Program) string {
	if p == sysctld.Systemd && masked(root, "etc/systemd/system/systemd-sysctl.service") {
		return "systemd-sysctl.service is masked, so no file is read at boot"
	}
	return ""
}

func masked(root fs.FS, unit string) bool {
	real, err := sysctld.Resolve(root, unit)
	return err == nil && real == "dev/null"
}

// AtBoot is the winner among the files that are read at boot.
func (w Winner) AtBoot() sysctld.Winner {
	if w.Idle != "" {
		return sysctld.Winner{}
	}
	if w.Program == sysctld.Procps {
		return w.Procps
	}
	return w.Systemd
}

// Last is the last word that is sure: of a program that runs after the files are read, or
// of the files. ok is false where nobody is known to set the key, so that the kernel's
// default stays.
func (w Winner) Last() (value, owner string, ok bool) {
	b := w.AtBoot()
	if value, ok = b.Value, b.Set; ok || b.Exclude {
		owner = at(b.File, b.Line)
	}
	for _, o := range w.Others {
		if !o.Sure {
			continue
		}
		if after, changes := o.sets(value, ok); changes {
			value, owner, ok = after, o.String(), true
		}
	}
	return value, owner, ok
}

// sets is what a value becomes; known says that it is one. An owner may only raise
// (">2048") or only lower ("<10").
func (o Owner) sets(before string, known bool) (after string, changes bool) {
	if o.Value == "" || o.Value[0] != '>' && o.Value[0] != '<' {
		return o.Value, true
	}
	bound, err1 := strconv.ParseInt(o.Value[1:], 10, 64)
	now, err2 := strconv.ParseInt(before, 10, 64)
	if err1 != nil || err2 != nil || !known {
		return before, false
	}
	if o.Value[0] == '>' && now < bound || o.Value[0] == '<' && now > bound {
		return o.Value[1:], true
	}
	return before, false
}

// String is "tuned (/etc/tuned/web/tuned.conf:4)".
func (o Owner) String() string {
	if o.File == "" {
		return o.Program
	}
	return o.Program + " (" + at(o.File, o.Line) + ")"
}

func at(file string, line int) string {
	if line == 0 {
		return file
	}
	return file + ":" + strconv.Itoa(line)
}

// Outlook is what is to be expected of a value at the next boot.
type Outlook string

const (
	Holds  Outlook = "holds"  // our line has the last word, or one with the same value has
	Loses  Outlook = "loses"  // somebody else has it
	Unsure Outlook = "unsure" // somebody else may have it, or something could not be read
)

// Claim is what becomes of one persisted sysctl at the next boot.
type Claim struct {
	Key, Want string
	Outlook   Outlook
	// who wins or may win instead; of a value that holds, who could still change it
	// later, or ""
	Why    string
	Winner Winner
}

// Claims judges the sysctls of a plan with the files laid over what is under the root.
func Claims(root fs.FS, p plan.Plan, files []File) (out []Claim) {
	tree := sysctld.Read(root)
	ours := map[string]bool{}
	for _, f := range files {
		if f.Path == SysctlFile {
			tree = tree.With(f.Path, f.Content)
			for _, s := range sysctld.Parse(sysctld.Systemd, f.Path, f.Content) {
				ours[s.Key] = true
			}
		}
	}
	var changes []plan.Change
	var keys []string
	for _, c := range p.Changes {
		if c.Target.Kind == host.SysctlKind && ours[knob.Key(c.Target.Name)] {
			changes, keys = append(changes, c), append(keys, c.Target.Name)
		}
	}
	winners := next(root, tree, keys)
	for _, c := range changes {
		out = append(out, claim(winners[c.Target.Name], c.To))
	}
	return out
}

func claim(w Winner, want string) Claim {
	value, owner, ok := w.Last()
	c := Claim{Key: w.Key, Want: want, Winner: w}
	switch rivals := w.rivals(want); {
	case w.Idle != "" && !ok:
		c.Outlook, c.Why = Loses, w.Idle
	case !ok && owner != "":
		c.Outlook, c.Why = Loses, owner+" takes it out again"
	case !ok:
		c.Outlook, c.Why = Loses, "no file sets it at boot"
	case !same(value, want):
		c.Outlook, c.Why = Loses, owner+" sets "+cmp.Or(value, "another value")+" after it"
	case len(w.Unseen) > 0:
		c.Outlook, c.Why = Unsure, strings.Join(w.Unseen, "; ")
	case len(rivals) > 0:
		c.Outlook, c.Why = Unsure, strings.Join(rivals, "; ")
	default:
		c.Outlook, c.Why = Holds, w.byHand(want)
	}
	return c
}

// rivals are those who may set the key after the files, and not to the same value.
func (w Winner) rivals(want string) (out []string) {
	for _, o := range w.Others {
		after, changes := o.sets(want, true)
		if !o.Sure && changes && !same(after, want) {
			out = append(out, o.String()+" "+o.Why)
		}
	}
	for _, file := range w.Hidden {
		out = append(out, file+" may not be read, and may set it")
	}
	return out
}

// byHand says that the other program would make another value of the files, where it does
// not run at boot.
func (w Winner) byHand(want string) string {
	if p := w.Procps; w.Program == sysctld.Systemd && p.Set && !same(p.Value, want) {
		return at(p.File, p.Line) + " sets " + p.Value +
			" whenever somebody runs sysctl --system"
	}
	return ""
}

// same compares values as the kernel prints them: white space is one blank.
func same(a, b string) bool {
	return strings.Join(strings.Fields(a), " ") == strings.Join(strings.Fields(b), " ")
}

// SetBy gives a function that tells which file or program set the value that a sysctl has
// now, as far as files show it; "" where none does. It fits plan.Options.Owner.
func SetBy(root fs.FS) func(key, value string) string {
	tree := sysctld.Read(root)
	return func(key, value string) string {
		w := next(root, tree, []string{key})[key]
		for i := len(w.Others) - 1; i >= 0; i-- {
			if o := w.Others[i]; o.Value != "" && same(o.Value, value) {
				return o.String()
			}
		}
		for _, b := range []sysctld.Winner{w.AtBoot(), w.Procps} {
			if b.Set && same(b.Value, value) {
				return at(b.File, b.Line)
			}
		}
		return ""
	}
}
