package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/maxconn/maxconn/internal/export"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/linux/outfile"
	"github.com/maxconn/maxconn/internal/persist"
	"github.com/maxconn/maxconn/internal/plan"
)

func formatNames() (names []string) {
	for _, f := range export.Formats() {
		names = append(names, string(f.Format))
	}
	return names
}

func completeFormats() (words []cobra.Completion) {
	for _, f := range export.Formats() {
		words = append(words, cobra.CompletionWithDesc(string(f.Format), f.For))
	}
	return words
}

// export writes the plan for another tool: to the standard output, a file, or where there
// are several files into a directory that exists, each at its place below it.
func (a *app) export(f *planFlags, s host.Snapshot, p plan.Plan) error {
	o := persist.Options{Snapshot: s, Root: hostRoot(s, f.from)}
	files, err := export.Export(p, o, export.Format(f.format))
	if err != nil {
		return err
	}
	switch info, err := os.Stat(f.output); {
	case f.output == "":
		return a.write(func(w io.Writer) error {
			_, err := io.WriteString(w, concatenated(files))
			return err
		})
	case err == nil && info.IsDir():
		return into(f.output, files)
	}
	return notWritten(writeFile(f.output, []byte(concatenated(files))))
}

// noFiles is the root directory of a host of which no file is known.
type noFiles struct{}

func (noFiles) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// hostRoot is the root directory whose files speak of the snapshot: this host's, where it is of the
// initial network namespace and from no file.
func hostRoot(s host.Snapshot, from string) fs.FS {
	if from != "" || s.Read().Optional(host.System("scope")) != "initial" {
		return noFiles{}
	}
	return os.DirFS("/")
}

// concatenated is one text: several files stand one after the other behind their names, as
// systemctl cat shows them.
func concatenated(files []export.File) string {
	var b strings.Builder
	for i, f := range files {
		if len(files) > 1 {
			if i > 0 {
				b.WriteString("\n")
			}
			b.WriteString("# " + f.Path + "\n")
		}
		b.WriteString(f.Text)
	}
	return b.String()
}

// into writes the files below a directory, never outside of it, and replaces none that is there.
func into(dir string, files []export.File) error {
	root, err := outfile.Dir(dir)
	if err == nil {
		defer root.Close()
	}
	for _, f := range files {
		if err == nil {
			err = place(root, f)
		}
	}
	if err != nil {
		return &failure{statusFailed, fmt.Errorf("write the plan into %s: %w", dir, err),
			"it goes into a directory that you may write, and replaces no file there"}
	}
	return nil
}

func place(root *os.Root, f export.File) error {
	name, mode := strings.TrimPrefix(f.Path, "/"), fs.FileMode(0o644)
	if f.Executable {
		mode = 0o755
	}
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	out, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.WriteString(out, f.Text)
	return errors.Join(err, out.Close())
}
