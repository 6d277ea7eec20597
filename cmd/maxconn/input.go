package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime/debug"
	"strings"

	"github.com/maxconn/maxconn/internal/infile"
)

// The most bytes of each kind of input: far above what observe and plan write and what people do.
const (
	largestSnapshot = 64 << 20
	largestTuning   = 16 << 20
	largestReport   = 64 << 20
	largestGoals    = 16 << 20
	largestPlan     = 16 << 20 // apply.ReadPlan has a bound of its own
)

// mostMemory is what the heap keeps to while an input is judged, where that is possible:
// garbage is collected sooner. GOMEMLIMIT in the environment goes before it.
const mostMemory = 228 << 20

// frugal trades time for memory. It is for verbs that judge a file and end.
func (a *app) frugal() {
	if a.env != nil && a.env("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(mostMemory)
	}
}

// input reads a whole file, or the standard input for "-", and gives the name to show in errors.
func (a *app) input(ctx context.Context, name string, most int64) (text []byte, shown string,
	err error) {
	a.frugal()
	if name == "-" {
		text, err = infile.Stream(ctx, a.stdin, most)
		return text, "standard input", err
	}
	text, _, err = infile.Text(ctx, name, most)
	return text, name, err
}

// inputError is the error of an input that could not be read; hint says what should have
// been given.
func inputError(shown string, err error, hint string) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		err = path.Err
	}
	f := &failure{statusUsage, fmt.Errorf("read %s: %w", shown, err), hint}
	if errors.Is(err, fs.ErrPermission) {
		f.hint = "run as a user who may read it"
	}
	return f
}

// What a document may hold. Both formats take a few bytes for what becomes hundreds in
// memory, so that their size alone bounds nothing; a report has some hundred claims, a file
// of goals some dozen.
const (
	mostObjects = 100_000 // of JSON
	mostClaims  = 1000    // of a report
	mostReports = 64
	mostMarks   = 65_536 // signs of YAML that may begin something
)

// bounded says what is wrong with a document that has more of these signs than it may.
func bounded(text []byte, signs string, most int) error {
	n := 0
	for _, c := range text {
		if strings.IndexByte(signs, c) >= 0 {
			n++
		}
	}
	if n > most {
		return fmt.Errorf("it has more than %d parts", most)
	}
	return nil
}
