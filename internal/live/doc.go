// Package live keeps what is known of the connections of a host from one moment to the next: the
// last report of each network namespace, how full each limit was, and the highest accept queues
// since somebody last asked. Package live/loop feeds it, package ui shows it. It is pure: reports
// and times go in, a View comes out.
//
// Memory is bounded whatever the host does: each table has a number of seats (Options.Rows), and
// who has one keeps it for a while, so that a host whose destinations change all the time does not
// make a new series of each. What has no seat is counted.
package live
