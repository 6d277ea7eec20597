package observe

import (
	"math/rand/v2"
	"testing"
)

func TestInodeTable(t *testing.T) {
	const max = 5000
	table := newInodeTable(max)
	want := map[uint32]uint32{}
	r := rand.New(rand.NewPCG(1, 2))
	for i := range uint32(20000) {
		inode, value := r.Uint32N(9000), i+1 // 0 is among them
		if _, known := want[inode]; inode != 0 && !known && len(want) < max {
			want[inode] = value
		}
		table.put(inode, value)
	}
	for inode := range uint32(10000) {
		if got := table.find(inode); got != want[inode] {
			t.Fatalf("find(%d) = %d, want %d", inode, got, want[inode])
		}
	}
	if table.used != max || len(table.slots) < 2*max {
		t.Errorf("%d of %d inodes in %d slots", table.used, max, len(table.slots))
	}
}
