package lint

import (
	"slices"
	"strings"
	"sync"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
)

// latest is the newest kernel whose sources were read.
var latest = host.V(6, 18)

// oldest is the oldest one.
var oldest = host.V(4, 4)

// ValidKernel says whether a text names a kernel release, such as "4.9".
func ValidKernel(text string) bool {
	_, err := host.ParseRelease(text)
	return err == nil
}

// name is a sysctl that Linux has or had, in the ways in which it is compared.
type name struct {
	*knob.Knob
	spelled spelling
	path    string // below /proc/sys, with "all" for "*"
}

// knownNames are all of them, sorted.
var knownNames = sync.OnceValue(func() (all []name) {
	for _, k := range knob.All() {
		if k.IsSysctl() {
			path := knob.Path(strings.ReplaceAll(k.Name, "*", "all"))
			all = append(all, name{k, spell(k.Name), path})
		}
	}
	slices.SortFunc(all, func(a, b name) int { return strings.Compare(a.Name, b.Name) })
	return all
})

// connectionNames are those about connections that have a rule.
var connectionNames = sync.OnceValue(func() (found []name) {
	for _, n := range knownNames() {
		if isTCP(n.Name) && ruleOf(n.Name) != nil {
			found = append(found, n)
		}
	}
	return found
})

// isName says whether a text is spelled as a name of the list, a "*" of the list included.
func isName(key string) bool {
	k := knob.Find(key)
	return k != nil && k.Name == key
}
