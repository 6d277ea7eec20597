package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"

	"github.com/maxconn/maxconn/internal/limit"
)

// goalFile reads a wanted workload from a YAML file: two maps, inbound and outbound, from a
// listener or a destination to what is wanted of it, in the words of the flags: one or a
// list of them.
func (a *app) goalFile(g *goals, name string) (w limit.Workload, err error) {
	text, shown, err := a.input(g.ctx, name, largestGoals)
	if err != nil {
		return w, inputError(shown, err,
			"a goal file is YAML: maxconn plan --help shows one")
	}
	bad := func(err error) error {
		return misuse("maxconn plan --help shows what such a file looks like",
			"read %s: %w", shown, err)
	}
	if err := bounded(text, "\n,[{:?-&*!", mostMarks); err != nil {
		return w, bad(err)
	}
	doc, err := oneDocument(text)
	if err != nil {
		return w, bad(err)
	}
	err = pairs(doc.Content[0], func(key, value *yaml.Node) error {
		switch key.Value {
		case "inbound":
			return goalsOf(value, listener, &w.Inbound)
		case "outbound":
			return goalsOf(value, g.destination, &w.Outbound)
		}
		return onLine(key, fmt.Errorf("%s is neither inbound nor outbound",
			quoted(key.Value)))
	})
	if err == nil && len(w.Inbound)+len(w.Outbound) == 0 {
		err = errors.New("no goals in it")
	}
	if err != nil {
		return w, bad(err)
	}
	return w, nil
}

// oneDocument parses a file of one document: the goals of a second one would be lost
// without a word.
func oneDocument(text []byte) (doc yaml.Node, err error) {
	var more yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(text))
	if err = d.Decode(&doc); err == io.EOF {
		return doc, errors.New("no goals in it")
	}
	if err != nil {
		return doc, err
	}
	if err := d.Decode(&more); err != io.EOF {
		return doc, errors.New("it has more than one document (---)")
	}
	return doc, nil
}

// goalsOf reads one of the two maps.
func goalsOf(n *yaml.Node, subject func(string) (string, error), out *[]limit.Goal) error {
	return pairs(n, func(key, value *yaml.Node) error {
		name, err := subject(key.Value)
		if err != nil {
			return onLine(key, err)
		}
		wants := []*yaml.Node{value}
		if value.Kind == yaml.SequenceNode {
			wants = value.Content
		}
		if len(wants) == 0 {
			return onLine(value,
				fmt.Errorf("nothing is asked of %s", quoted(key.Value)))
		}
		first := len(*out)
		for _, w := range wants {
			if w.Kind != yaml.ScalarNode {
				return onLine(w,
					errors.New("want a count such as 100k, a rate such as "+
						"500/s or a burst such as 2000@once"))
			}
			goal := limit.Goal{Subject: name}
			if err := parseWant(&goal, w.Value); err != nil {
				return onLine(w, err)
			}
			*out = append(*out, goal)
			if err := askedOnce((*out)[first:]); err != nil {
				return onLine(w, err)
			}
		}
		return nil
	})
}

// pairs walks a map in its order and refuses a key that stands twice.
func pairs(n *yaml.Node, each func(key, value *yaml.Node) error) error {
	if n.Kind != yaml.MappingNode {
		return onLine(n, errors.New("want names with what belongs to them, NAME: VALUE"))
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if seen[key.Value] {
			return onLine(key, fmt.Errorf("%s stands twice", quoted(key.Value)))
		}
		seen[key.Value] = true
		if err := each(key, n.Content[i+1]); err != nil {
			return err
		}
	}
	return nil
}

// onLine says on which line something is wrong.
func onLine(n *yaml.Node, err error) error { return fmt.Errorf("line %d: %w", n.Line, err) }
