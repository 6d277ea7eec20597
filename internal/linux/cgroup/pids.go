package cgroup

// Pids is what limits the number of threads of a process.
type Pids struct {
	Place  Place
	Levels []PidsLevel // from the process's own group upwards
	Above  bool        // there are ancestors above the last level that cannot be seen from here
}

// PidsLevel is one group and the threads in it and in all groups below it. The
// root of a hierarchy keeps none of these figures.
type PidsLevel struct {
	Path string // from the topmost visible group
	Dir  string

	Limit Amount // pids.max
	Usage Amount // pids.current, threads

	// Refused is how many times a fork was refused. RefusedHere tells what
	// that counts: the limit of this very group, or else forks of this group's
	// own threads, whichever ancestor's limit refused them (version 1, and
	// version 2 before pids.events.local, 6.11, 3f26a885a068).
	Refused     Amount
	RefusedHere bool
}

// Pids reads the levels of a place that Locate found for "pids". Figures that
// cannot be read are errors in their Amounts.
func (t *Tree) Pids(place Place) Pids {
	p := Pids{Place: place, Above: !isWholeTree(place)}
	for _, at := range place.levels() {
		l := PidsLevel{
			Path:  at.path,
			Dir:   at.dir,
			Limit: readAmount(at.dir, "pids.max"),
			Usage: readAmount(at.dir, "pids.current"),
		}
		l.Refused, l.RefusedHere = readEvents(at.dir, "pids.events")
		p.Levels = append(p.Levels, l)
	}
	return p
}
