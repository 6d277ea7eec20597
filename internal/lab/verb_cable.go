//go:build linux

package lab

import (
	"net/netip"

	"github.com/maxconn/maxconn/internal/linux/tune"
)

type veth struct {
	Name           string `json:"name"`
	Peer           string `json:"peer"`
	PeerIn         int    `json:"peer_in"`
	TxQueueLen     int    `json:"txqueuelen"`
	PeerTxQueueLen int    `json:"peer_txqueuelen"`
}

func addVeth(_ *worker, v veth) (nothing, error) {
	return nothing{}, tune.AddVeth(tune.Veth(v))
}

// deviceNumber is a device and a figure of it.
type deviceNumber struct {
	Device string `json:"device"`
	Number int    `json:"number"`
}

func setMTU(_ *worker, n deviceNumber) (nothing, error) {
	return nothing{}, tune.LinkMTU(n.Device, n.Number)
}

func setTxQueueLen(_ *worker, n deviceNumber) (nothing, error) {
	return nothing{}, tune.LinkTxQueueLen(n.Device, uint32(n.Number))
}

type queueing struct {
	Device string `json:"device"`
	Kind   string `json:"kind"`
	Rate   uint64 `json:"rate"`
}

func setQdisc(_ *worker, q queueing) (nothing, error) {
	return nothing{}, tune.RootQdisc(q.Device, tune.Qdisc{Kind: q.Kind, Rate: q.Rate})
}

type gatewayRoute struct {
	To  netip.Prefix `json:"to"`
	Via netip.Addr   `json:"via"`
}

func addRoute(_ *worker, r gatewayRoute) (nothing, error) {
	return nothing{}, tune.AddRouteVia(r.To, r.Via)
}
