// Package near tells how much two words differ in spelling, to find what a user may have
// meant. It is pure.
package near

import "math/bits"

// Edits is the Levenshtein distance in bytes: how many bytes have to be put in, taken out
// or exchanged to make one of the other. Above most it is most+1, found without counting
// further. Time grows with the product of the lengths at worst. Safe for concurrent use.
func Edits(a, b string, most int) int {
	v, w := Counted(a), Counted(b)
	return v.Edits(&w, most)
}

// edits is Edits for words that may be that near.
func edits(a, b string, most int) int {
	if most < 0 {
		return most + 1
	}
	var space [128]int
	row := space[:]
	if len(b) >= len(space) {
		row = make([]int, len(b)+1)
	}
	for j := range len(b) + 1 {
		row[j] = j
	}
	for i := range len(a) {
		if next(row[:len(b)+1], a[i], b, i+1) > most {
			return most + 1
		}
	}
	return min(row[len(b)], most+1)
}

// next makes of the distances of the first bytes of one word those with one byte more, and
// gives the least of them.
func next(row []int, c byte, b string, first int) (least int) {
	diagonal := row[0]
	row[0], least = first, first
	for j := range len(b) {
		change := diagonal
		if c != b[j] {
			change++
		}
		diagonal = row[j+1]
		row[j+1] = min(row[j+1]+1, row[j]+1, change)
		least = min(least, row[j+1])
	}
	return least
}

// Word is a word with the count of its bytes, for those that are compared again and again.
type Word struct {
	Text string
	// some has a bit for each of 32 classes of bytes that are there once, and one for those
	// that are there twice; many has those for three and four times.
	some, many uint64
}

// Counted counts.
func Counted(s string) (w Word) {
	w.Text = s
	for i := range len(s) {
		once := uint64(1) << (s[i] & 31)
		switch {
		case w.some&once == 0:
			w.some |= once
		case w.some&(once<<32) == 0:
			w.some |= once << 32
		case w.many&once == 0:
			w.many |= once
		default:
			w.many |= once << 32
		}
	}
	return w
}

// Edits is as the function of this name; most comparisons end with the counts.
func (w *Word) Edits(other *Word, most int) int {
	if w.Apart(other) > most {
		return most + 1
	}
	return edits(w.Text, other.Text, most)
}

// Apart is a lower bound of the distance that is quick to find: each edit puts in at most one
// byte and takes out at most one.
func (w *Word) Apart(other *Word) int {
	in, out := w.Differ(other)
	return max(in, out)
}

// Differ is how many bytes at least have to be put into the word, and how many taken out of it, to
// have those of the other.
func (w *Word) Differ(other *Word) (in, out int) {
	in = bits.OnesCount64(other.some&^w.some) + bits.OnesCount64(other.many&^w.many)
	out = bits.OnesCount64(w.some&^other.some) + bits.OnesCount64(w.many&^other.many)
	return in, out
}
