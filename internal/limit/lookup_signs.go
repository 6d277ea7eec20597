package limit

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// SignMatch is a sign that a text shows.
type SignMatch struct {
	Limit *Limit
	Sign  Sign
	// Quotes is what stands in the text at each "…" of the sign.
	Quotes []string
	score  int
	at     span
	own    bool // by words of its own, not by those of its errno
	call   int  // what the call counts for
}

// How a sign was recognised, surest first. The number of matching words is added.
const (
	wholeText = 4000 // every word of the sign stands in the text
	byErrno   = 3000 // the text holds the errno's name, or what a C library prints for it
	partText  = 2000 // the text is a part of the sign
	mostText  = 1000 // most words of the sign stand in the text
	// the text names the call that returns the errno; another call counts against it
	sameCall = 500
)

// FindSigns finds the signs that an error or log line shows, best first. Case, punctuation
// and numbers do not count; "…" in a sign stands for any words. An errno is known by its
// name, its number behind the word errno, and its text in glibc and musl. Where something
// matches as a whole, lesser matches are left out, and so is a sign whose words a better
// one of the same limit has told.
func FindSigns(text string) []SignMatch {
	signs, _ := find(text)
	return signs
}

// signsIn are all signs that a text may show.
func signsIn(m message) (found []SignMatch) {
	for _, l := range Catalogue() {
		for _, s := range l.Signs {
			if x, ok := matchSign(m, s); ok {
				x.Limit, x.Sign = l, s
				found = append(found, x)
			}
		}
	}
	return found
}

// bestFirst sorts signs and leaves out those that say less, or the same. Among equals
// the limit comes first that has most signs of it.
func bestFirst(found []SignMatch, matches map[*Limit]int) (out []SignMatch) {
	slices.SortStableFunc(found, func(a, b SignMatch) int {
		return cmp.Or(cmp.Compare(b.score, a.score),
			cmp.Compare(matches[b.Limit], matches[a.Limit]))
	})
	for _, m := range found {
		lesser := found[0].score >= byErrno-sameCall && m.score < byErrno-sameCall
		if !lesser && !slices.ContainsFunc(out, m.repeats) {
			out = append(out, m)
		}
	}
	return out
}

// repeats says that a better match of the same limit has told the same words already.
func (m SignMatch) repeats(better SignMatch) bool {
	return m.Limit == better.Limit && m.Sign.Call == better.Sign.Call &&
		m.at.start < better.at.end && better.at.start < m.at.end
}

func matchSign(m message, s Sign) (SignMatch, bool) {
	sign := words(s.Text)
	call := callScore(s.Call, m.calls)
	if at, quotes, ok := matchWhole(m.line, m.text, sign); ok &&
		!insideLonger(at, s.Errno, m.errnos) {
		return SignMatch{Quotes: quotes, score: wholeText + literals(sign) + call, at: at,
			own: !isErrnoText(s.Errno, s.Text), call: call}, true
	}
	if at, ok := m.errnos[s.Errno]; ok {
		score := byErrno + at.end - at.start + call
		return SignMatch{score: score, at: at, call: call}, true
	}
	if n, ok := matchPart(m.line, sign); ok {
		return SignMatch{score: partText + n + call, own: true}, true
	}
	if n, ok := matchMost(m.line, sign); ok {
		return SignMatch{score: mostText + n + call, own: true}, true
	}
	return SignMatch{}, false
}

// insideLonger says that the words belong to a longer message of another errno: "too many
// open files" inside "too many open files in system".
func insideLonger(at span, errno string, errnos map[string]span) bool {
	for name, other := range errnos {
		if name != errno && other.start <= at.start && at.end <= other.end &&
			other.end-other.start > at.end-at.start {
			return true
		}
	}
	return false
}

func callScore(call string, calls []string) int {
	if call == "" || len(calls) == 0 {
		return 0
	}
	for _, w := range words(call) {
		if slices.Contains(calls, w.text) {
			return sameCall
		}
	}
	return -sameCall
}

// word is a run of letters, digits and "_" of a text in lower case, and where it stands
// (byte offsets).
type word struct {
	text       string
	start, end int
}

// span is a range of words.
type span struct{ start, end int }

// anything is the word that stands for any words in a sign.
const anything = "…"

func words(text string) (out []word) {
	start := -1
	flush := func(end int) {
		if start >= 0 {
			out = append(out, word{spelling(strings.ToLower(text[start:end])), start,
				end})
			start = -1
		}
	}
	for i, r := range text {
		inside := r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r)
		if !inside {
			flush(i)
		} else if start < 0 {
			start = i
		}
		if string(r) == anything {
			out = append(out, word{anything, i, i + utf8.RuneLen(r)})
		}
	}
	flush(len(text))
	return out
}

// spelling makes the kernel's two spellings of a word one; its messages have both.
func spelling(w string) string { return strings.ReplaceAll(w, "neighbor", "neighbour") }

func isNumber(w string) bool { return strings.Trim(w, "0123456789") == "" }

func literals(sign []word) (n int) {
	for _, w := range sign {
		if w.text != anything {
			n++
		}
	}
	return n
}

// matchWhole finds all words of the sign in the line, in order and with nothing but numbers
// between them except at "…".
func matchWhole(line []word, text string, sign []word) (at span, quotes []string, ok bool) {
	if literals(sign) == 0 {
		return at, nil, false
	}
	for first := range line {
		end, quotes, ok := matchFrom(line, text, sign, first)
		if ok {
			return span{first, end}, quotes, true
		}
	}
	return at, nil, false
}

func matchFrom(line []word, text string, sign []word, i int) (end int, quotes []string, ok bool) {
	from := -1 // byte where the words at a "…" begin
	for _, s := range sign {
		if s.text == anything {
			if i > 0 {
				from = line[i-1].end
			} else {
				from = 0
			}
			continue
		}
		for i < len(line) && line[i].text != s.text &&
			(from >= 0 || isNumber(line[i].text)) {
			i++
		}
		if i == len(line) || line[i].text != s.text {
			return 0, nil, false
		}
		if from >= 0 {
			quotes, from = append(quotes, quote(text[from:line[i].start])), -1
		}
		i++
	}
	if from >= 0 {
		rest, _, _ := strings.Cut(strings.TrimLeft(text[from:], " :,=\"'"), " ")
		quotes = append(quotes, quote(rest))
	}
	return i, quotes, true
}

func quote(s string) string {
	return strings.TrimRight(strings.TrimLeft(s, " :,;=\"'"), " :,;.!=\"'")
}

// matchPart says whether the line is a part of the sign: "syn flooding". One word is too little.
func matchPart(line, sign []word) (n int, ok bool) {
	var plain []word
	for _, w := range line {
		if !isNumber(w.text) && w.text != anything {
			plain = append(plain, w)
		}
	}
	if len(plain) < 2 {
		return 0, false
	}
	for i := range sign {
		if i+len(plain) <= len(sign) &&
			slices.EqualFunc(plain, sign[i:i+len(plain)], func(a, b word) bool {
				return a.text == b.text
			}) {
			return len(plain), true
		}
	}
	return 0, false
}

// matchMost says whether at least three words and three quarters of the sign stand in the line,
// in order: messages differ a little from one kernel to the next.
func matchMost(line, sign []word) (n int, ok bool) {
	i := 0
	for _, s := range sign {
		if j := slices.IndexFunc(line[i:], func(w word) bool {
			return w.text == s.text
		}); s.text != anything && j >= 0 {
			n, i = n+1, i+j+1
		}
	}
	return n, n >= 3 && n*4 >= literals(sign)*3
}
