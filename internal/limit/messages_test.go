package limit

import (
	"cmp"
	"strings"
	"testing"
)

// What people paste into reports, each from the report behind it, and what is to be said first: a
// limit, an errno with the first call of its cause, or the program whose own bound it is.
var reported = []struct{ text, want, link string }{
	// Go
	{"http: Accept error: accept tcp [::]:443: accept4: too many open files; retrying in 1s",
		"process-files", "https://github.com/drk1wi/Modlishka/issues/117"},
	{"dial tcp :0: too many open files", "process-files",
		"https://github.com/harness/harness/issues/644"},
	{"dial unix /var/run/docker.sock: too many open files", "process-files",
		"https://github.com/harness/harness/issues/644"},
	{"Get http://127.0.0.1:8088/: dial tcp 127.0.0.1:8088: connect: cannot assign requested " +
		"address", "ephemeral-ports",
		"https://github.com/link1st/go-stress-testing/issues/35"},
	{"caused by: Put http://127.0.0.1:80/tests3a1000000000010/000000123540: dial tcp " +
		"127.0.0.1:80: connect: cannot assign requested address)", "ephemeral-ports",
		"https://github.com/markhpc/hsbench/issues/8"},
	{"runtime: failed to create new OS thread (have 772 already; errno=11)", "threads",
		"https://github.com/grafana/loki/issues/227"},
	{"write sysctl key net.ipv4.tcp_challenge_ack_limit: open " +
		"/proc/sys/net/ipv4/tcp_challenge_ack_limit: no such file or directory",
		"proc_sys_lookup", "https://github.com/moby/moby/issues/42858"},
	// Java
	{"java.net.BindException: Cannot assign requested address\n\tat " +
		"sun.nio.ch.Net.connect0(Native Method)", "ephemeral-ports",
		"https://github.com/gatling/gatling/issues/2265"},
	{"java.net.BindException: Cannot assign requested address\n\tat " +
		"sun.nio.ch.Net.bind0(Native Method)", "EADDRNOTAVAIL bind",
		"https://github.com/shevek/ttorrent/issues/2"},
	{"io.netty.channel.AbstractChannel$AnnotatedSocketException: Cannot assign requested " +
		"address: /192.168.0.84:61613\n\tat sun.nio.ch.Net.connect0(Native Method)",
		"ephemeral-ports", "https://github.com/vert-x3/vertx-stomp/issues/43"},
	{"java.net.BindException: Address already in use\n\tat java.base/sun.nio.ch.Net.bind0",
		"ephemeral-ports", "https://github.com/OpenHFT/Chronicle-Wire/pull/787"},
	{"java.lang.OutOfMemoryError: unable to create native thread: possibly out of memory or " +
		"process/resource limits reached", "threads",
		"https://github.com/4thline/cling/issues/240"},
	{"java.lang.OutOfMemoryError: unable to create new native thread", "threads",
		"https://github.com/mattshma/bigdata/issues/32"},
	{"[94.189s][warning][os,thread] Failed to start thread \"Unknown thread\" - " +
		"pthread_create failed (EAGAIN) for attributes: stacksize: 1024k, guardsize: 0k, " +
		"detached.", "threads", "https://github.com/glowroot/glowroot/issues/1011"},
	{"max file descriptors [4096] for elasticsearch process is too low, increase to at least " +
		"[65536]", "process-files",
		"https://github.com/docker-library/elasticsearch/issues/140"},
	{"[1]: max virtual memory areas vm.max_map_count [65530] is too low, increase to at " +
		"least [262144]", "threads", "https://github.com/spujadas/elk-docker/issues/334"},
	// Node
	{"connect EADDRNOTAVAIL 35.224.36.62:8888 - Local (10.128.0.3:0)", "ephemeral-ports",
		"https://github.com/nodejs/help/issues/1242"},
	{"{ [Error: connect EADDRNOTAVAIL] code: 'EADDRNOTAVAIL', errno: 'EADDRNOTAVAIL', " +
		"syscall: 'connect' }", "ephemeral-ports",
		"https://github.com/mallocator/Elasticsearch-Exporter/issues/2"},
	{"code: 'EADDRNOTAVAIL', errno: 'EADDRNOTAVAIL', syscall: 'listen', address: " +
		"'fe80::9c6b:3ddc:9d33:a634', port: 8000", "EADDRNOTAVAIL bind",
		"https://github.com/c8r/gen/issues/4"},
	{"Error: EMFILE: too many open files, watch '/home'", "EMFILE inotify_init",
		"https://github.com/webpack/watchpack/issues/238"},
	{"Error: watch EMFILE", "EMFILE inotify_init",
		"https://github.com/floatdrop/gulp-watch/issues/176"},
	// Python
	{"httpcore.ConnectError: [Errno 99] Cannot assign requested address", "ephemeral-ports",
		"https://github.com/lss233/kirara-ai/issues/529"},
	{"add_watch: cannot watch /var/www/html/hu.myproject/database WD=-1, Errno=No space " +
		"left on device (ENOSPC)", "ENOSPC inotify_add_watch",
		"https://github.com/splitbrain/Watcher/issues/23"},
	{"*** uWSGI listen queue of socket \":3030\" (fd: 4) full !!! (100/100) ***",
		"accept-queue", "https://github.com/unbit/uwsgi/issues/2444"},
	// C, C++, Rust, Erlang
	{"inotify_add_watch: No space left on device", "ENOSPC inotify_add_watch",
		"https://github.com/emcrisostomo/fswatch/issues/232"},
	{"inotify_add_watch failed (No space left on device)", "ENOSPC inotify_add_watch",
		"https://github.com/skilion/onedrive/issues/29"},
	{"error trying to connect: tcp connect error: Cannot assign requested address (os error " +
		"99)", "ephemeral-ports",
		"https://github.com/casper-network/casper-node/issues/3252"},
	{"client(5296): connect error - eaddrnotavail", "ephemeral-ports",
		"https://github.com/emqx/emqtt-bench/issues/221"},
	{"connect failed, error = Cannot assign requested address", "ephemeral-ports",
		"https://github.com/facebookresearch/DCPerf/issues/193"},
	{"libgomp: Thread creation failed: Resource temporarily unavailable", "threads",
		"https://github.com/chenying2016/queries/issues/22"},
	{"accept(4, 0x7fff9864c840, [883955190649061392]) = -1 EMFILE (Too many open files)",
		"process-files", "https://github.com/redis/redis/issues/246"},
	{"dnsmasq: failed to create listening socket for 127.0.0.1: Address already in use",
		"ephemeral-ports", "https://github.com/KiaraGrouwstra/nix-config/issues/45"},
	// nginx
	{"[alert] 25909#0: *164106 1024 worker_connections are not enough while connecting to " +
		"upstream, client: 41.210.155.91, server: _, request: \"GET /medic/ HTTP/1.1\"",
		"nginx", "https://github.com/medic/cht-core/issues/2076"},
	{"nginx: [emerg] bind() to 0.0.0.0:8080 failed (98: Address already in use)",
		"ephemeral-ports", "https://github.com/WWBN/AVideo/issues/989"},
	{"nginx: [emerg] bind() to unix:/dev/shm/h2c.sock failed (98: Address already in use)",
		"EADDRINUSE bind", "https://github.com/XTLS/Xray-examples/issues/68"},
	{"[crit] 4793#4793: *210641 connect() to 198.51.100.7:80 failed (99: Cannot assign " +
		"requested address) while connecting to upstream", "ephemeral-ports",
		"https://github.com/engintron/engintron/issues/938"},
	{"connect() to unix:/var/run/php-fpm.sock failed (11: Resource temporarily unavailable) " +
		"while connecting to upstream", "EAGAIN connect",
		"https://github.com/richarvey/nginx-php-fpm/issues/143"},
	{"2019/09/24 21:38:15 [alert] 5845#5845 bind(6, unix:/var/run/control.unit.sock) failed " +
		"(98: Address already in use)", "EADDRINUSE bind",
		"https://github.com/nginx/unit/issues/321"},
	// HAProxy, Apache, PHP-FPM, sshd
	{"haproxy[110]: Proxy tcp-443 reached process FD limit (maxsock=37563). Please check " +
		"'ulimit-n' and restart.", "process-files",
		"https://github.com/balena-io/open-balena-vpn/pull/193"},
	{"[haproxy.main()] Cannot raise FD limit to 8094, limit is 1024.", "process-files",
		"https://github.com/Tecnativa/docker-socket-proxy/issues/134"},
	{"[haproxy.main()] FD limit (1024) too low for maxconn=4096/maxsock=8203. Please raise " +
		"'ulimit-n' to 8203 or more to avoid any trouble.", "process-files",
		"https://github.com/d2iq-archive/marathon/pull/418"},
	{"(99)Cannot assign requested address: make_sock: could not bind to address " +
		"40.76.89.82:80", "EADDRNOTAVAIL bind",
		"https://github.com/GluuFederation/community-edition-setup/issues/58"},
	{"[mpm_event:error] [pid 921:tid 1991921664] AH00484: server reached MaxRequestWorkers " +
		"setting, consider raising the MaxRequestWorkers setting", "Apache",
		"https://github.com/nextcloud/nextcloudpi/issues/406"},
	{"[error] server reached MaxClients setting, consider raising the MaxClients setting",
		"Apache", "https://github.com/deis/deis/issues/270"},
	{"WARNING: [pool www] server reached pm.max_children setting (5), consider raising it",
		"PHP-FPM", "https://github.com/Novik/ruTorrent/issues/1987"},
	{"sshd[2072]: error: beginning MaxStartups throttling", "OpenSSH",
		"https://github.com/tiiuae/ghaf-infra/pull/194"},
	{"drop connection #11 from [10.142.0.5]:51068 on [10.142.0.17]:22 past MaxStartups",
		"OpenSSH", "https://github.com/scylladb/scylla-cluster-tests/pull/2005"},
	// data bases
	{"FATAL:  sorry, too many clients already", "PostgreSQL",
		"https://github.com/leafo/pgmoon/issues/47"},
	{"pq: remaining connection slots are reserved for non-replication superuser connections",
		"PostgreSQL", "https://github.com/lncapital/torq/issues/1"},
	{"WARNING: The TCP backlog setting of 511 cannot be enforced because " +
		"/proc/sys/net/core/somaxconn is set to the lower value of 128.", "accept-queue",
		"https://github.com/NLnetLabs/unbound/issues/101"},
	{"# You requested maxclients of 10000 requiring at least 10032 max file descriptors.",
		"process-files", "https://github.com/redis/redis/issues/2225"},
	{"# Redis can't set maximum open files to 10032 because of OS error: Operation not " +
		"permitted.", "process-files", "https://github.com/lamby/pkg-redis/issues/8"},
	{"# Creating Server TCP listening socket *:6379: bind: Address already in use",
		"ephemeral-ports", "https://github.com/redis/redis/issues/4227"},
	{"Could not increase number of max_open_files to more than 16364 (request: 20923)",
		"process-files", "https://github.com/geerlingguy/ansible-role-mysql/issues/328"},
	// kernel
	{"[1454500.910215] nf_conntrack: table full, dropping packet", "conntrack",
		"https://github.com/kubernetes/kubernetes/issues/18604"},
	{"kernel: [1694413.644132] nf_conntrack: nf_conntrack: table full, dropping packet",
		"conntrack", "https://github.com/canonical/hotsos/issues/101"},
	{"[843041.359054] neighbour: arp_cache: neighbor table overflow!", "neighbour-table",
		"https://github.com/rtr7/router7/issues/31"},
	{"ipv4: Neighbour table overflow.", "neighbour-table",
		"https://github.com/QubesOS/qubes-issues/issues/355"},
	{"ndisc_cache: neighbor table overflow!", "neighbour-table",
		"https://github.com/freifunk-berlin/bbb-configs/issues/512"},
	{"[375852.589465] TCP: request_sock_TCP: Possible SYN flooding on port 8080. Sending " +
		"cookies.  Check SNMP counters.", "syn-queue",
		"https://github.com/cuberite/cuberite/issues/4596"},
	{"TCP: request_sock_TCPv6: Possible SYN flooding on port 830. Sending cookies. Check " +
		"SNMP counters", "syn-queue", "https://github.com/CESNET/netopeer2/issues/1467"},
	{"[261081.351086] TCP: too many orphaned sockets", "orphans",
		"https://github.com/Ysurac/openmptcprouter/issues/2729"},
	{"[  179.636034] TCP: out of memory -- consider tuning tcp_mem", "tcp-memory",
		"https://github.com/tempesta-tech/tempesta/issues/1763"},
	{"Memory cgroup out of memory: Kill process 24572 (java) score 0 or sacrifice child",
		"cgroup-memory", "https://github.com/kubernetes/kubernetes/issues/56891"},
	{"[ 7063.247407] Memory cgroup out of memory: Killed process 63214 (uwsgi) " +
		"total-vm:3149468kB, anon-rss:164992kB", "cgroup-memory",
		"https://github.com/reportportal/kubernetes/issues/203"},
	{"cgroup: fork rejected by pids controller in /system.slice/icinga2.service", "threads",
		"https://github.com/Icinga/icinga2/issues/4918"},
	{"    128105 connections reset due to unexpected data", "fin-wait",
		"https://github.com/adobe-platform/porter/issues/124"},
	{"    23450 TCP sockets finished time wait in fast timer", "time-wait",
		"https://github.com/adobe-platform/porter/issues/124"},
	// systemd, Docker, sysctl, curl
	{"rpcbind.socket: Failed to listen on sockets: Address already in use", "ephemeral-ports",
		"https://github.com/systemd/systemd/issues/11348"},
	{"Failed to create listening socket: Address already in use", "ephemeral-ports",
		"https://github.com/systemd/systemd/issues/11348"},
	{"driver failed programming external connectivity on endpoint x: Error starting userland " +
		"proxy: listen tcp4 0.0.0.0:55026: bind: address already in use", "ephemeral-ports",
		"https://github.com/docker/for-linux/issues/1278"},
	{"Error starting userland proxy: listen udp 0.0.0.0:53: bind: address already in use",
		"EADDRINUSE bind", "https://github.com/ab77/netflix-proxy/issues/226"},
	{"Bind for 192.168.10.10:443 failed: port is already allocated", "Docker",
		"https://github.com/lmakarov/dde/issues/46"},
	{"sysctl: setting key \"net.ipv4.ip_forward\": Read-only file system",
		"net_ctl_permissions", "https://github.com/IAmStoxe/wirehole/issues/62"},
	{"error: \"Read-only file system\" setting key \"net.ipv4.ip_local_reserved_ports\"",
		"net_ctl_permissions", "https://github.com/moby/moby/issues/10039"},
	{"sysctl: permission denied on key 'net.ipv4.ping_group_range'", "net_ctl_permissions",
		"https://github.com/containers/toolbox/issues/635"},
	{"bash: /proc/sys/net/ipv4/ip_default_ttl: Read-only file system", "net_ctl_permissions",
		"https://github.com/archimg/archlinux/issues/22"},
	{"sysctl: cannot stat /proc/sys/net/ipv4/tcp_syncookies: No such file or directory",
		"proc_sys_lookup", "https://github.com/StreisandEffect/streisand/issues/269"},
	{"curl: (7) Failed to connect to localhost port 32791: Connection refused",
		"ECONNREFUSED connect", "https://github.com/nginx/docker-nginx/issues/50"},
	// Datapaths, routes, programs of cgroups
	{"xx drop (CT: Map insertion failed) flow 0x0 to endpoint 0", "datapath-maps",
		"https://github.com/cilium/cilium/issues/35010"},
	{"xx drop (No mapping for NAT masquerade) flow 0x0 to endpoint 0", "datapath-maps",
		"https://github.com/cilium/cilium/issues/24177"},
	{"[5523.456447] Route cache is full: consider increasing sysctl " +
		"net.ipv[4|6].route.max_size.", "ipv6-route-cache",
		"https://github.com/sonic-net/sonic-mgmt/pull/5053"},
	{"Route cache is full: consider increasing sysctl net.ipv6.route.max_size.",
		"ipv6-route-cache", "net/core/dst.c"},
	{"oidc authenticator: initializing plugin: Get \"https://login.example.com/\": dial tcp " +
		"192.0.2.7:443: connect: operation not permitted", "EPERM connect",
		"https://github.com/cilium/cilium/issues/47378"},
	{"     conntrack_allowance_exceeded: 5214", "cloud-allowance",
		"https://github.com/amzn/amzn-drivers/issues/291"},
	{"audit: type=1400 apparmor=\"DENIED\" operation=\"connect\" profile=\"x\"",
		"connect-filters", "apparmor(7)"},
	{"socket: no more sockets", "ENFILE", "net/socket.c"},
	// The rest are the messages of issue 13; the programs' sources have them.
	{"write /var/log/app.log: no space left on device", "ENOSPC write", "write(2)"},
	{"inotify_init: Too many open files", "EMFILE inotify_init", "inotify_init(2)"},
	{"bind() to [::1]:18080 failed (99: Cannot assign requested address)",
		"EADDRNOTAVAIL bind", "bind(2)"},
	{"connect() to unix:/run/a.sock failed (11: Resource temporarily unavailable)",
		"EAGAIN connect", "connect(2)"},
	{"dial tcp :3001->10.0.0.9:3001: connect: cannot assign requested address",
		"EADDRNOTAVAIL connect", "net.OpError"},
	{"sysctl: permission denied on key \"net.netfilter.nf_conntrack_max\"",
		"net_ctl_permissions", "sysctl(8)"},
	{"768 worker_connections are not enough", "nginx", "ngx_connection.c"},
	{"Connect() failed for backend be: no free ports", "ephemeral-ports",
		"haproxy src/proto_tcp.c"},
	{"sysctl: cannot stat /proc/sys/net/ipv4/tcp_tw_recycle: No such file or directory",
		"proc_sys_lookup", "sysctl(8)"},
}

// The cause that stands in the catalogue is found, and said first.
func TestReportedMessages(t *testing.T) {
	links := 0
	for _, c := range reported {
		if strings.HasPrefix(c.link, "https://") {
			links++
		}
		if have := saidFirst(c.text); have != c.want {
			t.Errorf("%s\n%q:\nhave %s\nwant %s\n%s", c.link, c.text, have, c.want,
				describeMatches(FindSigns(c.text)))
		}
	}
	if links < 60 {
		t.Errorf("%d messages with a link", links)
	}
}

// saidFirst is the limit of the best sign, or whose the first other cause is.
func saidFirst(text string) string {
	if found := FindSigns(text); len(found) > 0 {
		return string(found[0].Limit.ID)
	}
	for _, c := range FindOtherCauses(text) {
		call, _, _ := strings.Cut(c.Call, " ")
		where, _, _ := strings.Cut(c.Source, ";")
		function := where[strings.LastIndexByte(where, ' ')+1:]
		return cmp.Or(c.Program, strings.TrimSpace(c.Errno+" "+call), function)
	}
	return "nothing"
}

func TestEndpointsIn(t *testing.T) {
	for text, want := range map[string]string{
		"dial tcp :3001->10.0.0.9:3001: connect: x":              "local :3001, 10.0.0.9:3001",
		"dial tcp 10.0.0.1:0->10.0.0.9:80: bind: x":              "local 10.0.0.1:0, 10.0.0.9:80",
		"listen tcp :9090: bind: address already in use":         ":9090",
		"Error: listen EADDRINUSE: address in use :::3000":       "[::]:3000",
		"bind() to [::1]:18080 failed (99: Cannot)":              "[::1]:18080",
		"connect EADDRNOTAVAIL 10.0.0.9:80 - Local (10.0.0.3:0)": "10.0.0.9:80, local 10.0.0.3:0",
		"Failed to connect to localhost port 32791: x":           ":32791",
		"on port [::]:443. Sending":                              "[::]:443",
		"http://127.0.0.1:8088/: dial":                           "127.0.0.1:8088",
		"2019/09/24 21:38:15 [alert] 5845#5845 file.go:12:":      "",
		"": "",
	} {
		var have []string
		for _, e := range EndpointsIn(text) {
			have = append(have, e.String())
		}
		if joined := strings.Join(have, ", "); joined != want {
			t.Errorf("%q: %q, want %q", text, joined, want)
		}
	}
}
