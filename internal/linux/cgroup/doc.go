// Package cgroup tells which control group a process is in and what memory and
// how many threads it may use there: version 1, version 2 and hosts that run
// both (hybrid).
//
// A limit binds the whole subtree below it, so the tightest of all ancestors is
// the one that counts: [Tree.Memory] and [Tree.Pids] return every level from
// the process's own group upwards, and say whether there are more above that
// cannot be seen from here (a container sees its own part of the tree). What
// could not be read is an [Amount] with an error and never a zero.
//
// Nothing here writes.
package cgroup
