package host

import (
	"encoding/binary"
	"net/netip"
	"strings"
)

// redacted says how facts of one kind are redacted. text is for the value of a fact that is no
// table's row, fields for the fields of rows and for single facts by name; what is not named is a
// figure.
type redacted struct {
	name   hide
	text   hide
	fields map[string]hide
}

// redaction has every kind; a test fails for one that is not here.
var redaction map[Kind]redacted

func init() { // moved refers to the table
	holder := map[string]hide{"process": named("process"), "cgroup": cgroup}
	redaction = map[Kind]redacted{
		SystemKind: {name: kept, fields: map[string]hide{
			"name": named("host"), "netns-name": named("netns"), "kernel": release,
			"user":  user,
			"scope": kernelWord, "bound-sockets": kernelWord, "holders": kernelWord,
			"cgroup-options": kernelWord, "lsm": kernelWord, "os": kernelWord,
		}},
		SysctlKind: {name: sysctlName, text: kernelWord, fields: map[string]hide{
			"kernel.hostname": named("host"), "kernel.domainname": named("host"),
		}},
		CounterKind:   {name: kept},
		SockstatKind:  {name: kept},
		MeminfoKind:   {name: kept},
		LoadavgKind:   {name: kept},
		SoftnetKind:   {name: kept},
		ConntrackKind: {name: kept},
		NeighbourKind: {name: kept},
		RulesetKind:   {name: kept, text: kernelWord},
		RuleKind: {name: rule, fields: map[string]hide{
			"count": kernelWord, "rate": kernelWord, "seconds": kernelWord,
			"burst": kernelWord, "verdict": kernelWord, "packets": kernelWord,
			"hooks": kernelWord, "protocol": kernelWord, "port": kernelWord,
		}},
		SNATKind: {name: rule, fields: map[string]hide{"to": addresses,
			"ports": kernelWord, "protocol": kernelWord}},
		NATKind:        {name: sockets},
		UnresolvedKind: {name: sockets, fields: map[string]hide{"link": device}},
		SlabKind:       {name: kept},
		ProtocolKind:   {name: kept},
		LinkKind: {
			name: device,
			fields: map[string]hide{"kind": kernelWord, "qdisc": kernelWord,
				"backlog": kernelWord},
		},
		QdiscKind: {
			name: qdisc,
			fields: map[string]hide{"kind": kernelWord, "link": device,
				"unit": kernelWord},
		},
		AddressKind:  {name: sockets, fields: map[string]hide{"link": device}},
		ListenerKind: {name: sockets, fields: holder},
		InboundKind:  {name: sockets, fields: holder},
		OutboundKind: {name: sockets, fields: holder},
		SourceKind:   {name: sockets},
		BinderKind:   {name: figure, fields: holder},
		PortsKind:    {name: kept},
		ProcessKind: {name: figure, fields: map[string]hide{
			"name": named(
				"process",
			), "state": letter, "unit": unit, "cgroup": cgroup, "pids_cgroup": cgroup,
			"own_limit_name": kernelWord, "own_limit_counts": kernelWord,
			"unseen_cgroup": kernelWord, "unseen_tables": kernelWord,
			"frozen": kernelWord, "confined": named("profile"), "filters": kept,
		}},
		FilterKind: {name: figure, fields: map[string]hide{"hook": kernelWord,
			"program": named("program"), "at": cgroup, "refuses": kernelWord}},
		AllowanceKind: {name: device, fields: map[string]hide{"driver": kernelWord}},
		DatapathKind:  {name: mapName, fields: map[string]hide{"type": kernelWord}},
		RouteKind:     {name: kept},
		FeatureKind:   {name: kept, text: kernelWord},
		CgroupKind:    {name: cgroup, fields: map[string]hide{"above": kernelWord}},
		UserKind:      {name: figure},
		RestKind:      {name: kept},
		HolderKind: {name: sockets, fields: map[string]hide{"process": named("process"),
			"state": kernelWord}},
		MovedKind: {name: moved},
	}
}

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
CAP_NET_ADMIN CAP_SYS_ADMIN CPU CapEff EOF GRO Hard IDs Limit Linux Max NAPI NETLINK_SOCK_DIAG NFS
NLMSG_ERROR PID Soft State TCP TCPv6 a above accept address addresses after again all alone already
an and another any appears are argument as ask at attribute available bad be because been before
begin begins behind between beyond bind blame blocked bound broken buffer busy but by byte bytes
cache call called calls cancelled cannot cgroup cgroups chains changed child close closed column
columns connect connection connections container context controller cookie could counter counters
cpus cut datagram deadline deleted denied depends descriptor descriptors destinations device devices
did directory disciplines distribution do does down driver dump during eBPF else empty end ended
entries errno error exceeded exist exists expected family few fewer field fields file files find
firewall first five follow follows for found from function further gets gives gone gro had hands
hard has have header held here hexadecimal hidden hidepid hides hierarchy hold holds host how i/o id
if implemented in inet_diag initial inode input/output instance instances instead interrupted into
invalid io ioctl is it its itself kB kernel key kind lacks large larger last left length less letter
limit line lines link list listed listeners listening lists load loaded local long longer looked
lost lower malformed many masked maxconn may memory message messages missing module more most mount
mounted name names namespace namespaces needs net netlink network new newline nf_conntrack nf_tables
no nobody none not nothing number number:controllers:path numbers of off on one only open opened
operation or ordinary os-release other others otherwise out output outside over own owner owners
packet packets page pages parentheses parse per-CPU permission permitted pid polls port ports
process processes program protocol qdisc queue queueing queues ran rather read readable reading
reason receive receives refused release reply resource rest room root row rows rule rules run
running/threads say see seen sent set setting settings several short shown shows since size slabinfo
small snapshot snmp so sock_diag socket sockets soft some space start stat state states statistics
steering stream struct such supported sysctl system table tables take taken tell temporarily than
that the their them there these they this those threads three through time timed times to too
tracking truncated try twice type uid unavailable under unexpected unknown until up use used user
users value values version visible waiting want was were what where whether which while who whole
with without word words work would write written wrong yet you zero
`)

// kernelWords are the kinds of devices (IFLA_INFO_KIND: struct rtnl_link_ops of Linux 6.18, and
// those of package link), the queueing disciplines (net/sched/sch_*.c), the ways to control
// congestion (net/ipv4/tcp_*.c), and the words that package observe has for the like; hooks of
// cgroups, security modules, distributions, drivers, maps of datapaths.
var kernelWords = setOf(`
amt bareudp batadv bond bridge caif can dsa dummy erspan geneve gre gretap gtp hardware hsr ifb
ip6erspan ip6gre ip6gretap ip6tnl ipip ipoib ipvlan ipvtap loopback lowpan macsec macvlan macvtap
netdevsim netkit nlmon openvswitch ovpn pfcp ppp rmnet sit team tun vcan veth virt_wifi vlan vrf
vsockmon vti vti6 vxcan vxlan wireguard wwan xfrm
bfifo blackhole bpf cake cbq cbs choke clsact codel drr dualpi2 etf ets fq fq_codel fq_pie gred
hfsc hhf htb ingress mq mqprio multiq netem noop noqueue pfifo pfifo_fast pfifo_head_drop pie plug
prio qfq red sfb sfq skbprio taprio tbf teql
bbr bic cdg cubic dctcp highspeed htcp hybla illinois lp nv reno scalable vegas veno westwood yeah
bytes child eBPF gro_cells initial listed napi netif_rx packets rps
accept any drop filter forward goto input ip ip6 inet jump mangle masquerade nat none output
postrouting prerouting raw reject return same security unknown
maybe none unread sock_create bind4 bind6 post_bind4 post_bind6 connect4 connect6 ingress egress
ingress,egress lsm
capability selinux smack tomoyo apparmor yama loadpin safesetid lockdown landlock ima evm ipe
almalinux alpine amzn arch centos debian fedora ol opensuse-leap rhel rocky sles ubuntu
ena gve mana hv_netvsc virtio_net vmxnet3 e1000 e1000e igb ixgbe ixgbevf i40e iavf ice mlx4_en
mlx5_core bnxt_en r8169 bonding
hash lru_hash cilium_ct4_glob cilium_ct6_glob cilium_ct_any4_ cilium_ct_any6_ cilium_snat_v4_
cilium_snat_v6_ cali_v4_ct cali_v4_ct2 cali_v4_ct3 cali_v4_ct4 cali_v6_ct cali_v6_ct2 cali_v6_ct3
cali_v6_ct4
`)

func setOf(words string) map[string]bool {
	set := map[string]bool{}
	for word := range strings.FieldsSeq(words) {
		set[word] = true
	}
	return set
}

// sockets hides the addresses of a listener ("address:port", "address:port~2"), of a flow
// ("source->destination:port") or of a local address.
func sockets(x *redactor, name string) string {
	ends := strings.Split(name, "->")
	for i, end := range ends {
		end, member, isMember := strings.Cut(end, "~")
		ends[i] = x.endpoint(end)
		if isMember {
			ends[i] += "~" + figure(x, member)
		}
	}
	return strings.Join(ends, "->")
}

// rule hides the names of table and chain in "family/table/chain#handle".
func rule(x *redactor, name string) string {
	family, rest, _ := strings.Cut(name, "/")
	at := strings.LastIndexByte(rest, '#')
	if at < 0 {
		return x.standIn("rule", name)
	}
	return kernelWord(x, family) + "/" + x.standIn("chain", family+"/"+rest[:at]) + "#" +
		figure(x, rest[at+1:])
}

// addresses hides a range of addresses; words for others stay.
func addresses(x *redactor, text string) string {
	if kernelWords[text] {
		return text
	}
	ends := strings.Split(text, "-")
	for i := range ends {
		ends[i] = x.endpoint(ends[i])
	}
	return strings.Join(ends, "-")
}

// endpoint hides one address, with or without a port; "*" is any.
func (x *redactor) endpoint(text string) string {
	if a, err := netip.ParseAddr(text); err == nil {
		return x.address(a).String()
	}
	if a, err := netip.ParseAddrPort(text); err == nil {
		return netip.AddrPortFrom(x.address(a.Addr()), a.Port()).String()
	}
	host, port, hasPort := strings.Cut(text, ":")
	if host == "*" && (!hasPort || isFigure(port)) || text == "" || isFigure(text) {
		return text
	}
	return x.standIn("address", text)
}

// address is the stand-in: 240.0.0.0/4 and 2001:db8::/32 belong to nobody. An address of IPv4 that
// is written in IPv6 stays one.
func (x *redactor) address(a netip.Addr) netip.Addr {
	switch {
	case a.IsLoopback() || a.IsUnspecified():
		return a.WithZone("")
	case a.Is4In6():
		return netip.AddrFrom16(x.address(a.Unmap()).As16())
	}
	if _, ok := x.addresses[a]; !ok {
		if a.Is4() {
			x.v4++
			x.addresses[a] = netip.AddrFrom4(
				[4]byte{240, byte(x.v4 >> 16), byte(x.v4 >> 8), byte(x.v4)},
			)
		} else {
			x.v6++
			b := [16]byte{0x20, 0x01, 0x0d, 0xb8}
			binary.BigEndian.PutUint32(b[12:], x.v6)
			x.addresses[a] = netip.AddrFrom16(b)
		}
	}
	return x.addresses[a]
}
