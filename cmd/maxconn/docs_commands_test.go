package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// pages are the documents whose commands must be commands of maxconn.
func pages(t *testing.T) []string {
	t.Helper()
	docs, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(docs) == 0 {
		t.Fatal(err, "no pages in docs")
	}
	return append(docs, "../../README.md")
}

// Every command in a fenced block of the README and of docs parses: the verb exists, and so do its
// flags, with values of the right form.
func TestCommandsOfDocs(t *testing.T) {
	found := 0
	for _, page := range pages(t) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range fenced(string(text)) {
			args, ok := command(line)
			if !ok {
				continue
			}
			found++
			if err := parses(args); err != nil {
				t.Errorf("%s: %s: %v", filepath.Base(page), line, err)
			}
		}
	}
	if found < 30 {
		t.Errorf("%d commands found in the documents: the reader misses some", found)
	}
	if err := parses([]string{"check", "--no-such-flag"}); err == nil {
		t.Error("an unknown flag parses")
	}
}

// The screen of the README is what its command prints.
func TestScreenOfREADME(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	const host = "node-accept-queue"
	_, prints := checkHost(t, host)
	_, after, ok := strings.Cut(string(readme),
		"`maxconn check --from testdata/hosts/"+host+".txt`):\n\n```\n")
	if !ok || !strings.HasPrefix(after, prints+"```\n") {
		t.Errorf("README.md does not show what its command prints:\n%s", prints)
	}
}

// fenced are the lines inside ``` blocks.
func fenced(text string) (lines []string) {
	inside := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "```") {
			inside = !inside
		} else if inside {
			lines = append(lines, line)
		}
	}
	return lines
}

// command splits a line that begins with maxconn into its arguments, without comment and
// redirection.
func command(line string) (args []string, ok bool) {
	rest, ok := strings.CutPrefix(line, "maxconn ")
	if !ok {
		return nil, false
	}
	rest, _, _ = strings.Cut(rest, " # ")
	rest, _, _ = strings.Cut(rest, " > ")
	for i, part := range strings.Split(rest, `"`) {
		if i%2 == 1 {
			args = append(args, part)
		} else {
			args = append(args, strings.Fields(part)...)
		}
	}
	return args, true
}

// parses says whether cobra finds the verb and takes the flags and arguments. Nothing runs.
func parses(args []string) error {
	root := (&app{env: noEnv}).root()
	verb, rest, err := root.Find(args)
	if err != nil {
		return err
	}
	if err := verb.ParseFlags(rest); err != nil {
		return err
	}
	blank := func(a string) bool { return a == "" }
	return verb.ValidateArgs(slices.DeleteFunc(verb.Flags().Args(), blank))
}
