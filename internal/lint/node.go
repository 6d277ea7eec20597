package lint

import "strings"

// node is a part of a text that has a structure: a scalar, a list, or a table of names and what
// stands under them. YAML and the languages of braces are both brought into this form, and tree.go
// reads settings out of it.
type node struct {
	kind  kind
	text  word // of a scalar
	made  bool // a scalar that is an expression, and not known here
	plain bool // a scalar without quotes
	row   int
	keys  []*node // of a table
	items []*node
	flow  bool // a list or table in brackets
	call  bool // a list of what a function is given
	alias bool // stands elsewhere as well
}

type kind uint8

const (
	scalar kind = iota
	list
	table
)

func (n *node) String() string { return trim(n.text.String()) }

// isText says whether a node is a scalar with something in it.
func (n *node) isText() bool { return n != nil && n.kind == scalar && n.String() != "" }

// put adds to a table, or with an empty key to a list.
func (n *node) put(key, value *node) {
	if n.kind == table && key == nil {
		key = &node{row: value.row}
	}
	if n.kind == table {
		n.keys = append(n.keys, key)
	}
	n.items = append(n.items, value)
}

// under is what stands under one of some names in a table.
func (n *node) under(names ...string) *node {
	if n == nil || n.kind != table {
		return nil
	}
	for _, name := range names {
		for i, k := range n.keys {
			if strings.EqualFold(k.String(), name) {
				return n.items[i]
			}
		}
	}
	return nil
}

// at is the text under one of some names, "" for none.
func (n *node) at(names ...string) string {
	if v := n.under(names...); v.isText() {
		return v.String()
	}
	return ""
}

// has says whether one of some names is there.
func (n *node) has(names ...string) bool { return n.under(names...) != nil }

// merged is a list of tables as one table, as Salt writes them; another node is itself.
func (n *node) merged() *node {
	if n.kind != list {
		return n
	}
	out := &node{kind: table, row: n.row}
	for _, item := range n.items {
		if item.kind != table {
			return n
		}
		out.keys, out.items = append(out.keys, item.keys...), append(out.items,
			item.items...)
	}
	return out
}
