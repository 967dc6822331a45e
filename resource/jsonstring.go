package resource

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// str consumes a string up to its closing quote and returns it with both quotes,
// or "" if there is none. Escapes are left for unquote to judge.
func (p *jsonParser) str() string {
	start := p.pos
	if !p.take('"') {
		return ""
	}
	for p.pos < len(p.text) {
		c := p.text[p.pos]
		p.pos++
		switch {
		case c == '"':
			return p.text[start:p.pos]
		case c < 0x20:
			return ""
		case c == '\\':
			p.pos++
		}
	}
	return ""
}

// unquote returns the meaning of a quoted string and whether its escapes are well
// formed. A lone surrogate is not: it has no UTF-8 form, and two different
// subjects would become one replacement character.
func unquote(quoted string) (string, bool) {
	if len(quoted) < 2 {
		return "", false
	}
	s := quoted[1 : len(quoted)-1]
	if strings.IndexByte(s, '\\') < 0 {
		return s, true
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			out = append(out, s[i])
			continue
		}
		i++
		if i == len(s) {
			return "", false
		}
		if s[i] == 'u' {
			r, n := unescapeRune(s[i-1:])
			if n == 0 {
				return "", false
			}
			out = utf8.AppendRune(out, r)
			i += n - 2
			continue
		}
		at := strings.IndexByte(`"\/bfnrt`, s[i])
		if at < 0 {
			return "", false
		}
		out = append(out, "\"\\/\b\f\n\r\t"[at])
	}
	return string(out), true
}

// unescapeRune reads \uXXXX, or a pair of them, from the start of s. It returns
// the rune and the bytes it took, or 0 bytes if that is no rune.
func unescapeRune(s string) (rune, int) {
	first, ok := hex4(s)
	if !ok {
		return 0, 0
	}
	if !utf16.IsSurrogate(first) {
		return first, 6
	}
	second, ok := hex4(s[6:])
	if !ok {
		return 0, 0
	}
	r := utf16.DecodeRune(first, second)
	if r == utf8.RuneError {
		return 0, 0
	}
	return r, 12
}

func hex4(s string) (rune, bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range []byte(s[2:6]) {
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case 'A' <= c && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	return r, true
}
