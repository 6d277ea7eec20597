package limit

import (
	"strings"

	"github.com/maxconn/maxconn/internal/encode"
	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/host"
)

// mostOpen is the largest fs.nr_open (fs/file.c sysctl_nr_open_max, 64 bits); usualOpen is
// what it is where nobody set it.
const (
	mostOpen  = 2147483584
	usualOpen = 1 << 20
)

// lift lets the process hold that many connections: up to the next power of two of
// descriptors, or to a limit on the way that is high enough. What bounds that limit is
// raised before it: fs.nr_open, the hard limit, the soft limit.
func (t fileTable) lift(need int64) []Remedy {
	need = min(need, mostFiles)
	total := (need + t.other() + t.tables - 1) / t.tables
	if total > mostOpen {
		return []Remedy{{
			Kind: ByTopology,
			Text: "no process can have more than " + figure.Count(mostOpen) +
				" descriptors: more " +
				"processes",
			TakesEffect: AtStart,
		}}
	}
	want := min(roundUp(total), mostOpen)
	// the last word has the hard limit, which nobody has to be asked for
	for _, bound := range []int64{t.nrOpen, t.hard} {
		if bound >= total && bound < want {
			want = bound
		}
	}
	sum := t.sum(need, want)
	var out []Remedy
	if top := max(t.hard, want); t.nrOpen > 0 && top > t.nrOpen && top < noCeiling {
		out = append(out, t.raiseNrOpen(top))
	}
	if t.hardKnown && want > t.hard {
		hard := t.raiseHard(want)
		hard.Sum = "the soft limit cannot be above it: " + sum
		if t.nrOpen > 0 || want <= usualOpen {
			hard.Change = t.setting("hard", want)
		}
		out, t.hard = append(out, hard), want
	}
	soft := t.raiseSoft(want)
	soft.Sum = sum
	if t.hardKnown && (t.hard < noCeiling || t.nrOpen == 0) {
		soft.Change = t.setting("soft", want)
	}
	return append(append(out, soft, t.nextStart(want)), t.ownBound(need)...)
}

// setting is the change of a field of the process's row.
func (t fileTable) setting(field string, to int64) host.Setting {
	return host.Setting{Fact: host.Fact{Kind: host.ProcessKind,
		Name: itoa(t.pid) + "#" + field}, Want: itoa(to)}
}

func (t fileTable) sum(need, want int64) string {
	text := figure.Count(need) + " connections"
	if n := t.other(); n > 0 {
		text += " + " + figure.Count(n) + " descriptors for something else = " +
			figure.Count(need+n)
	}
	if want == roundUp(want) {
		return text + ", up to the next power of two"
	}
	return text + "; " + figure.Count(want) + " is a bound that is there and enough"
}

// raiseNrOpen comes before a hard limit above it. While one is, prlimit() refuses every new
// limit, lower ones too (kernel/sys.c do_prlimit compares rlim_max).
func (t fileTable) raiseNrOpen(want int64) Remedy {
	return Remedy{Kind: BySetting, Setting: "fs.nr_open", From: itoa(t.nrOpen), To: itoa(want),
		TakesEffect: Now,
		Text: "allow hard limits of descriptors above " + figure.Count(t.nrOpen) +
			"; raises no process's limit by itself",
		Change: host.Setting{Fact: host.Sysctl("fs.nr_open"), Want: itoa(want)},
		Sum: "no limit can be set while the hard one is above it, and that has to be " +
			figure.Count(want),
		Cost: "none by itself",
		Risk: "one value for the host; programs started later with an unlimited " +
			"descriptor limit get this number, and some walk over all of it",
		Lasts: untilBoot,
	}
}

// tableCost is what a descriptor table takes: a pointer and three bits a descriptor
// (fs/file.c alloc_fdtable).
func tableCost(descriptors int64) string {
	return "none by itself; a table of " + figure.Count(descriptors) +
		" descriptors in use takes " + mebibytes(descriptors*8+descriptors*3/8) +
		" of kernel memory, each connection in it about " + IdleSize
}

// ownBound tells of a bound that the program has beside the kernel's, by the name of the
// program: nobody sees it from outside.
func (t fileTable) ownBound(need int64) []Remedy {
	var name string
	switch t.name {
	case "nginx":
		name = "worker_connections (512 unless set; clients and upstreams of one " +
			"worker together)"
	case "haproxy":
		name = "maxconn (global and frontend; computed from the descriptor limit at " +
			"its start)"
	case "redis-server", "valkey-server":
		name = "maxclients (10000 unless set, cut to the descriptor limit at its start)"
	case "postgres":
		name = "max_connections (100 unless set)"
	case "mysqld", "mariadbd":
		name = "max_connections (151 unless set)"
	case "apache2", "httpd":
		name = "MaxRequestWorkers"
	case "memcached":
		name = "-c (1024 unless set)"
	default:
		return nil
	}
	return []Remedy{{Kind: ByApplication, Setting: name,
		TakesEffect: AtStart, Also: true,
		Text: who(t.name, t.pid) +
			" has a bound of its own that is not seen from outside; it has to allow " +
			figure.Count(need) + " connections " +
			"as well"}}
}

// unknown is the field without which nothing can be said, "" where it has all.
func (t fileTable) unknown() string {
	for _, name := range []string{"soft", "files"} {
		if t.row.Text(name) == "" && t.pid > 0 {
			return name
		}
	}
	return ""
}

func (t fileTable) subject() Subject {
	return Subject{Kind: Process, Name: who(t.name, t.pid), Process: t.name, PID: t.pid}
}

// remedies raise the limit to the next power of two that holds that many descriptors, in
// the order in which they can be had.
func (t fileTable) remedies(need int64) []Remedy {
	var out []Remedy
	if t.loose() {
		out = append(out, Remedy{Kind: ByApplication, TakesEffect: AtStart,
			Text: "close every socket whose connect() failed or that is not used " +
				"(socket() without close()); a higher limit only postpones the " +
				"end"})
	}
	if t.leak {
		out = append(out, Remedy{Kind: ByApplication,
			TakesEffect: AtStart,
			Text: "close connections whose peer has closed (read() returned " +
				"0); a higher limit only postpones the end"})
	}
	want := roundUp(need)
	if !t.hardKnown || t.hard > t.soft {
		out = append(out, t.raiseSoft(want))
	}
	if t.hardKnown && want > t.hard {
		out = append(out, t.raiseHard(want))
	}
	return append(out, t.nextStart(want))
}

// raiseSoft needs nobody's leave, and no restart.
func (t fileTable) raiseSoft(want int64) Remedy {
	text := "raise the soft limit of the running process; the same user may do it, up to " +
		"the hard limit"
	switch {
	case !t.hardKnown:
		text += ", which could not be seen"
	case want > t.hard:
		want = t.hard
		text += ", which is less than needed"
	}
	return Remedy{Kind: Live, Setting: "prlimit --pid " + itoa(t.pid) + " --nofile=" +
		itoa(want) + ":", From: itoa(t.soft), To: itoa(want), TakesEffect: Now,
		Text: text + "; of no use to a program with a bound of its own (nginx " +
			"worker_connections, select() above 1,023)",
		Cost: tableCost(want),
		Risk: "of no use to a program with a bound of its own; one that uses select() " +
			"breaks at descriptor 1,024 and above",
		Lasts: "until the process ends; for the next start: " + t.nextStart(want).Text}
}

// needsResource is who may raise a hard limit (kernel/sys.c do_prlimit).
const needsResource = "needs CAP_SYS_RESOURCE in the initial user namespace: root of the host, " +
	"not of a container"

// raiseHard is for root of the host alone.
func (t fileTable) raiseHard(want int64) Remedy {
	text := "raise both limits of the running process; " + needsResource
	if t.nrOpen > 0 && want > t.nrOpen {
		text += "; above fs.nr_open = " + itoa(t.nrOpen) +
			" it is refused with EPERM, raise that first"
	}
	return Remedy{Kind: Live, Setting: "prlimit --pid " + itoa(t.pid) + " --nofile=" +
		itoa(want) + ":" + itoa(want), From: itoa(t.hard), To: itoa(want),
		TakesEffect: Now, Text: text,
		Cost: "none by itself",
		Risk: needsResource, Lasts: "until the process ends"}
}

// nextStart keeps the limit over a restart.
func (t fileTable) nextStart(want int64) Remedy {
	out := Remedy{
		Kind:        BySetting,
		From:        itoa(t.soft),
		To:          itoa(want),
		TakesEffect: AtStart,
	}
	switch {
	case strings.HasSuffix(t.unit, ".service"):
		out.Setting = "LimitNOFILE of " + t.unit
		out.Text = "a drop-in (systemctl edit " + encode.CommandWord(t.unit) +
			") with [Service] LimitNOFILE=" +
			itoa(want) + keepHard(t.hard, want)
	case t.unit != "":
		out.Setting = "limit of the program that starts " + t.unit
		out.Text = "a container: --ulimit nofile=" + itoa(want) + keepHard(t.hard, want) +
			" of its runtime; a login session: limits.conf"
	default:
		out.Setting = "ulimit -n"
		out.Text = t.ulimit(want) +
			" in the shell or script that starts it; a service takes LimitNOFILE= " +
			"of its unit, limits.conf acts on login sessions only"
	}
	if t.nrOpen > 0 && want > t.nrOpen {
		out.Text += "; raise fs.nr_open (" + itoa(t.nrOpen) + ") first"
	}
	return out
}

// ulimit is the command that raises the soft limit, or both where the hard one is too low.
func (t fileTable) ulimit(want int64) string {
	if t.hardKnown && want > t.hard {
		return "ulimit -n " + itoa(want) + " (as root, the hard limit is lower)"
	}
	return "ulimit -Sn " + itoa(want)
}

// keepHard writes the hard limit behind the soft one, so that it is not lowered.
func keepHard(hard, want int64) string {
	if hard > want && hard < noCeiling {
		return ":" + itoa(hard)
	}
	return ""
}
