package limit

import (
	"net/netip"
	"strings"

	"github.com/maxconn/maxconn/internal/host"
)

// The range that the kernel begins with (net/ipv4/tcp_ipv4.c tcp_sk_init).
const defaultLow, defaultHigh = 32768, 60999

// servicesInRange tells of ports of servers that connect() may choose, because they are in
// ip_local_port_range and not reserved. As long as the server listens, connect() passes its port
// over; while it is restarted, or before it is started, a connection can take the port, and bind()
// fails for as long as that is open.
func servicesInRange(r *host.Reader, p pool) []Gauge {
	services := p.services(r)
	if services.Len() == 0 {
		return nil
	}
	const reserve = "net.ipv4.ip_local_reserved_ports"
	from, to := r.Optional(reservedPorts), p.ports.reserved.Union(services).String()
	return []Gauge{{
		Subject: thisNetns, Unbounded: true, Notice: true,
		Owner: "net.ipv4.ip_local_port_range",
		Cause: "ip_local_port_range has " + plural(services.Len(), "port") +
			" in it that " +
			"programs listen on (" + shortened(services) + ") and that nothing " +
			"reserves: while such a server is down, an outbound connection may " +
			"take its port, and bind() then fails with EADDRINUSE",
		Evidence: []Evidence{
			{portRange.Name, itoa(p.low) + " " + itoa(p.high), "the ports of " +
				"connect()"},
			{reserve, from, "connect() skips them"},
		},
		Remedies: []Remedy{{
			Kind: BySetting, Setting: reserve, From: from, To: to,
			Text: "reserve the ports of servers: connect() and bind(0) then skip " +
				"them, a server that asks for one gets it",
			TakesEffect: Now,
		}},
	}}
}

// services are the ports of listeners in the range that are not reserved. In the range that the
// kernel begins with, a listener that only this host can reach has mostly not chosen its port.
func (p pool) services(r *host.Reader) (services host.PortSet) {
	for _, row := range r.Rows(host.ListenerKind) {
		name, _, _ := strings.Cut(row.Name(), "~")
		at, err := netip.ParseAddrPort(name)
		port := int64(at.Port())
		private := port >= defaultLow && port <= defaultHigh && at.Addr().IsLoopback()
		if err == nil && port >= p.low && port <= p.high && !private &&
			!p.ports.reserved.Has(at.Port()) {
			services.Add(at.Port())
		}
	}
	return services
}

// shortened is a list of ports that fits into a sentence.
func shortened(ports host.PortSet) string {
	const most = 60
	text := ports.String()
	if len(text) <= most {
		return text
	}
	return text[:strings.LastIndexByte(text[:most], ',')] + ", ..."
}
