package lint

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
)

// program judges a setting of a program: what it asks of the kernel, what the kernel gives, and
// which of them binds first.
func (c *evaluation) program() {
	it := c.item
	if c.isMade() || c.value == "auto" {
		c.note(UnknownValue, notKnown+andSo(it.does), it.source)
		return
	}
	if it.is == itsPorts {
		c.programPorts()
		return
	}
	v, err := it.number(c.value)
	switch {
	case err == nil && v == -1 && it.program == "mysql":
		c.note(UnknownValue, "With -1 the server finds the number itself."+andSo(it.does),
			it.source)
	case err != nil && it.is == itsFiles && slices.Contains(noLimit, c.value):
		c.unlimitedFiles()
	case err != nil || v < 0 && it.is != itsQueue:
		c.note(OutOfBounds, "It is not a number that "+it.program+" takes here.", it.source)
	case it.is == itsQueue:
		c.programQueue(v)
	case it.is == itsFiles:
		c.filesTo(v, v)
	case it.is == itsConns:
		c.programConnections(v)
	default:
		c.note(Effective, it.does, it.source)
	}
}

// number is a value as the program reads it: MySQL takes K, M and G behind it (Reference Manual,
// "Using Options to Set Program Variables").
func (it *item) number(value string) (int64, error) {
	value, times, bits := strings.ReplaceAll(value, "_", ""), int64(1), 64
	if n := len(value) - 1; it.program == "mysql" && n > 0 {
		if by := strings.IndexByte("KMG", value[n]&^0x20); by >= 0 {
			value, times, bits = value[:n], 1<<(10*(by+1)), 32
		}
	}
	v, err := strconv.ParseInt(value, 10, bits)
	return v * times, err
}

func andSo(text string) string {
	if text == "" {
		return ""
	}
	return " " + text
}

// programQueue says how long a queue listen() gives.
func (c *evaluation) programQueue(v int64) {
	it := c.item
	asked := v * max(it.times, 1)
	source := it.source + listenDoc
	most, from, ok := c.other("net.core.somaxconn")
	if !ok {
		c.note(Effective, "Asks listen() for a queue of "+count(asked)+"."+andSo(it.does),
			source)
		return
	}
	given := limit.QueueLimit(asked, most)
	asks := fmt.Sprintf("Asks listen() for a queue of %s; net.core.somaxconn is %s (%s)",
		count(asked), count(most), from)
	if given < asked {
		c.note(OutOfBounds, asks+" and binds first: the queue is "+count(given)+
			" long. Raise net.core.somaxconn, or what is asked for is not had."+
			andSo(it.does), source)
		return
	}
	c.note(Effective, asks+": the queue is "+count(given)+" long, and "+c.key+
		" binds first."+andSo(it.does), source)
}

// programFiles is the descriptor limit of the program: as its own setting has it, or as a process
// of its name has it now.
func (c *evaluation) programFiles() (n int64, from string, ok bool) {
	if c.item.files != "" {
		if s, found := c.otherSetting(c.item.files); found && s.form == asProgram {
			if n, err := c.item.number(s.value); err == nil {
				return n, c.item.files + ", " + c.at(s), true
			}
		}
	}
	if row, ok := c.process(c.item.program); ok {
		soft, _ := row.Int("soft")
		return soft, "of the process " + row.Name() + " that runs", true
	}
	return 0, "", false
}

// process is the first process of a program whose limit is known; each program is looked for once.
func (g *env) process(program string) (host.Row, bool) {
	if g.processes == nil {
		g.processes = map[string]*host.Row{}
	}
	if row, asked := g.processes[program]; asked {
		return valueOr(row)
	}
	g.processes[program] = nil
	for _, row := range g.read.Rows(host.ProcessKind) {
		if _, known := row.Int("soft"); known && strings.HasPrefix(row.Text("name"),
			program) {
			g.processes[program] = &row
			break
		}
	}
	return valueOr(g.processes[program])
}

func valueOr(row *host.Row) (host.Row, bool) {
	if row == nil {
		return host.Row{}, false
	}
	return *row, true
}

// programConnections compares connections with the descriptors for them.
func (c *evaluation) programConnections(v int64) {
	it := c.item
	need := v*it.each + it.own
	bounds := "Bounds the connections of a process to " + count(v)
	files, from, ok := c.programFiles()
	switch {
	case !ok:
		c.note(Effective, bounds+", for which it needs "+count(need)+
			" descriptors and a few of its own: its RLIMIT_NOFILE, which is not "+
			"seen here, "+
			"has to be as high (LimitNOFILE= of the unit)."+andSo(it.does), it.source)
	case files < need:
		c.note(OutOfBounds, fmt.Sprintf("%s, and the descriptor limit of %s (%s) binds "+
			"first: %s connections take %s descriptors.%s", bounds, count(files), from,
			count(v), count(need), andSo(it.does)), it.source+"; "+rlimitSource)
	default:
		c.note(Effective, fmt.Sprintf("%s, and binds first: the descriptor limit of %s "+
			"(%s) is enough for them.%s", bounds, count(files), from, andSo(it.does)),
			it.source)
	}
}

// programPorts counts the ports of a range of source ports.
func (c *evaluation) programPorts() {
	_, ports, _ := strings.Cut(c.value, ":")
	text, end, _ := strings.Cut(ports, "-")
	low, err1 := strconv.ParseInt(text, 10, 64)
	high, err2 := strconv.ParseInt(end, 10, 64)
	if err1 != nil || err2 != nil || low < 1 || high > 65535 || low > high {
		c.note(OutOfBounds, "It is not a range of ports.", c.item.source)
		return
	}
	c.note(Effective, "Gives "+count(high-low+1)+" source ports, and so as many connections "+
		"to each server from this address. The ports are bound explicitly: "+
		"net.ipv4.ip_local_port_range does not bound them, and a port that the kernel "+
		"gave to another program is not had unless it is in "+
		"net.ipv4.ip_local_reserved_ports.",
		c.item.source+"; net/ipv4/inet_connection_sock.c inet_csk_get_port")
}
