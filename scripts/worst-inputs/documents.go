package main

const (
	beginProof = `{"schema":"maxconn.proof/1","kernel":"6.1","cpus":1,"user":"root","seconds":1,"proofs":[`
	beginClaim = `{"id":"a","limit":"accept-queue","claim":"c","predicted":1,"low":1,"high":1,"measured":1,"unit":"x","verdict":"holds"`
	beginCurve = beginProof + beginClaim + `,"series":[{"name":"n","x":"x","y":"y","points":[`
	endCurve   = `{"x":1,"y":1}]}]}]}`
)

// reports are for prove --from.
func reports() (all []input) {
	for _, one := range []struct{ name, begin, text, end string }{
		{"far points", beginCurve + `{"x":1e17,"y":1},{"x":100000000000000020,"y":1},`, " ",
			endCurve},
		{"near points", beginCurve + `{"x":1,"y":1},{"x":1.0000000000000002,"y":1},`, " ",
			endCurve},
		{"huge points", beginCurve + `{"x":-1.7e308,"y":1},{"x":1.7e308,"y":1.7e308},`, " ",
			endCurve},
		{"many points", beginCurve, `{"x":1,"y":2},`, endCurve},
		{"many curves", beginProof + beginClaim + `,"series":[`,
			`{"name":"n","points":[{"x":1,"y":1}]},`, `{}]}]}`},
		{"many empty curves", beginProof + beginClaim + `,"series":[`, `{},`, `{}]}]}`},
		{"many empty points", beginCurve, `{},`, endCurve},
		{"many marks", beginProof + beginClaim +
			`,"series":[{"points":[{"x":1,"y":1}],"marks":[`, `{"name":"m","y":1},`,
			`{}]}]}]}`},
		{"many claims", beginProof, beginClaim + `},`, beginClaim + `}]}`},
		{"many empty claims", beginProof, `{},`, `{}]}`},
		{"many checks", beginProof + beginClaim + `,"evidence":[`,
			`{"what":"w","want":"1","got":"2"},`, `{}]}]}`},
		{"many empty checks", beginProof + beginClaim + `,"control":[`, `{},`, `{}]}]}`},
		{"long words", beginProof + `{"id":"`, `a`, `"}]}`},
		{"escaped words", beginProof + `{"claim":"`, `\u202e`, `"}]}`},
		{"marks of Markdown", beginProof + `{"claim":"`, `<|*_`, `"}]}`},
		{"many reports", `{"schema":"maxconn.proofs/1","reports":[`,
			beginProof + beginClaim + `}]},`, `{}]}`},
		{"many empty reports", `{"schema":"maxconn.proofs/1","reports":[`, `{},`, `{}]}`},
		{"nested arrays", `{"schema":"maxconn.proof/1","x":`, `[`, ``},
		{"blanks", ``, ` `, `{}`},
		{"digits", `{"schema":"maxconn.proof/1","cpus":1`, `0`, `}`},
		{"digits of a figure", `{"schema":"maxconn.proof/1","proofs":[],"seconds":1`, `0`,
			`}`},
		{"one key again", `{"schema":"maxconn.proof/1","proofs":[]`, `,"a":1`, `}`},
		{"reports again", `{"schema":"maxconn.proof/1","proofs":[]`, `,"proofs":[{}]`, `}`},
	} {
		write := framed(one.begin, one.text, one.end)
		all = append(all, input{"prove " + one.name, "prove --from INPUT", write},
			input{"prove --html " + one.name, "prove --html page.html --from INPUT",
				write},
			input{"prove --md " + one.name, "prove --md --from INPUT", write},
			input{"prove -v " + one.name, "prove -v --from INPUT", write})
	}
	claims := numbered(beginProof, `{"id":"%d","unit":"x","verdict":"holds"},`, `{}]}`)
	return append(all, input{"prove two of many claims", "prove --from INPUT,INPUT", claims},
		input{"prove --md two of many claims", "prove --md --from INPUT,INPUT", claims},
		input{"prove --json many claims", "prove --json --from INPUT", claims})
}

const (
	beginPlan = `{"schema":"maxconn.plan/1","host":{"name":"a"},"changes":[`
	change    = `{"target":{"kind":"sysctl","name":"net.a%d"},"setting":"net.a%d","from":"1","to":"2"},`
)

// plans are for apply, which without a terminal and --yes reads and checks them and does nothing.
func plans() (all []input) {
	for _, one := range []struct{ name, begin, text, end string }{
		{"nested arrays", `{"x":`, `[`, ``},
		{"blanks", ``, ` `, `{}`},
		{"reasons", beginPlan + `{"why":"`, `\u202e`, `"}]}`},
		{"empty changes", beginPlan, `{},`, `{}]}`},
		{"goals", `{"schema":"maxconn.plan/1","workload":{"inbound":[`,
			`{"subject":":1","held":1},`, `{}]}}`},
	} {
		all = append(all, input{"apply " + one.name, "apply INPUT",
			framed(one.begin, one.text, one.end)})
	}
	for _, one := range []struct{ name, row string }{
		{"changes", change},
		{"processes", `{"target":{"kind":"process","name":"%d","field":"soft","start":1},"from":"1","to":"2"},`},
		{"listeners", `{"target":{"kind":"listener","name":"1.1.1.1:80","field":"limit","start":1,"pid":1,"inode":%d},"from":"1","to":"2"},`},
	} {
		all = append(all, input{"apply " + one.name, "apply INPUT",
			numbered(beginPlan, one.row, `{}]}`)})
	}
	return all
}

// workloads are goal files.
func workloads() (all []input) {
	for _, one := range []struct{ name, begin, text, end string }{
		{"nested lists", "inbound: ", "[", ""},
		{"nested lists of lines", "inbound:\n  a: ", "- ", "1\n"},
		{"nested maps", "inbound: ", "{a: ", ""},
		{"one long list", "inbound:\n  \":1\": [1", ",1", "]\n"},
		{"list of lines", "inbound:\n  \":1\":\n", "  - 1\n", ""},
		{"comments", "", "#\n", ""},
		{"empty lines", "", "\n", ""},
		{"documents", "", "---\n", ""},
		{"quotes", "inbound: '", "a ", "'\n"},
		{"anchors", "inbound: [", "&a a, ", "]\n"},
		{"aliases", "inbound: [&a a", ", *a", "]\n"},
		{"aliases of lists", "inbound: [&a [a,a,a,a,a,a,a,a]", ", [*a,*a,*a,*a]", "]\n"},
		{"tags", "inbound: ", "!a ", "\n"},
		{"tabs", "inbound:", "\t", "\n"},
		{"indents", "inbound:\n", " ", "a: 1\n"},
		{"question marks", "", "? ", "\n"},
		{"long words", "inbound: ", "a", "\n"},
		{"escapes", "inbound: \"", `\u202e`, "\"\n"},
		{"directives", "", "%YAML 1.1\n", ""},
		{"block text", "inbound: |\n", "  a\n", ""},
		{"folded text", "inbound: >\n", "  a\n\n", ""},
		{"colons", "", ":", "\n"},
		{"empty keys", "", ": \n", ""},
	} {
		all = append(all, input{"plan goals " + one.name,
			"plan --goals INPUT --from small.txt",
			framed(one.begin, one.text, one.end)})
	}
	for _, one := range []struct{ name, begin, row string }{
		{"listeners", "inbound:\n", "  \"10.0.0.0:1%d\": 1\n"},
		{"ports", "inbound:\n", "  \":%d\": 1\n"},
		{"destinations", "outbound:\n", "  \"10.0.%d.1:1\": 1\n"},
		{"keys", "", "k%d: 1\n"},
		{"merge keys", "a: &a {b: 1}\ninbound:\n", "  k%d: {<<: *a}\n"},
		{"flow keys", "inbound: {", "\":%d\": 1, "},
	} {
		all = append(all, input{"plan goals " + one.name,
			"plan --goals INPUT --from small.txt", numbered(one.begin, one.row, "")})
	}
	return all
}
