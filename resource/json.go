package resource

import "strings"

// This file reads JSON the way a security decision needs it. encoding/json
// matches names without regard to case, lets the last of two equal names win and
// turns lone surrogates into U+FFFD: each makes two readers of one token see
// two different things (RFC 8725 §2.6). It is also some five times faster,
// since it builds no values that nobody asked for.

const (
	// maxDepth bounds nesting, and with it recursion.
	maxDepth = 32
	// manyMembers is where finding repeated names by comparing each with each
	// gives way to a map, so that a large object costs linear time.
	manyMembers = 16
)

// jsonFault says what is wrong with a text. The zero value is "nothing".
type jsonFault int

const (
	jsonOK jsonFault = iota
	jsonMalformed
	jsonRepeatedName
)

// member is one name of an object and the text of its value.
type member struct {
	name string // unescaped
	raw  string // as it stands in the text
}

// parseObject appends the members of the object that text consists of to dst.
// It checks the whole text, nested values included, against RFC 8259. It does
// not check UTF-8: do that once, before.
func parseObject(text string, dst []member) ([]member, jsonFault) {
	p := jsonParser{text: text}
	p.space()
	dst = p.object(dst, maxDepth)
	p.space()
	if p.fault == jsonOK && p.pos != len(text) {
		p.fault = jsonMalformed
	}
	return dst, p.fault
}

type jsonParser struct {
	text  string
	pos   int
	fault jsonFault
}

func (p *jsonParser) fail(f jsonFault) {
	if p.fault == jsonOK {
		p.fault = f
	}
}

func (p *jsonParser) space() {
	for p.pos < len(p.text) {
		switch p.text[p.pos] {
		case ' ', '\t', '\n', '\r':
			p.pos++
		default:
			return
		}
	}
}

// take consumes c if it is next.
func (p *jsonParser) take(c byte) bool {
	if p.pos < len(p.text) && p.text[p.pos] == c {
		p.pos++
		return true
	}
	return false
}

// object reads one object and appends its members to dst.
func (p *jsonParser) object(dst []member, depth int) []member {
	if depth == 0 || !p.take('{') {
		p.fail(jsonMalformed)
		return dst
	}
	p.space()
	if p.take('}') {
		return dst
	}
	first := len(dst)
	var seen map[string]bool
	for {
		p.space()
		name, ok := unquote(p.str())
		p.space()
		if !ok || !p.take(':') {
			p.fail(jsonMalformed)
			return dst
		}
		p.space()
		start := p.pos
		p.value(depth - 1)
		if p.fault != jsonOK {
			return dst
		}
		// RFC 7519 §4: the names within a claims set are unique.
		if seen = p.unique(dst[first:], name, seen); p.fault != jsonOK {
			return dst
		}
		dst = append(dst, member{name: name, raw: p.text[start:p.pos]})
		p.space()
		if p.take('}') {
			return dst
		}
		if !p.take(',') {
			p.fail(jsonMalformed)
			return dst
		}
	}
}

// unique fails if name is among the members before it. It moves from
// comparing to a map once there are many.
func (p *jsonParser) unique(before []member, name string, seen map[string]bool) map[string]bool {
	if len(before) < manyMembers {
		for i := range before {
			if before[i].name == name {
				p.fail(jsonRepeatedName)
			}
		}
		return nil
	}
	if seen == nil {
		seen = make(map[string]bool, 4*manyMembers)
		for i := range before {
			seen[before[i].name] = true
		}
	}
	if seen[name] {
		p.fail(jsonRepeatedName)
	}
	seen[name] = true
	return seen
}

// value skips one value of any kind.
func (p *jsonParser) value(depth int) {
	if p.pos >= len(p.text) {
		p.fail(jsonMalformed)
		return
	}
	switch c := p.text[p.pos]; {
	case c == '"':
		if _, ok := unquote(p.str()); !ok {
			p.fail(jsonMalformed)
		}
	case c == '{':
		p.object(nil, depth)
	case c == '[':
		p.array(depth, nil)
	case c == '-' || '0' <= c && c <= '9':
		p.number()
	default:
		p.literal()
	}
}

func (p *jsonParser) literal() {
	for _, word := range [...]string{"true", "false", "null"} {
		if strings.HasPrefix(p.text[p.pos:], word) {
			p.pos += len(word)
			return
		}
	}
	p.fail(jsonMalformed)
}

// array skips one array. If each is not nil, it receives the text of every item.
func (p *jsonParser) array(depth int, each func(raw string)) {
	if depth == 0 || !p.take('[') {
		p.fail(jsonMalformed)
		return
	}
	p.space()
	if p.take(']') {
		return
	}
	for p.fault == jsonOK {
		p.space()
		start := p.pos
		p.value(depth - 1)
		if p.fault == jsonOK && each != nil {
			each(p.text[start:p.pos])
		}
		p.space()
		if p.take(']') {
			return
		}
		if !p.take(',') {
			p.fail(jsonMalformed)
		}
	}
}

// number skips a number in the grammar of RFC 8259 §6.
func (p *jsonParser) number() {
	digits := func() {
		start := p.pos
		for p.pos < len(p.text) && '0' <= p.text[p.pos] && p.text[p.pos] <= '9' {
			p.pos++
		}
		if p.pos == start {
			p.fail(jsonMalformed)
		}
	}
	p.take('-')
	if !p.take('0') {
		digits()
	}
	if p.take('.') {
		digits()
	}
	if p.take('e') || p.take('E') {
		if !p.take('+') {
			p.take('-')
		}
		digits()
	}
}
