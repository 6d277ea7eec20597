package lint

import (
	"regexp"
	"strconv"
	"strings"
)

// loopNames are those under which a task of Ansible has the items that it is done with.
var loopNames = []string{"loop", "with_items", "with_dict", "with_list", "with_flattened",
	"with_together"}

// mostCopied bounds the nodes of tasks with items put in.
const mostCopied = 50_000

// itemUse is where a template puts in an item, or a part of one. Filters that may change it are
// none of it.
var itemUse = regexp.MustCompile(`\{\{-?\s*(\w+)((?:\.\w+|\[['"]?\w+['"]?\])*)\s*` +
	`(?:\|\s*(?:string|int|trim|quote|default\([^{}]*\))\s*)*-?\}\}`)

var itemPart = regexp.MustCompile(`\w+`)

// eachItem reads a task of Ansible with each item of its loop put in; ok says that it has one.
func (p *parser) eachItem(n *node, name string) (ok bool) {
	loop := n.under(loopNames...)
	if loop == nil || p.lang != nil || loop.kind == scalar {
		return false
	}
	use := &itemUses{name: "item"}
	if v := n.under("loop_control").at("loop_var"); v != "" {
		use.name = v
	}
	for _, item := range itemsOf(loop, n.has("with_together")) {
		use.item, use.found = item, false
		one := &node{kind: table, row: n.row, flow: n.flow}
		for i, k := range n.keys {
			if v := n.items[i]; v != loop && k.String() != "loop_control" {
				one.put(k, use.in(v))
			}
		}
		if p.copied += use.copied; p.copied > mostCopied {
			p.goTo(loop.row)
			p.notRead("the items of more loops than are followed")
			return false
		}
		if !use.found {
			return false // what its items are by themselves is read
		}
		p.within(p.worldOf(one, name), func() { p.table(one, name) })
	}
	return true
}

// itemsOf are the items of a loop: those of a list, a key and a value of a table each, or with
// together, those that have the same place in some lists.
func itemsOf(loop *node, together bool) (items []*node) {
	if loop.kind == table {
		for i, k := range loop.keys {
			one := &node{kind: table, row: k.row}
			one.put(&node{text: word{"key", k.row}}, k)
			one.put(&node{text: word{"value", k.row}}, loop.items[i])
			items = append(items, one)
		}
		return items
	}
	if !together {
		return loop.items
	}
	for _, in := range loop.items {
		for i, v := range in.items {
			if i == len(items) {
				items = append(items, &node{kind: list, row: v.row})
			}
			items[i].items = append(items[i].items, v)
		}
	}
	return items
}

// itemUses puts an item in where a task uses it.
type itemUses struct {
	name   string
	item   *node
	found  bool
	copied int // nodes
}

func (u *itemUses) in(n *node) *node {
	u.copied++
	out := *n
	out.alias = true // what has nothing of the item is told once
	out.items = make([]*node, len(n.items))
	for i, v := range n.items {
		out.items[i] = u.in(v)
	}
	if n.kind != scalar || !strings.Contains(n.text.text, "{{") {
		return &out
	}
	row := n.text.row
	out.text.text = itemUse.ReplaceAllStringFunc(n.text.text, func(text string) string {
		m := itemUse.FindStringSubmatch(text)
		v := u.item
		if m[1] != u.name {
			return text
		}
		for _, part := range itemPart.FindAllString(m[2], deepestNest) {
			at, err := strconv.Atoi(part)
			if err == nil && v != nil && v.kind == list && at < len(v.items) {
				v = v.items[at]
			} else {
				v = v.under(part)
			}
		}
		if u.found = true; v == nil || v.kind != scalar {
			return text
		}
		row = v.text.row
		return v.String()
	})
	if !strings.Contains(n.text.text, "\n") {
		out.row, out.text.row = row, row
	}
	return &out
}
