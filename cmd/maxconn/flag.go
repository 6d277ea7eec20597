package main

import (
	"errors"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// Flags with a value refuse an empty one: `--netns "$NS"` where NS is not set would
// otherwise look at another subject than was meant, and say that all is well there.

// What is wrong with a value, for flagError, which knows the flag.
var (
	errEmpty = errors.New("the value is empty")
	errLong  = errors.New("the value is longer than any name or path")
)

// longestPath is PATH_MAX of linux/limits.h, in bytes.
const longestPath = 4096

// word is a flag that takes a text. As its own default it may be empty.
type word struct{ to *string }

func (w word) String() string { return *w.to }
func (w word) Type() string   { return "string" }

func (w word) Set(text string) error {
	switch {
	case strings.TrimSpace(text) == "":
		return errEmpty
	case len(text) > longestPath:
		return errLong
	}
	*w.to = text
	return nil
}

// wordList is a flag that may be given several times; where it is split, each text may hold
// several, comma-separated.
type wordList struct {
	to    *[]string
	split bool
}

func (w wordList) String() string { return strings.Join(*w.to, ",") }
func (w wordList) Type() string   { return "stringArray" } // cobra completes arrays again and again

func (w wordList) Set(text string) error {
	words := []string{text}
	if w.split {
		words = strings.Split(text, ",")
	}
	for _, word := range words {
		if strings.TrimSpace(word) == "" {
			return errEmpty
		}
	}
	*w.to = append(*w.to, words...)
	return nil
}

// processID is a flag that takes one.
type processID struct{ to *int64 }

func (p processID) String() string { return strconv.FormatInt(*p.to, 10) }
func (p processID) Type() string   { return "int" }

func (p processID) Set(text string) error {
	if strings.TrimSpace(text) == "" {
		return errEmpty
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n <= 0 {
		return misuse("a process ID is a number above zero: ps -e lists them",
			"--pid: %s is not a process ID", quoted(text))
	}
	*p.to = n
	return nil
}

// flagError puts what is wrong with the flags of a command line into our words.
func flagError(c *cobra.Command, err error) error {
	var own *failure
	var number *strconv.NumError
	help := c.CommandPath() + " --help lists the flags"
	switch {
	case errors.As(err, &own):
		return own
	case errors.Is(err, errEmpty):
		return misuse(
			"give it a value or omit it; a shell variable that is not set is empty",
			"%s: %w", flagOf(err), errEmpty)
	case errors.Is(err, errLong):
		return misuse(help, "%s: %w", flagOf(err), errLong)
	case errors.As(err, &number): // only switches are left: --json=maybe
		return misuse(help, "%s: %s is neither true nor false", flagOf(err),
			quoted(number.Num))
	}
	return &failure{statusUsage, err, help}
}

// flagOf finds the flag in pflag's words: invalid argument "x" for "-o, --output" flag: ...
func flagOf(err error) string {
	_, rest, _ := strings.Cut(err.Error(), ` for "`)
	name, _, _ := strings.Cut(rest, `" flag: `)
	return name[strings.LastIndexByte(name, ' ')+1:]
}
