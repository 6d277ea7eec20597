package host

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// Redact is a copy that hides addresses and names, each always by the same stand-in, so that the
// verdict stays as it was but for those words. What is hidden goes by the type of each fact and
// field (redaction, in redact_kinds.go); what has no type is hidden unless it is a figure. Loopback
// and unspecified addresses, ports, figures, sysctls, the suffixes of units and the device "lo"
// stay: they say nothing about whose host it is.
func Redact(s Snapshot) Snapshot {
	x := &redactor{addresses: map[netip.Addr]netip.Addr{}, names: map[string]string{}}
	var c Snapshot
	var reasons []Fact // at the end: they may quote any name
	for _, f := range s.Facts() {
		if s.readings[f].Err != "" {
			reasons = append(reasons, f)
			continue
		}
		c.put(x.fact(f), Reading{Text: x.text(f, s.readings[f].Text)})
	}
	for _, f := range reasons {
		c.put(x.fact(f), Reading{Err: x.reason(s.readings[f].Err)})
	}
	return c
}

// redactor remembers the stand-ins that it has given.
type redactor struct {
	addresses map[netip.Addr]netip.Addr
	names     map[string]string
	v4, v6    uint32
}

// hide is how texts of one type are redacted.
type hide func(x *redactor, text string) string

func (x *redactor) fact(f Fact) Fact {
	r, ok := redaction[f.Kind]
	switch {
	case f.Name == "*":
		return f
	case !ok:
		return Fact{f.Kind, figure(x, f.Name)}
	}
	return Fact{f.Kind, r.name(x, f.Name)}
}

func (x *redactor) text(f Fact, text string) string {
	r := redaction[f.Kind]
	if !f.Kind.IsTable() {
		how, ok := r.fields[f.Name]
		if !ok {
			how = r.text
		}
		if how == nil {
			how = figure
		}
		return how(x, text)
	}
	fields := parseFields(text)
	for i, field := range fields {
		how, ok := r.fields[field.Name]
		if !ok {
			how = figure
		}
		if !plainField.MatchString(field.Name) {
			fields[i].Name = x.standIn("field", field.Name)
		}
		fields[i].Value = how(x, field.Value)
	}
	return fields.String()
}

var plainField = regexp.MustCompile(`^[A-Za-z0-9_]+$`)

// standIn is the word that stands for a name.
func (x *redactor) standIn(word, name string) string {
	key := word + " " + name
	if _, ok := x.names[key]; !ok {
		x.names[key] = fmt.Sprintf("%s-%d", word, len(x.names)+1)
	}
	return x.names[key]
}

// named hides a name of people's making.
func named(word string) hide {
	return func(x *redactor, name string) string {
		if name == "" {
			return ""
		}
		return x.standIn(word, name)
	}
}

// letter keeps a state of a process (proc(5)).
func letter(x *redactor, text string) string {
	if len(text) == 1 {
		return text
	}
	return x.standIn("value", text)
}

// kept is for words of the kernel and of maxconn.
func kept(_ *redactor, text string) string { return text }

// aFigure is a number or range with a unit, a length of time or a time, and the words that stand in
// for numbers.
var aFigure = regexp.MustCompile(
	`^([-+]?[0-9]+(\.[0-9]+)?([-:][0-9]+)?(kB)?|([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h))+|` +
		`[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]*(Z|[-+][0-9:]*)|` +
		`max|unlimited|all|yes|no|[?]|net:\[[0-9]*\]|)$`,
)

// isFigure says whether a text is figures, separated by commas or spaces.
func isFigure(text string) bool {
	for part := range strings.FieldsSeq(strings.ReplaceAll(text, ",", " ")) {
		if !aFigure.MatchString(part) {
			return false
		}
	}
	return true
}

// kernelWord keeps figures and words of the kernel's. A driver, a queueing discipline or a way to
// control congestion of somebody's own has a name of people's making.
func kernelWord(x *redactor, text string) string {
	for word := range strings.FieldsSeq(strings.ReplaceAll(text, ",", " ")) {
		if !kernelWords[word] && !isFigure(word) {
			return x.standIn("value", text)
		}
	}
	return text
}

// figure keeps a figure and hides everything else.
func figure(x *redactor, text string) string {
	if isFigure(text) {
		return text
	}
	return x.standIn("value", text)
}

// device hides the name of a device; "lo" is everywhere.
func device(x *redactor, name string) string {
	if name == "" || name == "lo" {
		return name
	}
	return x.standIn("link", name)
}

// unitSuffixes are the types of units (systemd.unit(5)): what systemd does with a limit goes by
// them.
var unitSuffixes = []string{".service", ".scope", ".slice", ".socket", ".mount", ".swap"}

// commonUnits are on every host with systemd.
var commonUnits = []string{"system.slice", "user.slice", "machine.slice", "init.scope", "-.slice"}

func unit(x *redactor, name string) string {
	if name == "" || slices.Contains(commonUnits, name) {
		return name
	}
	for _, suffix := range unitSuffixes {
		if stem, ok := strings.CutSuffix(name, suffix); ok && stem != "" {
			return x.standIn("unit", name) + suffix
		}
	}
	return x.standIn("unit", name)
}

// cgroup keeps the shape of a path and hides its parts; those that are units are called as these.
func cgroup(x *redactor, path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		isUnit := slices.ContainsFunc(
			unitSuffixes,
			func(s string) bool { return strings.HasSuffix(p, s) },
		)
		switch {
		case p == "" || p == "..":
		case isUnit:
			parts[i] = unit(x, p)
		default:
			parts[i] = x.standIn("cgroup", p)
		}
	}
	return strings.Join(parts, "/")
}

// releaseWords are what distributions put into the release of a kernel; names of their builders are
// not among them.
var releaseWords = regexp.MustCompile(
	`^(v?[0-9]+|rc[0-9]+|el[0-9]+(_[0-9]+)?(uek)?|fc[0-9]+|amzn[0-9]+|deb[0-9]+(u[0-9]+)?|` +
		`bpo[0-9]*|arch[0-9]*|amd64|x86|64|i[3-6]86|arm64|armhf|armmp|aarch64|s390x?|` +
		`ppc64(le|el)?|riscv64|loong64|cloud|generic|hwe|lowlatency|virtual|kvm|azure|` +
		`aws|gcp|gke|gkeop|ibm|intel|nvidia|realtime|oracle|elrepo|raspi|rpi|rt|lts|default|pve|linuxkit|microsoft|standard|WSL2|smp|edge|zen|` +
		`hardened|uek|)$`,
)

// release keeps the numbers of a kernel's release and the words of distributions, which tell
// backports.
func release(x *redactor, text string) string {
	return inWords(text, "-.+_~", func(word string) string {
		if releaseWords.MatchString(word) {
			return word
		}
		return strings.ReplaceAll(x.standIn("kernel", word), "-", "")
	})
}

// inWords replaces the words between marks and keeps the marks.
func inWords(text, marks string, replace func(string) string) string {
	var b strings.Builder
	for text != "" {
		i := strings.IndexAny(text, marks)
		if i < 0 {
			i = len(text)
		}
		b.WriteString(replace(text[:i]))
		if i < len(text) {
			b.WriteByte(text[i])
			i++
		}
		text = text[i:]
	}
	return b.String()
}

// sysctlName hides the device in the name of a setting that each device has.
func sysctlName(x *redactor, name string) string {
	parts := strings.Split(name, ".")
	for i := 2; i+1 < len(parts); i++ {
		if before := parts[i-1]; before == "conf" || before == "neigh" {
			if !slices.Contains([]string{"all", "default"}, parts[i]) {
				last := len(parts) - 1 // a device's name may hold dots
				return strings.Join(
					append(parts[:i:i],
						device(x, strings.Join(parts[i:last], ".")),
						parts[last]),
					".",
				)
			}
		}
	}
	return name
}

// moved hides what the fact that moved is named by; its field stays.
func moved(x *redactor, name string) string {
	kind, rest, _ := strings.Cut(name, "/")
	for _, field := range monotonic[Kind(kind)] {
		if row, ok := strings.CutSuffix(rest, "/"+field); ok {
			return kind + "/" + x.fact(Fact{Kind(kind), row}).Name + "/" + field
		}
	}
	return kind + "/" + x.fact(Fact{Kind(kind), rest}).Name
}

// aHandle is the number of a queueing discipline, in hexadecimal.
var aHandle = regexp.MustCompile(`^(root|[0-9a-f]*:[0-9a-f]*)$`)

// qdisc hides the device before a handle.
func qdisc(x *redactor, name string) string {
	link, handle, _ := strings.Cut(name, "/")
	if !aHandle.MatchString(handle) {
		handle = x.standIn("value", handle)
	}
	return device(x, link) + "/" + handle
}

// mapName is of a map of a datapath, "cilium_ct4_glob:12".
func mapName(x *redactor, name string) string {
	name, number, _ := strings.Cut(name, ":")
	return kernelWord(x, name) + ":" + figure(x, number)
}

// user keeps "root" and "uid 1000".
func user(x *redactor, text string) string {
	if text == "root" || strings.HasPrefix(text, "uid ") && isFigure(text[len("uid "):]) {
		return text
	}
	return x.standIn("user", text)
}
