// Package procfs reads the files of /proc that say what a Linux host's
// connections use up, and which process holds them.
//
// Every format has a parser that takes the bytes of one file and refuses what
// a kernel would not write, with a one-line error naming the kind of file, the
// line and what was wrong. Columns and names that a parser does not know are
// kept or skipped; those that this kernel lacks are reported as missing and
// never as zero. [Root] and [Process] fetch the bytes. A process is held by its
// directory, so that a pid which is reused cannot mix two processes into one
// answer, and one that ends while it is read gives [ErrGone].
//
// prometheus/procfs is not used: it turns 64-bit counters into float64 and
// rejects columns that it does not know, where maxconn keeps the text and the
// reason why something could not be read.
//
// /proc/PID/cgroup and /proc/PID/mountinfo are parsed by package cgroup, which
// alone needs them; [Process.Read] returns their bytes.
package procfs
