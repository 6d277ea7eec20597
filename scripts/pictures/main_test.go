package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// The picture of watch in docs is the one that is made now, and it is XML.
func TestWatchPicture(t *testing.T) {
	dir := t.TempDir()
	made := filepath.Join(dir, "watch.svg")
	if err := run([]string{"../../internal/ui/watch/testdata/fault.film", made,
		filepath.Join(dir, "page.html")}); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(made)
	if err != nil {
		t.Fatal(err)
	}
	for d := xml.NewDecoder(bytes.NewReader(got)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("../../docs/watch.svg")
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("docs/watch.svg is another one (%v): scripts/pictures.sh renews it", err)
	}
}
