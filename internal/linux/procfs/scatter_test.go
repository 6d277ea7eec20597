package procfs_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/maxconn/maxconn/internal/linux/procfs"
)

// The order is a permutation, and every part that begins it is a fair sample of
// any stretch, and of every second, third ... number.
func TestScatterIsFair(t *testing.T) {
	for _, size := range []int{1, 2, 3, 64, 96, 1024, 16223, 65536 - 160} {
		order := procfs.ScatterOrder(160, size)
		if all := slices.Sorted(slices.Values(order)); len(all) != size || all[0] != 160 ||
			all[size-1] != 160+size-1 || len(slices.Compact(all)) != size {
			t.Fatalf("size %d: %d numbers from %d to %d", size, len(all), all[0],
				all[len(all)-1])
		}
		for part := 64; part < size; part *= 3 {
			checkFair(t, order[:part], 160, size)
		}
	}
}

func checkFair(t *testing.T, part []int, first, size int) {
	t.Helper()
	share := func(what string, of int, has func(i int) bool) {
		t.Helper()
		got := 0
		for _, fd := range part {
			if has(fd - first) {
				got++
			}
		}
		want := float64(len(part)) * float64(of) / float64(size)
		if math.Abs(float64(got)-want) > 4+want/10 {
			t.Errorf("%d of %d: %d of %s, want %.1f", len(part), size, got, what, want)
		}
	}
	for _, from := range []int{0, size / 3, size / 2} {
		of := size / 5
		share(fmt.Sprintf("%d numbers from %d on", of, from), of, func(i int) bool {
			return i >= from && i < from+of
		})
	}
	for n := 2; n <= 10; n++ {
		share(fmt.Sprintf("every one in %d", n), size/n, func(i int) bool {
			return i%n == 0
		})
	}
}

// A walk that begins in ascending order and goes on scattered reads every
// descriptor once, and the part read first is spread over the table.
func TestScatter(t *testing.T) {
	const n = 4000
	c := sockets(t, n)
	f := files(t, open(t, c.pid))
	want := c.inodes(t)
	got := map[int]uint32{}
	read := func(most int) (all bool) {
		t.Helper()
		n, all, err := f.Sockets(most, func(fd int, inode uint32) bool {
			if _, twice := got[fd]; twice {
				t.Fatalf("descriptor %d was read twice", fd)
			}
			got[fd] = inode
			return true
		})
		if err != nil || n > most {
			t.Fatalf("%d read of %d, %v", n, most, err)
		}
		return all
	}
	read(100)
	if !f.Scatter(n - 100) {
		t.Fatal("not scattered")
	}
	read(400)
	for from := 0; from < n; from += 500 {
		in := 0
		for fd := range got {
			if fd >= from && fd < from+500 {
				in++
			}
		}
		if in < 35 || in > 150 {
			t.Errorf("%d of the first 500 read are descriptors %d to %d", in, from,
				from+499)
		}
	}
	for !read(700) {
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sockets (-want +got):\n%s", diff)
	}
	if n, all, err := f.Sockets(1, nil); n != 0 || !all || err != nil {
		t.Errorf("after the end: %d %v %v", n, all, err)
	}
}

// A table that is nearly empty stays in its order, unless what is left is at its
// beginning.
func TestScatterOfAnEmptyTable(t *testing.T) {
	for _, test := range []struct {
		role string
		want bool
	}{{"gap high 300", false}, {"gap low 300", true}} {
		c := start(t, test.role, "ready", nil)
		want := c.inodes(t)
		f := files(t, open(t, c.pid))
		got := map[int]uint32{}
		each := func(fd int, inode uint32) bool { got[fd] = inode; return true }
		if n, _, err := f.Sockets(20, each); n != 20 || err != nil {
			t.Fatal(n, err)
		}
		if scattered := f.Scatter(len(want) - 20); scattered != test.want {
			t.Errorf("%s: scattered %v", test.role, scattered)
		}
		if _, complete, err := f.Sockets(0, each); !complete || err != nil {
			t.Errorf("%s: complete %v, %v", test.role, complete, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: sockets (-want +got):\n%s", test.role, diff)
		}
	}
}

// The descriptors of a process whose first thread has exited stay in their order
// until the walk has found another thread; those of one that ends meanwhile are
// not taken for an empty table.
func TestScatterOfTheDying(t *testing.T) {
	headless := start(t, "headless 300", "headless", nil)
	f := files(t, open(t, headless.pid))
	early := f.Scatter(300)
	got := map[int]uint32{}
	each := func(fd int, inode uint32) bool { got[fd] = inode; return true }
	if n, _, err := f.Sockets(7, each); n != 7 || err != nil {
		t.Fatal(n, err)
	}
	// root can open the directory of the dead, others find a thread at once
	if late := f.Scatter(293); early == late {
		t.Errorf("scattered before a thread was found %v, after %v", early, late)
	}
	if _, complete, err := f.Sockets(0, each); !complete || err != nil {
		t.Errorf("complete %v, %v", complete, err)
	}
	if diff := cmp.Diff(headless.inodes(t), got); diff != "" {
		t.Errorf("sockets (-want +got):\n%s", diff)
	}
	c := sockets(t, 400)
	f = files(t, open(t, c.pid))
	if !f.Scatter(400) {
		t.Error("not scattered")
	}
	c.die(t)
	if _, complete, err := f.Sockets(0, func(int, uint32) bool {
		return true
	}); complete || err == nil {
		t.Errorf("the zombie's table: complete %v, %v", complete, err)
	}
}
