package lint

import (
	"slices"
	"strings"
	"sync"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
	"github.com/maxconn/maxconn/internal/near"
)

// latest is the newest kernel whose sources were read.
var latest = host.V(6, 18)

// oldest is the oldest one.
var oldest = host.V(4, 4)

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

// longestName is the length from which a text is no misspelt name.
const longestName = 80

// spelling is a name in the ways in which it is compared.
type spelling struct {
	whole, joined, last near.Word
	words               []string
}

func spell(s string) spelling {
	return spelling{near.Counted(s), near.Counted(strings.Map(lettersOnly, s)),
		near.Counted(knob.Last(s)),
		strings.FieldsFunc(s, func(r rune) bool {
			return r == '.' || r == '_' || r == '/'
		})}
}

// lettersOnly takes the separators out.
func lettersOnly(r rune) rune {
	if strings.ContainsRune("./_-", r) {
		return -1
	}
	return r
}

// mostSpelled bounds how many words are compared with the real names, which takes about 10
// microseconds each.
const mostSpelled = 10_000

const tooManySpelled = "These files have that many names that no kernel has that not all of " +
	"them are compared with the real ones."

// spellings are the nearest names of words that were asked for. Of nil nothing is
// remembered, and nothing is too much.
type spellings struct {
	known map[string][]string
	full  bool // words were not compared because there were too many
}

func (s *spellings) nearest(word string) []string {
	if s == nil {
		return nearestNames(word)
	}
	names, known := s.known[word]
	switch {
	case known:
		return names
	case len(s.known) >= mostSpelled:
		s.full = true
		return nil
	case s.known == nil:
		s.known = map[string][]string{}
	}
	names = nearestNames(word)
	s.known[word] = names
	return names
}

// nearestNames are up to five real names that are spelled alike, nearest first. Besides
// slips inside a name it finds parts left out, parts too many, and separators that are
// wrong: net.ipv4_timestamps, tcp_tw_reuse, net.core.tcp_rmem.
func nearestNames(key string) (out []string) {
	if len(key) > longestName {
		return nil
	}
	type candidate struct {
		name string
		d    int
	}
	var all []candidate
	most := max(2, len(key)/5)
	written := spell(strings.ToLower(key))
	known, outlines := knownNames(), outlines()
	for i := range outlines {
		if outlines[i].isFar(&written, most) {
			continue
		}
		n := &known[i]
		if d := distance(&written, &n.spelled, most); d <= most {
			if isTCP(n.Name) {
				d = 2*d - 1 // of two that are as near, the one about connections
			} else {
				d *= 2
			}
			all = append(all, candidate{n.Name, d})
		}
	}
	slices.SortStableFunc(all, func(a, b candidate) int { return a.d - b.d })
	for _, c := range all[:min(5, len(all))] {
		out = append(out, c.name)
	}
	return out
}

// outline is what tells quickly of most names that they are not meant.
type outline struct{ joined, last near.Word }

// outlines are those of the known names.
var outlines = sync.OnceValue(func() (all []outline) {
	for _, n := range knownNames() {
		all = append(all, outline{n.spelled.joined, n.spelled.last})
	}
	return all
})

// isFar says that the distance is above most: separators only add to what the letters make, a word
// that is left out or put in leaves all others, and the last part may differ by two.
func (o *outline) isFar(key *spelling, most int) bool {
	in, out := key.joined.Differ(&o.joined)
	return max(in, out) > most && in > 0 && out > 0 && key.last.Apart(&o.last) > 2
}

// distance is the number of slips that make one of the other; above most it is just more.
func distance(key, name *spelling, most int) int {
	if key.joined.Text == name.joined.Text {
		return 1
	}
	d := min(key.whole.Edits(&name.whole, most), key.joined.Edits(&name.joined, most-1)+1)
	if d > 2 && oneWordOff(key.words, name.words) {
		d = 2
	}
	switch {
	case len(name.last.Text) >= 8 && key.last.Text == name.last.Text:
		d = min(d, 2)
	case len(name.last.Text) >= 10:
		if slips := key.last.Edits(&name.last, 2); slips <= 2 {
			d = min(d, 2+slips)
		}
	}
	return d
}

// oneWordOff says whether the words of one, in their order, are those of the other but for one.
func oneWordOff(a, b []string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(a) < 3 || len(b)-len(a) != 1 {
		return false
	}
	missing := 0
	for i := range a {
		if missing == 0 && a[i] != b[i] {
			missing = 1
		}
		if a[i] != b[i+missing] {
			return false
		}
	}
	return true
}

// belowProc is the sysctl that a path under /proc/sys names.
func belowProc(path string) (key string, ok bool) {
	rest, ok := strings.CutPrefix(path, knob.Dir)
	if !ok || rest == "" {
		return "", false
	}
	return knob.KeyAt(rest), true
}

// looksLikeKey says whether a word has the form of a sysctl's name in one of the
// directories that there are.
func looksLikeKey(word string) bool {
	key := knob.Key(strings.TrimPrefix(word, "-"))
	_, rest, ok := knob.Cut(key)
	return ok && strings.IndexFunc(rest, func(r rune) bool { return !isKeyRune(r) }) < 0
}

// isKeyRune allows what stands in names of sysctls and devices, and the marks of a glob and
// a shell's variable.
func isKeyRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' ||
		strings.ContainsRune("._-/*?[]@:${}", r)
}
