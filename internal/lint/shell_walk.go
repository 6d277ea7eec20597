package lint

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/maxconn/maxconn/internal/knob"
)

// stmts takes statements; to are the files that their output goes to.
func (s *script) stmts(list []*syntax.Stmt, to []string) {
	for _, st := range list {
		s.stmt(st, to)
	}
}

func (s *script) stmt(st *syntax.Stmt, to []string) {
	if own, ok := s.output(st); ok {
		to = own
	}
	if _, isCall := st.Cmd.(*syntax.CallExpr); !isCall {
		s.pairs(st.Redirs)
	}
	switch c := st.Cmd.(type) {
	case *syntax.CallExpr:
		s.call(c, st.Redirs, to)
	case *syntax.BinaryCmd:
		s.binary(c, to)
	case *syntax.DeclClause:
		s.assigns(c.Args)
		s.sub()
	case *syntax.Block:
		s.stmts(c.Stmts, to)
	case *syntax.Subshell:
		s.stmts(c.Stmts, to)
	case *syntax.TimeClause:
		if c.Stmt != nil {
			s.stmt(c.Stmt, to)
		}
	case *syntax.CoprocClause:
		s.stmt(c.Stmt, to)
	default:
		s.branch(c, to)
	}
}

// pairs takes the lines of a here-document that a loop reads: a name and a value each.
func (s *script) pairs(redirs []*syntax.Redirect) {
	for _, r := range redirs {
		if r.Hdoc == nil {
			continue
		}
		for row, line := range (word{s.raw(r.Hdoc), s.rowOf(r.Hdoc.Pos())}).lines() {
			s.row = row
			name, value, _ := strings.Cut(trim(line), " ")
			if knob.Find(knob.Key(name)) != nil && isValue(value) {
				s.add(setting{form: asWrite, key: knob.Key(name),
					value: trim(value)})
			} else {
				s.edited("", trim(line))
			}
		}
	}
}

// branch takes what may not run, or more than once.
func (s *script) branch(c syntax.Command, to []string) {
	s.branches = s.branches || c != nil
	s.inBranch++
	defer func() { s.inBranch-- }()
	switch c := c.(type) {
	case *syntax.IfClause:
		for ; c != nil; c = c.Else {
			s.stmts(c.Cond, to)
			s.stmts(c.Then, to)
		}
	case *syntax.WhileClause:
		s.stmts(c.Cond, to)
		s.stmts(c.Do, to)
	case *syntax.ForClause:
		if each, ok := c.Loop.(*syntax.WordIter); ok {
			s.loop(each.Name.Value, texts(s.words(each.Items)))
			s.remember(each.Name.Value, "$")
		}
		s.stmts(c.Do, to)
	case *syntax.CaseClause:
		for _, item := range c.Items {
			s.stmts(item.Stmts, to)
		}
	case *syntax.FuncDecl:
		s.stmt(c.Body, to)
	}
}

// output are the files that a statement writes to; ok says that it does not write to what the block
// around it writes to.
func (s *script) output(st *syntax.Stmt) (to []string, ok bool) {
	for _, r := range st.Redirs {
		if r.N != nil && r.N.Value != "1" {
			continue
		}
		switch r.Op {
		case syntax.RdrOut, syntax.AppOut, syntax.RdrClob, syntax.RdrAll, syntax.AppAll:
			to, ok = append(to, s.word(r.Word).String()), true
		}
	}
	return files(to), ok
}

// longestPipe is how many commands behind one are looked at for where its output goes.
const longestPipe = 4

// binary takes a pipe, or commands joined by && and ||.
func (s *script) binary(c *syntax.BinaryCmd, to []string) {
	if !isPipe(c) {
		s.stmt(c.X, to)
		s.stmt(c.Y, to)
		return
	}
	var stages []*syntax.Stmt
	inPipe(&stages, c)
	for i, st := range stages {
		last := min(len(stages), i+1+longestPipe)
		into := slices.Clone(to)
		for _, later := range stages[i+1 : last] {
			own, _ := s.output(later)
			into = append(into, own...)
			if call, ok := later.Cmd.(*syntax.CallExpr); ok {
				words := unwrapped(s.words(call.Args))
				into = append(append(into, teed(words)...), read(words)...)
			}
		}
		s.inner = nil
		s.stmt(st, into)
	}
}

func isPipe(c *syntax.BinaryCmd) bool { return c.Op == syntax.Pipe || c.Op == syntax.PipeAll }

// inPipe are the commands of a pipe in their order.
func inPipe(stages *[]*syntax.Stmt, c *syntax.BinaryCmd) {
	for _, st := range []*syntax.Stmt{c.X, c.Y} {
		if inner, ok := st.Cmd.(*syntax.BinaryCmd); ok && isPipe(inner) {
			inPipe(stages, inner)
			continue
		}
		*stages = append(*stages, st)
	}
}

func (s *script) call(c *syntax.CallExpr, redirs []*syntax.Redirect, to []string) {
	s.assigns(c.Assigns)
	if words := unwrapped(s.words(c.Args)); len(words) > 0 {
		s.row = words[0].row
		to = append(slices.Clip(to), teed(words)...)
		if readsTree(words) {
			to = []string{toTree}
		}
		if words[0].text == "read" && helpText.MatchString(words[len(words)-1].text) {
			to = []string{"/dev/null"}
		}
		if !s.fed(redirs, path.Base(words[0].text), to) {
			s.command(words, to)
		}
	}
	s.sub()
}

// helpText are variables whose text is only shown.
var helpText = regexp.MustCompile(`(?i)^\w*(?:help|usage|message|msg|banner|motd|notice)$`)

// sub takes the statements of $( ).
func (s *script) sub() {
	inner := s.inner
	s.inner = nil
	s.captured++
	s.stmts(inner, nil)
	s.captured--
}

// read is what reads the standard input: sysctl -p, xargs sysctl -w, or a shell.
func read(words []word) (to []string) {
	if len(words) == 0 {
		return nil
	}
	name, args := path.Base(words[0].String()), texts(words[1:])
	switch {
	case readsTree(words):
		return []string{toTree}
	case name == "sysctl", name == "xargs" && slices.Contains(args, "sysctl"):
		return []string{toSysctl}
	case slices.Contains(shells, name) || slices.Contains(carriers, name):
		return []string{toShell}
	}
	return nil
}

// readsTree says whether a command is told to read YAML from its standard input.
func readsTree(words []word) bool {
	return len(words) > 0 && slices.Contains(readers, path.Base(words[0].String())) &&
		slices.ContainsFunc(words, func(w word) bool {
			return w.text == "-" || w.text == "-f-" || strings.HasSuffix(w.text, "=-")
		})
}

// readers are commands that take YAML.
var readers = []string{"kubectl", "oc", "k3s", "microk8s", "docker", "docker-compose", "podman",
	"podman-compose", "nerdctl", "helm"}

// fed takes what a command reads: a here-document, or a string after <<<.
func (s *script) fed(redirs []*syntax.Redirect, name string, to []string) bool {
	for _, r := range redirs {
		switch {
		case r.Op == syntax.WordHdoc &&
			slices.Contains([]string{"sysctl", "tee", "cat"}, name):
			w := s.word(r.Word)
			w.text = unescapes.Replace(w.text)
			s.content(to, w)
			return true
		case r.Op == syntax.Hdoc || r.Op == syntax.DashHdoc:
			if name == ":" || len(to) == 0 && s.captured == 0 && name == "cat" {
				to = []string{"/dev/null"} // a comment, or what is only shown
			}
			s.document(r, to)
			return true
		}
	}
	return false
}

// document takes a here-document. In one whose end mark is in quotes, backslashes stay.
func (s *script) document(r *syntax.Redirect, to []string) {
	end := s.word(r.Word).String()
	if s.open {
		s.here = &document{end, to}
		return
	}
	if r.Hdoc == nil {
		return
	}
	text := strings.TrimRight(s.raw(r.Hdoc), "\n")
	if last := strings.LastIndexByte(text, '\n') + 1; trim(text[last:]) == end {
		text = text[:last]
	}
	if !strings.ContainsAny(s.raw(r.Word), `"'\`) {
		text = strings.ReplaceAll(text, "\\\n", folded)
	}
	s.content(to, word{text, s.rowOf(r.Hdoc.Pos())})
}

// assigns takes the elements of tables, T=( [net.core.somaxconn]=1024 "net.core.rmem_max=30" ) and
// T["k"]=v, and strings over several lines.
func (s *script) assigns(all []*syntax.Assign) {
	for _, a := range all {
		switch {
		case a.Array != nil:
			s.array(a.Array.Elems)
		case a.Index != nil:
			s.element(a.Index, a.Value)
		case a.Value != nil:
			s.assigned(a)
		}
	}
}

// assigned takes a variable: a text over several lines, a limit that a script of a distribution
// takes from there, or a word that is put in later.
func (s *script) assigned(a *syntax.Assign) {
	w := s.word(a.Value)
	if a.Name == nil {
		return // a flag of declare
	}
	name, value := a.Name.Value, w.String()
	switch {
	case s.variableItem(name, value, w.row):
	case strings.HasPrefix(w.text, "$("): // its commands are read by themselves
	case strings.Contains(w.text, "\n"):
		s.nested(w)
	case strings.HasPrefix(name, "GRUB_CMDLINE"):
		s.row = w.row
		s.bootLine(value)
	case (name == "ULIMIT" || name == "rc_ulimit") && strings.HasPrefix(value, "-"):
		s.row = w.row
		s.ulimit(quotedWords(value))
	case givesOptions(value):
		s.within(world{scope: OfContainer, given: true}, func() {
			var words []word
			for _, one := range quotedWords(value) {
				words = append(words, word{one, w.row})
			}
			s.otherCommand(words)
		})
	case slices.Contains(fileLimits, name):
		s.row = w.row
		if value != "" && strings.Trim(value, "0123456789") == "" {
			s.add(setting{form: asUlimit, key: name, value: value})
		}
	}
	if s.inBranch > 0 || len(value) > longestName || strings.Contains(value, "\n") {
		value = "$"
	}
	s.remember(name, value)
}

// fileLimits are variables from which scripts of distributions take ulimit -n.
var fileLimits = []string{"ULIMIT", "MAX_OPEN_FILES", "MAXFILES", "NFILES", "MAX_OPEN",
	"ULIMIT_NOFILE", "OPEN_FILE_LIMIT"}

// givesOptions says whether a variable holds options of a container's runtime.
func givesOptions(value string) bool {
	for _, flag := range []string{"--sysctl", "--ulimit", "--default-ulimit"} {
		if strings.Contains(value, flag+" ") || strings.Contains(value, flag+"=") {
			return true
		}
	}
	return false
}

// bootLine takes sysctl.KEY=VALUE (since Linux 5.8) of the kernel's command line.
func (p *parser) bootLine(value string) {
	for _, one := range quotedWords(value) {
		hashSize, isOption := strings.CutPrefix(one, "nf_conntrack.hashsize=")
		if strings.HasPrefix(one, "sysctl.") {
			p.assignment(one)
		} else if isOption {
			p.moduleOption("options nf_conntrack hashsize=" + hashSize)
		}
	}
}

// array takes the elements of a table, or the arguments of a command that is run later.
func (s *script) array(all []*syntax.ArrayElem) {
	var words []word
	for _, e := range all {
		if e.Value != nil {
			words = append(words, s.word(e.Value))
		}
	}
	if given := texts(words); slices.Contains(given, "--sysctl") ||
		slices.Contains(given, "--ulimit") {
		s.within(world{scope: OfContainer, given: true}, func() { s.otherCommand(words) })
		return
	}
	for _, e := range all {
		s.element(e.Index, e.Value)
	}
}

func (s *script) element(index syntax.ArithmExpr, value *syntax.Word) {
	if value == nil {
		return
	}
	w := s.word(value)
	s.row = w.row
	if index != nil {
		s.parser.element(s.raw(index), w.String())
	} else {
		s.edited("", w.String())
	}
}

// teed are the files that a tee writes.
func teed(words []word) (to []string) {
	if len(words) == 0 || path.Base(words[0].text) != "tee" {
		return nil
	}
	for _, w := range words[1:] {
		if !strings.HasPrefix(w.text, "-") {
			to = append(to, w.String())
		}
	}
	return files(to)
}
