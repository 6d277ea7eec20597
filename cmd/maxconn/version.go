package main

import (
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func (a *app) versionVerb() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "show the version",
		Long:    "version shows the version of maxconn and what it was built with.",
		Example: "  maxconn version",
		Args:    noArguments,
		RunE: func(*cobra.Command, []string) error {
			return a.write(func(w io.Writer) error {
				return printf(w, "maxconn %s\n", version())
			})
		},
	}
}

// version is the module's version as the Go tool recorded it, and the compiler.
func version() string {
	v := "(devel)"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		v = info.Main.Version
	}
	return v + " " + runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH
}
