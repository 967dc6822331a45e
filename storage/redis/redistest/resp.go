package redistest

import (
	"bytes"
	"strconv"
)

// maxElements bounds the length that a header may announce: beyond it the stream is not RESP.
const maxElements = 1 << 31

// replyScanner finds where replies of RESP2 and RESP3 begin and end in a stream that comes in pieces of any size. It keeps
// no content. The zero value is at the start of a stream.
type replyScanner struct {
	need   int64 // elements that the reply still lacks; 0 between two replies
	skip   int64 // bytes that the present bulk still lacks, its CRLF included
	header []byte
	length int  // bytes of the present line so far
	blind  bool // the stream is no RESP (TLS, say): everything passes
}

// between tells whether the next byte begins a reply or a push.
func (s *replyScanner) between() bool { return s.need == 0 && s.length == 0 && !s.blind }

// scan takes data, up to the end of the present reply, and returns how many bytes it took: at least one if there are any.
func (s *replyScanner) scan(data []byte) int {
	if s.blind || len(data) == 0 {
		return len(data)
	}
	if s.between() {
		s.need = 1
	}
	n := 0
	for n < len(data) && s.need > 0 && !s.blind {
		if s.skip > 0 {
			step := min(s.skip, int64(len(data)-n))
			s.skip -= step
			n += int(step)
			if s.skip == 0 {
				s.need--
			}
			continue
		}
		n += s.line(data[n:])
	}
	if s.blind {
		return len(data)
	}
	return n
}

// headerSize is how much of a line is kept: more than the type and any length need.
const headerSize = 24

// line takes data up to the end of a line and acts on the line when it is whole.
func (s *replyScanner) line(data []byte) int {
	n, whole := bytes.IndexByte(data, '\n')+1, true
	if n == 0 {
		n, whole = len(data), false
	}
	s.header = append(s.header, data[:min(n, headerSize-len(s.header))]...)
	s.length += n
	if whole {
		s.act()
		s.header, s.length = s.header[:0], 0
	}
	return n
}

// act says what a line means for what follows.
func (s *replyScanner) act() {
	switch s.header[0] {
	case '+', '-', ':', '_', '#', ',', '(': // the line is all of it
		s.need--
	case '$', '=', '!': // so many bytes and a CRLF; -1 is RESP2's null
		if n := s.number(); n >= 0 {
			s.skip = n + 2
		} else {
			s.need--
		}
	case '*', '~', '>': // so many elements
		s.need += max(s.number(), 0) - 1
	case '%': // so many pairs
		s.need += 2*max(s.number(), 0) - 1
	case '|': // pairs about the element that follows, which is still to come
		s.need += 2 * max(s.number(), 0)
	default:
		s.blind = true
	}
}

// number reads the length in a header; what has none is no RESP that Redis speaks.
func (s *replyScanner) number() int64 {
	n, err := strconv.ParseInt(string(bytes.TrimSuffix(s.header[1:], []byte("\r\n"))), 10, 64)
	if err != nil || n < -1 || n > maxElements {
		s.blind = true
		return -1
	}
	return n
}
