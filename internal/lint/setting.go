package lint

// form is how a line sets something, and so when it acts and what reads it.
type form uint8

const (
	// key = value of a sysctl.d file: at boot, or when sysctl -p reads it
	asConf      form = iota
	asWrite          // sysctl -w, echo > /proc/sys: now, until the next boot
	asLimits         // a line of limits.conf
	asUlimit         // ulimit, prlimit
	asUnit           // LimitNOFILE= and the like
	asContainer      // ulimits of a compose file
	asQueue          // txqueuelen of a device
	asModule         // modprobe nf_conntrack
	asOption         // options nf_conntrack hashsize=
	asStray          // looks like a setting and is none
	// -key without a value: patterns, and for systemd-sysctl earlier lines, leave the
	// key alone
	asExclude
)

// setting is one thing that a line sets.
type setting struct {
	file int // index of the file
	row  int
	form form
	// canonical; for other forms the item: "nofile", "LimitNOFILE", "txqueuelen"
	key     string
	value   string
	subject string // domain of limits.conf with its type, device, process
	// the command that carries it to another host or a container: "ssh", "docker"
	where string
	// the file that the line writes the setting into, "" where it stands in its own
	target   string
	optional bool   // "-" in front: failing is not reported
	oneWay   string // ">": only raises, "<": only lowers (profiles of TuneD)
	flaw     *Note  // why the line does nothing, whatever it sets
	glob     string // the pattern that stands in the line, where key is one of its matches
	silent   bool   // one match of many: the line is reported once
	// of a line that is reported once: how many names about connections its pattern
	// matches
	matches int
	// again is the row of a later line with the same pattern, 0 for none, and againSame
	// says that it has the same value.
	again     int
	againSame bool
}

// stray is a line that looks like a setting and is none.
func stray(key, value string, why Note) setting {
	return setting{form: asStray, key: key, value: value, flaw: &why}
}
