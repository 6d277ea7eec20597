//go:build !linux

package main

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/ui/watch"
)

// On other systems check, explain, plan and lint judge snapshots and files that come from a
// Linux host. What looks at the running kernel says that it needs Linux.

func otherRoles() {}

func needsLinux(what string) error {
	return &failure{
		statusFailed, fmt.Errorf("%s needs Linux, this is %s", what, runtime.GOOS),
		"on the Linux host: maxconn observe -o box.txt; here: --from box.txt (lint: or " +
			"--kernel 6.1)",
	}
}

func (a *app) linuxVerbs() (verbs []*cobra.Command) {
	for _, name := range []string{
		"apply", "confirm", "exporter", "fix", "history", "load", "prove",
		"rollback", "status", "trace", "verify",
	} {
		verbs = append(verbs, &cobra.Command{
			Use: name, Short: "(needs Linux)", DisableFlagParsing: true,
			RunE: func(*cobra.Command, []string) error {
				return needsLinux("maxconn " + name)
			},
		})
	}
	return verbs
}

func (a *app) observed(context.Context, source, time.Duration) (host.Snapshot, error) {
	return host.Snapshot{}, needsLinux("a look at the running kernel")
}

func (a *app) checkAll(context.Context, *checkFlags, diagnose.Options) error {
	return needsLinux("--all-netns")
}

func (a *app) followed(*watchFlags, *watch.Keeper) (feed, error) {
	return nil, needsLinux("maxconn watch without --from")
}

func completeNamespaces(*cobra.Command, []string, string) ([]cobra.Completion,
	cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveNoFileComp
}
