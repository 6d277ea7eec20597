// Package faults is a list of faults that stop TCP connections, made with real sockets in network
// namespaces of their own, and the tests that each has to pass: the first finding of maxconn check
// names the limit, the subject and the cause, each remedy that a machine can carry out ends the
// fault, and no setting ends it that the finding does not name. It is tests only.
//
// A fault is data: how it is made, what has to be found, and how to see whether it is gone. The
// list is in files by subject: ports_test.go, time_wait_test.go, queues_test.go,
// processes_test.go, nat_test.go, and for those that people have reported reported_*_test.go.
// CONTRIBUTING.md says how to add one.
package faults
