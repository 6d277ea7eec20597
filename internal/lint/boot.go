package lint

import (
	"path"

	"github.com/maxconn/maxconn/internal/sysctld"
)

// reading is the order in which a program reads files at boot.
type reading struct {
	turn []int // by file: when it is read, -1 for one that is not
	// by file: the one of the same name because of which it is not read, -1 for none
	masked []int
}

// tree is the files of one root, as sysctld knows them.
type tree struct {
	sysctld.Tree
	files  map[string][]int // by path in the tree
	linked bool             // a file of sysctl.d is a link to sysctl.conf
}

// theConf is where sysctl.conf stands below a root.
const theConf = "/etc/sysctl.conf"

// usualLink is where distributions that have one keep the link to sysctl.conf. The NUL
// keeps it apart from a file of that name.
const usualLink = "/etc/sysctl.d/99-sysctl.conf\x00"

// pathOf is where a file stands in the tree of its root.
func (p place) pathOf() string {
	if p.last {
		return theConf
	}
	return "/" + directories[p.rank] + "/" + p.base
}

// trees sorts the files by their roots. Where they are not all that a host reads,
// sysctl.conf is taken to have its usual link.
func trees(files []File, places []place, atBoot []bool, boot bool) map[string]*tree {
	all := map[string]*tree{}
	for i, f := range files {
		if !atBoot[i] {
			continue
		}
		root := places[i].root
		if all[root] == nil {
			all[root] = &tree{files: map[string][]int{}}
		}
		all[root].add(i, f, places[i].pathOf())
	}
	for _, t := range all {
		if !boot && !t.linked && t.files[theConf] != nil {
			t.Files = append(t.Files, sysctld.File{Path: usualLink, Target: theConf})
		}
	}
	return all
}

func (t *tree) add(i int, f File, at string) {
	switch {
	case f.Same != "":
		t.linked = true
		t.Files = append(t.Files, sysctld.File{Path: at, Target: theConf})
		return
	case t.files[at] == nil:
		t.Files = append(t.Files, sysctld.File{Path: at})
	}
	t.files[at] = append(t.files[at], i)
}

// readingOf is how a program reads the files of all roots.
func readingOf(p sysctld.Program, all map[string]*tree, files int) reading {
	r := reading{turn: nowhere(files), masked: nowhere(files)}
	for _, t := range all {
		first := map[string]int{} // by name: the file that is read
		for turn, f := range t.Order(p) {
			at := f.Path
			if f.Target != "" {
				at = f.Target
			}
			for _, i := range t.files[at] {
				r.turn[i] = turn
				first[path.Base(f.Path)] = i
			}
		}
		r.mask(t, first)
	}
	return r
}

// mask notes which files are skipped because another has the same name.
func (r reading) mask(t *tree, first map[string]int) {
	for at, same := range t.files {
		for _, i := range same {
			if winner, ok := first[path.Base(at)]; ok && r.turn[i] < 0 &&
				at != theConf {
				r.masked[i] = winner
			}
		}
	}
}

// nowhere is as many times -1.
func nowhere(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = -1
	}
	return out
}
