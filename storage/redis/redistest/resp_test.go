package redistest

import (
	"fmt"
	"strings"
	"testing"
)

// replies are streams with the number of replies (and pushes) that they hold.
var replies = []struct {
	name   string
	stream string
	count  int
}{
	{"a simple string", "+OK\r\n", 1},
	{"an error", "-ERR no\r\n", 1},
	{"a long error", "-ERR " + strings.Repeat("x", 5000) + "\r\n", 1},
	{"an integer", ":-12\r\n", 1},
	{"a bulk string", "$5\r\nhello\r\n", 1},
	{"a bulk string that holds what looks like replies", "$14\r\n+OK\r\n$1\r\nx\r\n*1\r\n", 1},
	{"an empty bulk string", "$0\r\n\r\n", 1},
	{"RESP2's null string", "$-1\r\n", 1},
	{"RESP2's null array", "*-1\r\n", 1},
	{"an empty array", "*0\r\n", 1},
	{"an array", "*2\r\n$1\r\na\r\n:1\r\n", 1},
	{"nested arrays", "*2\r\n*2\r\n*0\r\n*1\r\n$2\r\n\r\n\r\n*-1\r\n", 1},
	{"null", "_\r\n", 1},
	{"booleans", "#t\r\n#f\r\n", 2},
	{"doubles", ",1.5\r\n,inf\r\n,-inf\r\n,nan\r\n", 4},
	{"a big number", "(3492890328409238509324850943850943825024385\r\n", 1},
	{"a verbatim string", "=15\r\ntxt:Some string\r\n", 1},
	{"a bulk error", "!21\r\nSYNTAX invalid syntax\r\n", 1},
	{"a map", "%2\r\n+a\r\n*1\r\n:1\r\n+b\r\n%1\r\n+c\r\n_\r\n", 1},
	{"an empty map", "%0\r\n", 1},
	{"a set", "~2\r\n+a\r\n#t\r\n", 1},
	{"a push", ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n", 1},
	{"attributes before a reply are part of it", "|1\r\n+ttl\r\n:3\r\n*1\r\n|1\r\n+x\r\n%0\r\n:7\r\n", 1},
	{"pipelined replies", "+OK\r\n$-1\r\n*1\r\n$2\r\nab\r\n:1\r\n-E\r\n%1\r\n+a\r\n+b\r\n>1\r\n+p\r\n+last\r\n", 8},
	{"nothing", "", 0},
}

// ends feeds a stream in pieces and returns the offsets at which replies end.
func ends(s *replyScanner, stream string, piece int) []int {
	var offsets []int
	for at := 0; at < len(stream); {
		data := []byte(stream[at:min(at+piece, len(stream))])
		for len(data) > 0 {
			n := s.scan(data)
			if n == 0 {
				return append(offsets, -1)
			}
			at, data = at+n, data[n:]
			if s.between() {
				offsets = append(offsets, at)
			}
		}
	}
	return offsets
}

func TestTheScannerFindsTheEndOfEachReplyHoweverTheStreamIsCut(t *testing.T) {
	for _, tt := range replies {
		t.Run(tt.name, func(t *testing.T) {
			whole := ends(new(replyScanner), tt.stream, max(1, len(tt.stream)))
			if len(whole) != tt.count {
				t.Fatalf("%d replies end at %v, want %d", len(whole), whole, tt.count)
			}
			for piece := 1; piece <= min(len(tt.stream), 40); piece++ {
				s := new(replyScanner)
				if got := ends(s, tt.stream, piece); fmt.Sprint(got) != fmt.Sprint(whole) {
					t.Errorf("in pieces of %d replies end at %v, want %v", piece, got, whole)
				}
				if s.blind {
					t.Errorf("in pieces of %d the scanner takes it for no RESP", piece)
				}
			}
			if tt.count == 0 {
				return
			}
			for cut := range len(tt.stream) - 1 { // every true prefix that ends inside a reply is unfinished
				s := new(replyScanner)
				got := ends(s, tt.stream[:cut+1], cut+1)
				if s.between() != (len(got) > 0 && got[len(got)-1] == cut+1) {
					t.Errorf("after %d bytes: between replies %v, ends %v", cut+1, s.between(), got)
				}
			}
		})
	}
}

func TestTheScannerPassesWhatIsNoRESPWithoutCounting(t *testing.T) {
	for _, stream := range []string{
		"\x16\x03\x01\x02\x00\n", "HTTP/1.1 200 OK\r\n", "\n", "$x\r\n", "*?\r\n", "$-2\r\n", "*99999999999\r\n", "$99999999999999999999999\r\n",
	} {
		s := new(replyScanner)
		rest := stream + "+OK\r\n"
		if n := s.scan([]byte(rest)); n != len(rest) || !s.blind || s.between() {
			t.Errorf("%q: took %d, blind %v, between %v", stream, n, s.blind, s.between())
		}
	}
	s := new(replyScanner)
	if s.scan([]byte("+OK\r\n")); s.blind || !s.between() {
		t.Error("a reply is taken for no RESP")
	}
}

func TestAnArrayOfManyElementsEndsWithItsLast(t *testing.T) {
	const n = 10_000
	stream := fmt.Sprintf("*%d\r\n%s", n, strings.Repeat("$1\r\nx\r\n", n))
	if got := ends(new(replyScanner), stream, 777); len(got) != 1 || got[0] != len(stream) {
		t.Fatalf("ends at %v, want %d", got, len(stream))
	}
}
