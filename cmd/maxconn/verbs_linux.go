package main

import (
	"github.com/spf13/cobra"

	"github.com/maxconn/maxconn/internal/lab"
)

// otherRoles returns only in a process that runs a command line.
func otherRoles() {
	lab.Main() // a process in a namespace, for prove and load
}

// linuxVerbs are those that change the running kernel or experiment with it.
func (a *app) linuxVerbs() []*cobra.Command {
	return []*cobra.Command{
		a.fix(), a.apply(), a.confirm(), a.rollback(), a.statusVerb(), a.history(),
		a.verify(), a.loadVerb(), a.prove(), a.await(), a.exporter(), a.trace(),
	}
}
