package lint

import (
	"path"
	"strings"

	"github.com/maxconn/maxconn/internal/knob"
)

// mostIncluded is how many files are read because others include them.
const mostIncluded = 1000

// mostReferred is how many references of a file are reported.
const mostReferred = 1000

// includes notes a file that this one includes and that is read in a format. What is under a
// directory is meant by a pattern.
func (p *parser) includes(name string, f *format) {
	p.refer(Reference{Line: p.row, What: "it includes " + name, path: name, format: f})
}

// notRead notes what the file refers to and lint does not read.
func (p *parser) notRead(what string) { p.refer(Reference{Line: p.row, What: what}) }

func (p *parser) refer(r Reference) {
	r.What = p.unmasked(r.What)
	switch n := len(p.refers); {
	case n < mostReferred:
		p.refers = append(p.refers, r)
	case n == mostReferred:
		p.refers = append(p.refers, Reference{Line: p.row, What: "and more"})
	}
}

// loads notes the files that sysctl -p, --load and -f read: what this file writes itself is read
// already.
func (p *parser) loads(args []word) {
	for i, a := range args {
		name := a.String()
		if i == 0 {
			name = strings.TrimPrefix(strings.TrimPrefix(name, "-p"), "--load")
			name = strings.TrimPrefix(strings.TrimPrefix(name, "-f"), "=")
		}
		name = p.knownValue(name)
		if name == "" || name == "-" || strings.HasPrefix(name, "-") ||
			strings.HasPrefix(name, "/dev/") || p.wrote[name] {
			continue
		}
		p.refer(Reference{Line: p.row, What: "it loads " + name, path: name,
			format: formatTagged("sysctl")})
	}
}

// knownValue is a word in which variables are put in that have one value.
func (p *parser) knownValue(name string) string {
	return variableUse.ReplaceAllStringFunc(name, func(use string) string {
		if value := p.vars[strings.Trim(use, "${}")]; value != "" {
			return value
		}
		return use
	})
}

// given are the files of a run, with what finds one quickly by its name.
type given struct {
	files  []File
	parsed []*parser
	marked []bool
	by     []inclusion
	byName map[string]int
	byDir  map[string][]int
	more   int // files that were included and not given
	// asked is how often names were compared, or files asked for
	asked int
}

// mostAsked bounds that: no tree that people made comes near.
const mostAsked = 1_000_000

func newGiven(files []File) *given {
	g := &given{byName: map[string]int{}, byDir: map[string][]int{}}
	for _, f := range files {
		g.take(f)
	}
	return g
}

func (g *given) take(f File) int {
	i, name := len(g.files), cleanPath(f.Name)
	g.files, g.parsed, g.marked = append(g.files, f), append(g.parsed, nil),
		append(g.marked, false)
	g.by = append(g.by, inclusion{file: -1})
	if _, known := g.byName[name]; !known {
		g.byName[name] = i
	}
	g.byDir[path.Dir(name)] = append(g.byDir[path.Dir(name)], i)
	return i
}

func cleanPath(name string) string { return path.Clean(strings.ReplaceAll(name, "\\", "/")) }

// candidates are the names that a path may have among the files of a run: below the directory of
// the file that includes it, and for an absolute one, below what that file's own path begins with.
func candidates(from, name string) (all []string) {
	dir := path.Dir(cleanPath(from))
	if !strings.HasPrefix(name, "/") {
		return []string{path.Join(dir, name)}
	}
	all = []string{path.Clean(name)}
	for _, top := range []string{"/etc/", "/usr/"} {
		whole := path.Join("/", cleanPath(from))
		at := strings.Index(whole, top)
		if at < 0 {
			continue
		}
		below := path.Join(whole[:at], name)
		if !path.IsAbs(from) {
			below = strings.TrimPrefix(below, "/")
		}
		all = append(all, below)
	}
	if _, below, ok := strings.Cut(name, "/"+path.Base(dir)+"/"); ok {
		all = append(all, path.Join(dir, below))
	}
	return all
}

// find are the files of the run that a pattern names.
func (g *given) find(pattern string) (found []int) {
	if !knob.IsGlob(pattern) {
		if i, ok := g.byName[pattern]; ok {
			return []int{i}
		}
		return nil
	}
	g.asked += len(g.byDir[path.Dir(pattern)])
	for _, i := range g.byDir[path.Dir(pattern)] {
		if ok, err := path.Match(pattern, cleanPath(g.files[i].Name)); ok && err == nil {
			found = append(found, i)
		}
	}
	return found
}

// follow reads what the files include: a file of the run in the format of what includes it where
// its own name tells none, and one that is not among them where it may be read (Target.Include).
// What is not found stays a reference.
func (j *judge) follow(g *given) {
	for i := 0; i < len(g.files); i++ {
		p := g.parsed[i]
		if p == nil {
			continue
		}
		var left []Reference
		for _, r := range p.refers {
			if r.path == "" || !j.resolve(g, i, r) {
				left = append(left, r)
			}
		}
		p.refers = left
	}
}

// resolve reads what a reference of file i names; ok says that something was found.
func (j *judge) resolve(g *given, i int, r Reference) (ok bool) {
	names := candidates(g.files[i].Name, r.path)
	if by := g.parsed[i].included; by != "" { // nginx means the directory of the first file
		names = append(names, candidates(by, r.path)...)
	}
	for _, pattern := range names {
		if g.asked > mostAsked {
			return false
		}
		found := g.find(pattern)
		if len(found) == 0 && j.on.Include != nil && g.more < mostIncluded {
			g.asked += 100
			for _, f := range j.on.Include(pattern) {
				g.more++
				f.Found = true // whatever is in it, nobody named it
				found = append(found, g.take(f))
			}
		}
		for _, n := range found {
			j.include(g, i, n, r)
		}
		if len(found) > 0 {
			return true
		}
	}
	return false
}

// include reads file n, which file i includes.
func (j *judge) include(g *given, i, n int, r Reference) {
	f := g.files[n]
	if f.Unread != "" || f.Same != "" || notText(f.Text) || n == i {
		return
	}
	if p := g.parsed[n]; p == nil || p.included == "" && formatNamed(f.Name) == nil {
		g.parse(j, n, r.format)
	}
	p := g.parsed[n]
	if p.included != "" {
		return
	}
	p.included, p.includedAt = g.files[i].Name, r.Line
	switch {
	case p.format.by == byWords:
		g.by[n] = inclusion{i, r.Line}
	case p.format.role == tunedRole: // a profile goes over what it includes
		g.by[n] = inclusion{i, 0}
	}
}

// inclusion is the file, -1 for none, that has the settings of another in one of its rows.
type inclusion struct{ file, row int }

// parse reads file n, in a format where one is given.
func (g *given) parse(j *judge, n int, f *format) {
	all, marked := rowsOf(g.files[n].Text)
	g.marked[n] = marked
	if own := formatNamed(g.files[n].Name); f == nil || own != nil && own.by == f.by {
		f = formatOf(g.files[n].Name, all.rest)
	}
	g.parsed[n] = parse(f, all, j.spelled)
}
