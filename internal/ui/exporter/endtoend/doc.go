// Package endtoend tests the exporter as people run it: the real Prometheus scrapes it, the real
// Alertmanager gets the alerts, and the faults are real sockets in a network namespace. It is tests
// only.
package endtoend
