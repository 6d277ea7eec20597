package host

import "strings"

// reason keeps the words that maxconn and the C library use for reasons, and figures. Another word
// is the name of something: a name of the snapshot has its stand-in, others get one.
func (x *redactor) reason(text string) string {
	return inWords(text, " \t\n", func(word string) string {
		core := strings.Trim(word, `.,;:()"'`)
		if core == "" || reasonWords[core] || isFigure(core) {
			return word
		}
		return strings.Replace(word, core, x.quoted(core), 1)
	})
}

// quoted is the stand-in of a name that a reason quotes.
func (x *redactor) quoted(name string) string {
	if hidden := x.endpoint(name); !strings.HasPrefix(hidden, "address-") {
		return hidden
	}
	for _, word := range []string{"process", "unit", "cgroup", "link", "host", "netns",
		"kernel"} {
		if s, ok := x.names[word+" "+name]; ok {
			return s
		}
	}
	if strings.HasPrefix(name, "/") {
		return cgroup(x, name)
	}
	return x.standIn("name", name)
}

// reasonWords are the words of the reasons in reason.go and package observe, and of the errors of
// reading files and asking the kernel; internal/archtest holds it to them. They are words of
// English, and a name that is one of them tells nothing.
var reasonWords = setOf(`
/proc /proc/loadavg /proc/meminfo /proc/net /proc/net/netstat /proc/net/protocols /proc/net/snmp
/proc/net/sockstat /proc/net/sockstat6 /proc/net/softnet_stat /proc/net/stat /proc/self/limits
/proc/self/mountinfo /proc/self/net /proc/slabinfo /proc/stat /proc/sys 6.8 AF_INET AF_INET6
CAP_SYS_ADMIN CPU CapEff EOF GRO Hard IDs Limit Linux Max NAPI NETLINK_SOCK_DIAG NFS NLMSG_ERROR
PID Soft State TCP TCPv6 a above accept address addresses after again all alone already an and
another any appears are argument as ask at attribute available bad be because been before begin
begins behind between beyond bind blame blocked bound broken buffer busy but by byte bytes cache
call called calls cancelled cannot cgroup cgroups changed child close closed column columns
connect connection connections container context controller cookie could counter counters cpus cut
datagram deadline deleted denied depends descriptor descriptors destinations device devices did
directory disciplines do does down driver dump during else empty end ended entries errno error
exceeded exist exists expected family few fewer field fields file files find first five follow
follows for found from function further gets gone gro had hands hard has have header held here
hexadecimal hidden hidepid hides hierarchy hold holds host how i/o id if implemented in inet_diag
initial inode input/output instance instances instead interrupted into invalid io ioctl is it its
itself kB kernel key kind lacks large larger last left length less letter limit line lines link
list listed listeners listening lists load loaded local long longer looked lost lower malformed
many masked maxconn may memory message messages missing module more most mount mounted name names
namespace namespaces needs net netlink network new newline nf_conntrack no nobody none not nothing
number number:controllers:path numbers of off on one only open opened operation or ordinary other
others otherwise out output outside over own owner owners packet packets page pages parentheses
parse per-CPU permission permitted pid polls port ports process processes program protocol qdisc
queue queueing queues ran rather read readable reading reason receive receives refused release
reply resource rest room root row rows run running/threads see seen sent set setting settings
several short shown shows since size slabinfo small snmp so sock_diag socket sockets soft some
space start stat state states steering stream struct such supported sysctl system table tables
take taken tell temporarily than that the their them there these they this those threads three
through time timed times to too truncated try twice type uid unavailable under unexpected unknown
until up use used user users value values version visible waiting want was were what where whether
which while who whole with without word words work would write written wrong yet you zero
`)

func setOf(words string) map[string]bool {
	set := map[string]bool{}
	for word := range strings.FieldsSeq(words) {
		set[word] = true
	}
	return set
}
