package lint

import (
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
)

// vector is what the kernel reads from a text of numbers.
type vector struct {
	n     []int64
	big   bool   // a number is above 2^63-1
	rest  string // behind the numbers; the kernel skips it
	wrong string // why it refuses the text, "" where it does not
	octal bool   // a number with a leading zero, which counts as octal
}

// numbers reads up to most numbers as the kernel does (kernel/sysctl.c proc_get_long):
// blanks between them, decimal, 0x or octal with a leading 0, one "-" in front. What stands
// behind the last one and a blank is not looked at; a number that anything but a blank
// follows is refused, quotes and commas too (all measured on 6.18).
func numbers(text string, most int) vector {
	var v vector
	words := strings.Fields(text)
	for i, w := range words {
		if i == most {
			v.rest = strings.Join(words[i:], " ")
			return v
		}
		n, big, ok := number(w)
		if !ok {
			v.wrong = refusal(w)
			return v
		}
		v.octal = v.octal || isOctal(w)
		v.big = v.big || big
		v.n = append(v.n, n)
	}
	if len(words) == 0 {
		v.wrong = "there is no value"
	}
	return v
}

func number(w string) (n int64, big, ok bool) {
	digits := strings.TrimPrefix(w, "-")
	if digits == "" || digits[0] < '0' || digits[0] > '9' || !plainDigits(digits) {
		return 0, false, false
	}
	u, err := strconv.ParseUint(digits, 0, 64)
	if err != nil {
		return math.MaxInt64, true, strings.Contains(err.Error(), strconv.ErrRange.Error())
	}
	if u > math.MaxInt64 {
		return math.MaxInt64, true, true
	}
	if digits != w {
		return -int64(u), false, true
	}
	return int64(u), false, true
}

// plainDigits keeps out what strconv takes with base 0 and the kernel does not: 1_000, 0b1, 0o7.
func plainDigits(s string) bool {
	hex := strings.HasPrefix(s, "0x") || strings.HasPrefix(s, "0X")
	return !strings.Contains(s, "_") && (hex || !strings.ContainsAny(s, "oObB"))
}

func isOctal(w string) bool {
	digits := strings.TrimPrefix(w, "-")
	return len(digits) > 1 && digits[0] == '0' && digits[1] != 'x' && digits[1] != 'X'
}

// refusal says what is wrong with a word that is no number.
func refusal(w string) string {
	switch {
	case strings.ContainsAny(w, `"'`):
		return "quotes are part of the value here, and the kernel takes no number with " +
			"a quote"
	case strings.Contains(w, ","):
		return "the kernel wants blanks between numbers, not commas, and no commas " +
			"inside them"
	case strings.ContainsAny(w, ";#"):
		return "what follows a number without a blank makes it no number: a comment " +
			"has to stand on a line of its own"
	case strings.HasSuffix(w, `\`):
		return "a backslash does not join lines in sysctl.d, it is part of the value"
	case strings.TrimRight(w, "kKmMgGtTbB") != w && w[0] >= '0' && w[0] <= '9':
		return "the kernel takes plain numbers, without k, M or G"
	case strings.Contains(w, "-") && !strings.HasPrefix(w, "-"):
		return "the kernel wants two numbers with a blank between them, not a range " +
			"with a hyphen"
	}
	return "it is not a number that the kernel takes"
}

// fillIn is what people write where a value has to be put: <value>, @value@, %{value}, N,
// YOUR_VALUE.
var fillIn = regexp.MustCompile(`^(?:<[^<>]+>|@\w+@|%\{.*\}|%\w+%|__\w+__|\{[\w.]+\}|\[\[.*\]\]|` +
	`[A-Z](?:\s+[A-Z])*|` +
	`(?i:min|max|default|low|high|value|number|size|n|x)(?:\s+(?:min|max|default|low|high))*|` +
	`[A-Z]{2,}(?:_[A-Z0-9]+)+|X{2,}|\.{3}|\?+)$`)

// variable says whether a value is made by a shell or a template, or has to be filled in, so that
// it is not known here.
func variable(value string) bool {
	return strings.ContainsAny(value, "$`") || strings.Contains(value, "{{") ||
		strings.Contains(value, "<%") || strings.Contains(value, "{%") ||
		strings.Contains(value, "#{") || strings.Contains(value, "\ue000") ||
		value != "" && !isDigit(value[0]) &&
			!(isLetter(value[0]) && strings.Contains(value, ".")) && // as in names
			fillIn.MatchString(trim(value))
}

// count writes a number for people.
func count(n int64) string { return figure.Count(n) }

// memory writes an amount of memory for people: 212,992 bytes, 6 MiB.
func memory(n int64) string {
	switch {
	case n >= 10<<30 || (n >= 1<<30 && n%(1<<30) == 0):
		return count(n>>30) + " GiB"
	case n >= 10<<20 || (n >= 1<<20 && n%(1<<20) == 0):
		return count(n>>20) + " MiB"
	case n >= 10<<10:
		return count(n>>10) + " KiB"
	}
	return count(n) + " bytes"
}

// times says how often: once, 5 times.
func times(n int64) string {
	if n == 1 {
		return "once"
	}
	return count(n) + " times"
}

// jiffies are seconds that no kernel takes, and those that depend on how it was built: the value
// times HZ (100 to 1000) has to fit an int (kernel/sysctl.c do_proc_dointvec_jiffies_conv;
// measured: 8589934 is the largest with HZ=250).
const jiffies = math.MaxInt32 / 100

// refused says why the kernel does not take the value, "" where it does.
func refused(t knob.Takes, value string, r host.Release) string {
	switch t.Kind {
	case knob.Text, knob.Shown:
		return ""
	case knob.PortList:
		return refusedPorts(value)
	case knob.Word:
		return refusedWord(value)
	}
	v := numbers(value, t.N)
	if v.wrong != "" {
		return v.wrong
	}
	b := t.At(r)
	for _, n := range v.n {
		switch {
		case v.big && b.Top == math.MaxInt64:
			return "it is more than the largest number there is, " +
				count(math.MaxInt64)
		case n < b.Low || n > b.Top:
			return "allowed is " + count(b.Low) + " to " + count(b.Top)
		case t.Kind == knob.Seconds && (n > jiffies || n < -jiffies):
			return "that many seconds do not fit (the kernel counts them in " +
				"timer ticks)"
		}
	}
	return ""
}

// refusedWord: proc_dostring takes the whole line; a comment behind the name makes it another
// name (measured: ENOENT).
func refusedWord(value string) string {
	switch {
	case value == "":
		return "there is no value"
	case strings.ContainsAny(value, "\"'"):
		return "quotes are part of the value here, and there is nothing of that name"
	case strings.ContainsAny(value, blank):
		return "the kernel takes one name, and what follows it (a comment has to stand " +
			"on a line of its own) becomes part of it"
	}
	return ""
}

func refusedPorts(value string) string {
	if value == "" {
		return ""
	}
	if _, err := host.ParsePorts(value); err == nil && !strings.ContainsAny(value, blank) {
		return ""
	}
	return "the kernel wants ports and ranges with commas and without blanks: 8080,9000-9010"
}
