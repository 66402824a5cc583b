// Package scpi is the instrument's side of SCPI-99 and IEEE 488.2: it takes
// program messages apart and says which command of a table each unit is.
package scpi

import (
	"strconv"
	"strings"
)

// Pattern is a command header as manuals write it:
// "[SOURce:]VOLTage[:LEVel]:PROTection", "*IDN". Capitals are the short form,
// brackets enclose nodes that may be left out, a # stands for a number.
type Pattern []node

type node struct {
	short, long string
	optional    bool
	numbered    bool
}

// Compile reads a pattern. It is for tables in source code: it expects a well-formed text.
func Compile(text string) Pattern {
	var p Pattern
	for part := range strings.SplitSeq(spread.Replace(text), ":") {
		if part == "" {
			continue
		}
		n := node{optional: part[0] == '['}
		part = strings.Trim(part, "[]")
		part, n.numbered = strings.CutSuffix(part, "#")
		n.long = strings.ToUpper(part)
		n.short = strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' {
				return -1
			}
			return r
		}, part)
		p = append(p, n)
	}
	return p
}

// spread moves the colons out of the brackets, so that a colon always parts two nodes.
var spread = strings.NewReplacer(":]", "]:", "[:", ":[")

// Match says whether a header, in nodes without colons, is this command; in
// which case it returns the numbers of the nodes that have one, 1 where none was sent.
func (p Pattern) Match(header []string) (numbers []int, ok bool) {
	if len(p) == 0 {
		return nil, len(header) == 0
	}
	if len(header) > 0 {
		if number, ok := p[0].match(header[0]); ok {
			if rest, ok := p[1:].Match(header[1:]); ok {
				if p[0].numbered {
					rest = append([]int{number}, rest...)
				}
				return rest, true
			}
		}
	}
	if p[0].optional {
		numbers, ok = p[1:].Match(header)
		if ok && p[0].numbered {
			numbers = append([]int{1}, numbers...)
		}
		return numbers, ok
	}
	return nil, false
}

func (n node) match(sent string) (number int, ok bool) {
	sent = strings.ToUpper(sent)
	if !n.numbered {
		return 0, sent == n.short || sent == n.long
	}
	name := strings.TrimRight(sent, "0123456789")
	if name != n.short && name != n.long {
		return 0, false
	}
	if name == sent {
		return 1, true
	}
	number, err := strconv.Atoi(sent[len(name):])
	return number, err == nil
}
