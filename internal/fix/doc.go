// Package fix says whether a change has cured what it was made for: what is watched (Before), and
// what that looked like in a window before the change and in one after it (Judge).
//
// Only evidence counts: counters of refusals, queues and tables against their limits, connections
// opened a second. A fault that is not seen while nobody tries to connect is not cured, and what
// could not be read is not known. Pure: package apply takes the windows and acts.
package fix
