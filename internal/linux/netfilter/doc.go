//go:build linux

// Package netfilter reads what firewall rules and NAT of the calling thread's network namespace do
// to connections: the rules of nf_tables that count, limit or rewrite them, and how many entries
// of connection tracking each rewritten source has. It gives facts and writes nothing.
//
// Both are streamed (a host may have 50,000 rules and a million entries) and parsed here: memory
// grows with what bears on connections alone. CAP_NET_ADMIN in the user namespace of the network
// namespace is needed (net/netfilter/nfnetlink.c nfnetlink_rcv).
package netfilter
