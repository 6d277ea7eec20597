//go:build linux

// Package link reads the network devices of the calling thread's namespace:
// queues, drops, addresses, neighbours, and whether received packets pass
// through an input queue. It gives facts and no opinions, and writes nothing.
//
// One rtnetlink dump a kind of fact (rtnetlink(7)) keeps the cost independent of
// the number of devices; the messages are parsed here, because the library's own
// parsers drop what is needed (the limits of most queueing disciplines) and trust
// every length.
package link
