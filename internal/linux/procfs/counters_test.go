package procfs_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/maxconn/maxconn/internal/linux/procfs"
)

// pairs collects what a parser delivers, in order.
func pairs(parse func([]byte, func(proto, name, value string)) error, b []byte) ([]string, error) {
	var all []string
	err := parse(b, func(proto, name, value string) {
		all = append(all, proto+"."+name+"="+value)
	})
	return all, err
}

// contains reports each wanted text that is not among all.
func contains(t *testing.T, all []string, want ...string) {
	t.Helper()
	text := "\n" + strings.Join(all, "\n") + "\n"
	for _, w := range want {
		if !strings.Contains(text, "\n"+w+"\n") {
			t.Errorf("no %s", w)
		}
	}
}

func TestParseCounters(t *testing.T) {
	for file, want := range map[string][]string{
		"netstat-6.18": {"TcpExt.TW=36", "TcpExt.TCPOrigDataSent=966",
			"TcpExt.TCPDelivered=1003",
			"TcpExt.TCPMigrateReqFailure=0", "MPTcpExt.MPTCPRetrans=0"},
		"snmp-6.18": {"Ip.OutTransmits=1762", "Tcp.MaxConn=-1", "Tcp.OutSegs=1759",
			"Icmp.OutRateLimitHost=0"},
		"netstat-3.x": {"TcpExt.TW=388812", "TcpExt.ListenOverflows=0",
			"TcpExt.TCPPrequeued=80568",
			"TcpExt.TCPOFOQueue=42", "IpExt.InOctets=6286396970"},
		"snmp-4.x": {"Tcp.MaxConn=-1", "Tcp.RetransSegs=348", "IcmpMsg.OutType3=50"},
		"snmp-many-icmp": {"IcmpMsg.InType15=15", "IcmpMsg.OutType3=18446744073709551615",
			"IcmpMsg.OutType8=9223372036854775808"},
	} {
		all, err := pairs(procfs.ParseCounters, capture(t, "counters", file))
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		contains(t, all, want...)
	}
}

func TestCountersPassOverBadPairs(t *testing.T) {
	const file = "TcpExt: A B C\nTcpExt: 1 2\n" +
		"Ip: A\nTcp: MaxConn\nTcp: -1\n" +
		"Udp: A\nUdp: 1x\n" +
		"IpExt: A B\nIpExt: 18446744073709551615 9223372036854775808\n" +
		"garbage\nLast: A\nLast: 12"
	got, err := pairs(procfs.ParseCounters, []byte(file))
	want := []string{"Tcp.MaxConn=-1", "IpExt.A=18446744073709551615",
		"IpExt.B=9223372036854775808"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("delivered (-want +got):\n%s", diff)
	}
	checkRefusal(t, err)
	const text = `parse snmp counters line 2: "TcpExt": 2 values for 3 names; ` +
		`parse snmp counters line 3: "Ip": no values follow the header; ` +
		`parse snmp counters line 7: "Udp": A is "1x", want a number; and 2 more`
	if err.Error() != text {
		t.Errorf("got  %v\nwant %s", err, text)
	}
	var refusal *procfs.ParseError
	if !errors.As(err, &refusal) || refusal.Line != 2 {
		t.Errorf("first refusal is %+v, want line 2", refusal)
	}
}

func TestParseSockstat(t *testing.T) {
	for file, want := range map[string][]string{
		"v4-6.18": {"sockets.used=16", "TCP.inuse=1", "TCP.alloc=100010", "TCP.mem=5356",
			"FRAG.memory=0"},
		"v6-6.18": {"TCP6.inuse=0", "FRAG6.memory=0"},
		"rhel4":   {"UDP.inuse=0", "TCP.tw=4"},
		"busy": {"sockets.used=12484", "TCP.orphan=720", "TCP.tw=66669",
			"TCP.mem=516419"},
		"rhel7": {"FRAG.memory=10"},
	} {
		all, err := pairs(procfs.ParseSockstat, capture(t, "sockstat", file))
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		contains(t, all, want...)
	}
}

func TestSockstatPassesOverBadLines(t *testing.T) {
	got, err := pairs(procfs.ParseSockstat,
		[]byte("sockets: used -3\nTCP: inuse 5 orphan\nUDP: inuse x\nRAW: inuse 1\n"))
	if diff := cmp.Diff([]string{"sockets.used=-3", "RAW.inuse=1"}, got); diff != "" {
		t.Errorf("delivered (-want +got):\n%s", diff)
	}
	const text = `parse sockstat line 2: "TCP": "orphan" has no value; parse sockstat line 3: "UDP": "inuse" "x" is not a name and a number`
	if err == nil || err.Error() != text {
		t.Errorf("got  %v\nwant %s", err, text)
	}
}
