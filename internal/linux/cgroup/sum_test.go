package cgroup

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestReadSum(t *testing.T) {
	dir := t.TempDir()
	stat := "anon 5\nfile 900\ninactive_file 100\nactive_file 23\nsock 7\n"
	if err := os.WriteFile(filepath.Join(dir, "memory.stat"), []byte(stat), 0o666); err != nil {
		t.Fatal(err)
	}
	if a := readSum(dir, "memory.stat", "inactive_file", "active_file"); a.Err != nil ||
		a.N != 123 {
		t.Errorf("sum is %+v", a)
	}
	if a := readSum(dir, "memory.stat", "inactive_file", "total_active_file"); !errors.Is(a.Err,
		fs.ErrNotExist) {
		t.Errorf("with a figure that is missing: %+v", a)
	}
	if a := readSum(dir, "memory.none", "sock"); !errors.Is(a.Err, fs.ErrNotExist) {
		t.Errorf("of a file that is missing: %+v", a)
	}
}
