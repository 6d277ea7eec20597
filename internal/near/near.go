// Package near tells how much two words differ in spelling, to find what a user may have
// meant. It is pure.
package near

// Edits is the Levenshtein distance in bytes: how many bytes have to be put in, taken out
// or exchanged to make one of the other. Above most it is most+1, found without counting
// further. Time grows with the product of the lengths at worst. Safe for concurrent use.
func Edits(a, b string, most int) int {
	if most < 0 || apart(a, b) > most {
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
	Text  string
	bytes [32]int32
}

// Counted counts.
func Counted(s string) (w Word) {
	w.Text = s
	for i := range len(s) {
		w.bytes[s[i]&31]++
	}
	return w
}

// Edits is as the function of this name; most comparisons end with the counts.
func (w *Word) Edits(other *Word, most int) int {
	if w.apart(other) > most {
		return most + 1
	}
	return Edits(w.Text, other.Text, most)
}

// apart is a lower bound that is quick to find: each edit puts in at most one byte and
// takes out at most one.
func (w *Word) apart(other *Word) int {
	in, out := 0, 0
	for i, n := range w.bytes {
		if d := int(n - other.bytes[i]); d > 0 {
			in += d
		} else {
			out -= d
		}
	}
	return max(in, out)
}

func apart(a, b string) int {
	v, w := Counted(a), Counted(b)
	return v.apart(&w)
}
