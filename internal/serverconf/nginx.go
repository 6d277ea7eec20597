package serverconf

import "bytes"

// defaultConnections is worker_connections where a file does not set it
// (nginx src/event/ngx_event.c DEFAULT_CONNECTIONS).
const defaultConnections = 512

// Nginx reads worker_connections of nginx.conf, the bound of one worker for everything that it
// has open towards clients and backends.
func Nginx(b []byte) (Limit, error) {
	l := Limit{Connections: defaultConnections, Name: "worker_connections"}
	found, included, opened := false, false, false
	var blocks []string
	err := Statements(b, func(words []Word, end byte) error {
		in := len(blocks) == 0 || len(blocks) == 1 && blocks[0] == "events"
		switch {
		case end == '}' && (len(blocks) == 0 || len(words) > 0),
			end == ';' && len(words) == 0:
			return errSyntax
		case end == '}':
			blocks = blocks[:len(blocks)-1]
		case end == '{':
			if len(words) == 0 {
				return errSyntax
			}
			blocks = append(blocks, words[0].Text)
			opened = true
		case in && words[0].Text == "include":
			included = true
		case len(blocks) == 1 && in && words[0].Text == "worker_connections":
			n, err := number(words[len(words)-1].Text)
			if err != nil || len(words) != 2 || found {
				return errSyntax
			}
			l.Connections, found = n, true
		}
		return nil
	})
	switch {
	case err != nil || len(blocks) > 0 || !opened:
		return Limit{}, errSyntax
	case !found && included:
		return Limit{}, errIncludes
	}
	return l, nil
}

// Word is one of a statement, in the row where it begins.
type Word struct {
	Text string
	Row  int
}

// Statements splits a file in nginx's syntax (src/core/ngx_conf_file.c ngx_conf_read_token):
// words, which quotes keep together, up to a semicolon or brace.
func Statements(b []byte, each func(words []Word, end byte) error) error {
	var words []Word
	row := 1
	for i := 0; i < len(b); {
		switch c := b[i]; c {
		case '\n':
			row++
			i++
		case ' ', '\t', '\r':
			i++
		case '#':
			for i < len(b) && b[i] != '\n' {
				i++
			}
		case ';', '{', '}':
			if err := each(words, c); err != nil {
				return err
			}
			words = nil
			i++
		default:
			word, next := nginxWord(b, i)
			words = append(words, Word{word, row})
			row += bytes.Count(b[i:next], []byte("\n"))
			i = next
		}
	}
	if len(words) > 0 {
		return errSyntax
	}
	return nil
}

// nginxWord is the word that begins at i, and where it ends.
func nginxWord(b []byte, i int) (string, int) {
	quote := b[i]
	if quote != '"' && quote != '\'' {
		quote = 0
	} else {
		i++
	}
	var word []byte
	for ; i < len(b); i++ {
		c := b[i]
		switch {
		case c == '\\' && i+1 < len(b):
			i++
			word = append(word, b[i])
			continue
		case quote != 0 && c == quote:
			return string(word), i + 1
		case quote == 0 && c == '$' && i+1 < len(b) && b[i+1] == '{':
			word = append(word, c)
			i++
			word = append(word, b[i])
			continue
		case quote == 0 && endsNginxWord(c):
			return string(word), i
		}
		word = append(word, c)
	}
	return string(word), i
}

func endsNginxWord(c byte) bool {
	switch c {
	case ' ', '\t', '\r', '\n', ';', '{':
		return true
	}
	return false
}
