//go:build linux

// Package packet sends and receives whole Ethernet frames through a pair of memory-mapped
// rings (packet(7), PACKET_MMAP, TPACKET_V2): the kernel is entered once for hundreds of
// frames. It takes CAP_NET_RAW in the network namespace of the device. Only use it on a
// device of your own namespace, or where you may.
//
// Not safe for concurrent use.
package packet
