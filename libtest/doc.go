// Package libtest holds the tests of coalesce, dial and listen that need more than
// golang.org/x/sys: network namespaces, virtual machines, other people's servers and
// clients; and the test that runs maxconn as it is built for another system. They are a
// module of their own, so that the importers of the three packages do not have these
// requirements.
package libtest
