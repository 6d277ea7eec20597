package knob

import (
	_ "embed"
	"slices"
	"strings"
	"sync"

	"github.com/maxconn/maxconn/internal/host"
)

// catalogue are all settings that bear on connections or are believed to, in the order in which a
// plan writes them.
var catalogue = slices.Concat(
	files, listening, ports, tracking, neighbouring, closing, memory, packets, routing, sending,
)

// namesText is all other names of sysctls.
//
//go:embed names.txt
var namesText string

// known is what there is, by name.
type known struct {
	all   []*Knob
	exact map[string]*Knob
	globs map[int][]glob // those with "*", by the number of their parts
	turn  map[string]int // by name, and by field of what is no sysctl
}

// glob is a name with "*".
type glob struct {
	parts []string
	*Knob
}

// settings reads the list once.
var settings = sync.OnceValue(func() known { return index(catalogue, namesText) })

func index(rows []Knob, names string) known {
	k := known{exact: map[string]*Knob{}, globs: map[int][]glob{}, turn: map[string]int{}}
	for i := range rows {
		k.add(&rows[i])
		k.turn[rows[i].Name] = i
		if rows[i].Field != "" {
			k.turn[rows[i].Field] = i
		}
	}
	for line := range strings.Lines(names) {
		if words := strings.Fields(line); len(words) > 0 && words[0] != "#" {
			k.add(parseName(words))
		}
	}
	return k
}

func (k *known) add(x *Knob) {
	k.all = append(k.all, x)
	k.exact[x.Name] = x
	if strings.Contains(x.Name, "*") {
		parts := strings.Split(x.Name, ".")
		k.globs[len(parts)] = append(k.globs[len(parts)], glob{parts, x})
	}
}

// All are all settings: the rows, in the order in which a plan writes them, and then the names
// about which nothing else is known. Nobody may change them.
func All() []*Knob { return settings().all }

// Rows are those of All that are described.
func Rows() []*Knob {
	return slices.DeleteFunc(slices.Clone(All()), func(k *Knob) bool { return !k.IsRow() })
}

// IsRow says whether it is described, and not a name alone.
func (k *Knob) IsRow() bool { return k.Does != "" }

// IsSysctl says whether it is a sysctl.
func (k *Knob) IsSysctl() bool {
	return k.Field == "" && IsSysctl(strings.ReplaceAll(k.Name, "*", "all"))
}

// Find is the setting of a name: the one that is spelled so, or else the one whose "*" stands for a
// part of it. It is nil where there is none.
func Find(key string) *Knob { return settings().find(key) }

// Lookup is the described setting of a name, whichever of its names that is; nil where there is
// none.
func Lookup(key string) *Knob {
	for _, name := range []string{key, Main(key)} {
		if k := Find(name); k != nil && k.IsRow() {
			return k
		}
	}
	return nil
}

// InNetns says whether the value of a sysctl is another, or is not there, in another network
// namespace: then what was written in one is not to be looked for in another.
func InNetns(key string) bool {
	root, _, _ := strings.Cut(key, ".")
	return root == "net"
}

// Plannable says whether a plan may change a setting.
func Plannable(key string) bool {
	k := Lookup(key)
	return k != nil && k.IsSysctl() && k.Plan != nil
}

func (k known) find(key string) *Knob {
	if x, ok := k.exact[key]; ok {
		return x
	}
	n := strings.Count(key, ".") + 1
	if k.globs[n] == nil {
		return nil
	}
	parts := strings.Split(key, ".")
	for _, x := range k.globs[n] {
		if fits(x.parts, parts) {
			return x.Knob
		}
	}
	return nil
}

// fits compares part by part, of which there are as many; "*" stands for any one part.
func fits(pattern, parts []string) bool {
	for i, p := range pattern {
		if p != "*" && p != parts[i] {
			return false
		}
	}
	return true
}

// Turn is when a plan writes a setting, by its name or field: settings come after those that have
// to be written before them. One that is not described comes after all sysctls.
func Turn(name string) int {
	if i, ok := settings().turn[name]; ok {
		return i
	}
	return len(catalogue)
}

// parseName reads a line of names.txt.
func parseName(words []string) *Knob {
	k := &Knob{Name: words[0]}
	if strings.HasPrefix(k.Name, "net.") {
		k.Scope = PerNetns
	}
	if strings.HasPrefix(k.Name, trackPrefix) {
		k.Module = Tracking
	}
	for _, w := range words[1:] {
		field, value, _ := strings.Cut(w, "=")
		switch field {
		case "since":
			k.Since = parseSpan(value)
		case "until":
			k.Until = parseSpan(value)
		case "readonly":
			k.Scope.ReadOnly = parseSpan(value)
		case "netns":
			if value == "no" {
				k.Scope = InitialOnly
			} else {
				k.Scope = PerNetnsSince(parseSpan(value))
			}
		}
	}
	return k
}

// parseSpan reads "4.12" or "4.10..4.12".
func parseSpan(text string) Span {
	a, b, isRange := strings.Cut(text, "..")
	if !isRange {
		a, b = "", a
	}
	after, _ := host.ParseVersion(a)
	by, _ := host.ParseVersion(b)
	return Span{after, by}
}
