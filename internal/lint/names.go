package lint

import (
	_ "embed"
	"strings"
	"sync"
)

//go:embed names.txt
var namesText string

// name is a sysctl that Linux has or had.
type name struct {
	key      string // "net.ipv4.conf.*.rp_filter"
	since    span
	until    span
	netns    span // of each network namespace since then
	initial  bool // in the initial network namespace alone, always
	readonly span // read-only in other network namespaces since then
	spelled  spelling
	parts    []string // of a key with "*"
	path     string   // below /proc/sys, with "all" for "*"
}

// known is the list of names.txt.
type known struct {
	exact map[string]*name
	globs map[int][]*name // those with "*", by the number of their parts
	all   []*name
}

// knownNames reads the list once.
var knownNames = sync.OnceValue(func() known {
	k := known{exact: map[string]*name{}, globs: map[int][]*name{}}
	for line := range strings.Lines(namesText) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		n := parseName(words)
		k.all = append(k.all, n)
		k.exact[n.key] = n
		if strings.Contains(n.key, "*") {
			n.parts = strings.Split(n.key, ".")
			k.globs[len(n.parts)] = append(k.globs[len(n.parts)], n)
		}
	}
	return k
})

func parseName(words []string) *name {
	n := &name{key: words[0], spelled: spell(words[0]), path: pathOf(words[0])}
	for _, w := range words[1:] {
		field, value, _ := strings.Cut(w, "=")
		switch field {
		case "since":
			n.since = parseSpan(value)
		case "until":
			n.until = parseSpan(value)
		case "readonly":
			n.readonly = parseSpan(value)
		case "netns":
			version, rest, _ := strings.Cut(value, ",")
			n.initial = version == "no"
			if !n.initial {
				n.netns = parseSpan(version)
			}
			if rest == "readonly" {
				n.readonly = n.netns
			}
		}
	}
	return n
}

// find returns the name of the list that the key is one of, or nil.
func (k known) find(key string) *name {
	if n, ok := k.exact[key]; ok {
		return n
	}
	n := strings.Count(key, ".") + 1
	if k.globs[n] == nil {
		return nil
	}
	parts := strings.Split(key, ".")
	for _, n := range k.globs[n] {
		if fits(n.parts, parts) {
			return n
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

// connectionNames are those about connections that have a rule.
var connectionNames = sync.OnceValue(func() (found []*name) {
	for _, n := range knownNames().all {
		if isTCP(n.key) && ruleOf(n.key) != nil {
			found = append(found, n)
		}
	}
	return found
})
