package host

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
			"scope": kernelWord, "bound-sockets": kernelWord,
			"cgroup-options": kernelWord,
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
		SlabKind:      {name: kept},
		ProtocolKind:  {name: kept},
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
			"unseen_cgroup": kernelWord,
		}},
		CgroupKind: {name: cgroup, fields: map[string]hide{"above": kernelWord}},
		UserKind:   {name: figure},
		RestKind:   {name: kept},
		MovedKind:  {name: moved},
	}
}
