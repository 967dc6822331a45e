package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// dribble opens a connection, sends a beginning and then a piece every now and then, until the server ends the
// connection. It returns what the server said.
func dribble(address, beginning, piece string) (string, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, beginning); err != nil {
		return "", err
	}
	go func() {
		for {
			time.Sleep(300 * time.Millisecond)
			if _, err := io.WriteString(conn, piece); err != nil {
				return // closed by the server or, below, by us
			}
		}
	}()
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	said, err := io.ReadAll(conn)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil // closed or reset: the server has cut it off
	}
	return string(said), err
}

// Row O1. In parallel with other tests, since most of it is waiting.
func TestThreeHundredSlowConnectionsAreCutOffAndStopNobody(t *testing.T) {
	t.Parallel()
	s := newServer(t, slices.Concat(quickHashes, manyGuesses)...)
	s.want(t, carolsPassword, "user", "add", "carol", "--password-stdin")
	s.publicClient(t, "cli")
	client := newClient(t)
	token := mustSignIn(t, client, s.issuer, "cli", "carol", carolsPassword)

	const form = "POST /oauth2/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
	slow := map[string]struct {
		count            int
		beginning, piece string
	}{
		"no byte of a request": {20, "", ""},
		"slow headers":         {260, form, "X-A: b\r\n"},
		"slow body":            {20, form + "Content-Length: 9000\r\n\r\ngrant_type=", "p"},
	}
	var left atomic.Int64
	var wg sync.WaitGroup
	for name, one := range slow {
		for range one.count {
			left.Add(1)
			wg.Go(func() {
				defer left.Add(-1)
				said, err := dribble(s.address, one.beginning, one.piece)
				if err != nil || strings.Contains(said, " 200 ") {
					t.Errorf("%s: %v, %q", name, err, said)
				}
			})
		}
	}
	served := useWhile(t, client, s.issuer, "cli", token.Refresh, func() bool { return left.Load() > 0 })
	wg.Wait()
	if served < 10 {
		t.Errorf("only %d refreshes beside the slow connections", served)
	}
}

// Row P12.
func TestHeadersThatAreTooLargeAreRefusedAndManyCookiesDoNoHarm(t *testing.T) {
	s := newServer(t)
	const get = "GET /.well-known/jwks.json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
	cookies := func(n int) string { return get + "Cookie: " + strings.Repeat("a=b; ", n) + "c=d\r\n\r\n" }
	for name, test := range map[string]struct {
		request string
		status  string
	}{
		"one header of 1 MiB":           {get + "X-A: " + strings.Repeat("a", 1<<20) + "\r\n\r\n", "431"},
		"1 MiB of small headers":        {get + strings.Repeat("X-A: b\r\n", 1<<17) + "\r\n", "431"},
		"an address of 1 MiB":           {"GET /" + strings.Repeat("a", 1<<20) + " HTTP/1.1\r\nHost: x\r\n\r\n", "431"},
		"a cookie bomb of 1 MiB":        {cookies(200_000), "431"},
		"5,000 cookies in 25 KiB":       {cookies(5_000), "200"},
		"a header of 16 KiB is allowed": {get + "X-A: " + strings.Repeat("a", 16<<10) + "\r\n\r\n", "200"},
	} {
		t.Run(name, func(t *testing.T) {
			got, ended := exchange(t, s.address, test.request)
			if !strings.HasPrefix(got, "HTTP/1.1 "+test.status+" ") || strings.Count(got, "HTTP/1.1 ") != 1 || !ended {
				t.Errorf("ended %v: %.200q", ended, got)
			}
		})
	}
	if s.terminate(t) != exitDone {
		t.Error(s.stderr)
	}
}

// exchange sends bytes over a connection of its own and returns what comes back, and whether the server ended it.
func exchange(t *testing.T, address, request string) (got string, ended bool) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() { _, _ = io.WriteString(conn, request) }() // the server may refuse before it has read all
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	said, err := io.ReadAll(conn)
	return string(said), !errors.Is(err, os.ErrDeadlineExceeded)
}

// Row P12: what two servers in a row could read in two ways. Whatever follows such a request on its connection is never
// answered, or a proxy in front would hand the answer to somebody else (RFC 9112 §6.1 and §11.2).
func TestARequestWithUnsureFramingIsTheLastOnItsConnection(t *testing.T) {
	s := newServer(t)
	_, api := spawnResource(t, s.issuer, apiAudience)
	const next = "GET /healthz HTTP/1.1\r\nHost: smuggled\r\n\r\n"
	post := "POST /oauth2/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
	get := "GET /.well-known/jwks.json HTTP/1.1\r\nHost: x\r\n"
	if got, _ := exchange(t, s.address, get+"\r\n"+get+"Connection: close\r\n\r\n"); strings.Count(got, "HTTP/1.1 200") != 2 {
		t.Fatalf("two requests in a row: %.300q", got) // or else one answer below would mean nothing
	}
	both := fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", len("0\r\n\r\n"+next))
	for name, request := range map[string]string{
		"length and chunks":                  post + both + next,
		"chunks and length":                  post + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + next,
		answerable:                           get + both + next,
		"length and chunks, HTTP 1.0":        strings.Replace(post, "1.1", "1.0", 1) + "Connection: keep-alive\r\n" + both + next,
		"two lengths":                        post + fmt.Sprintf("Content-Length: 0\r\nContent-Length: %d\r\n\r\n", len(next)) + next,
		"two lengths in one header":          post + fmt.Sprintf("Content-Length: 0, %d\r\n\r\n", len(next)) + next,
		"a length with a sign":               post + "Content-Length: +0\r\n\r\n" + next,
		"a space before the colon":           post + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + next,
		"an encoding that is none":           post + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + next,
		"two encodings":                      post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + next,
		"two headers of encodings":           post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + next,
		"a bare CR in a header":              get + "A: b\rTransfer-Encoding: chunked\r\n\r\n" + next,
		"a bare LF hides the encoding":       post + "A: b\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + next,
		"a bare LF after a chunk's size":     post + "Transfer-Encoding: chunked\r\n\r\n1\nx\r\n0\r\n\r\n" + next,
		"a bare LF in a chunk's extension":   post + "Transfer-Encoding: chunked\r\n\r\n1;a\nx\r\n0\r\n\r\n" + next,
		"a chunk's size in another notation": post + "Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n" + next,
		"two hosts":                          get + "Host: y\r\n\r\n" + next,
	} {
		for server, address := range map[string]string{"ingam": s.address, "resource": strings.TrimPrefix(api, "http://")} {
			t.Run(server+": "+name, func(t *testing.T) {
				t.Parallel() // a connection that is kept open takes long to fail
				got, ended := exchange(t, address, request)
				if !ended || strings.Count(got, "HTTP/1.") != 1 {
					t.Errorf("ended %v: %.300q", ended, got)
				}
				if name != answerable && !refusal.MatchString(got) {
					t.Errorf("not refused: %.100q", got)
				}
			})
		}
	}
}

// answerable is the one that may have an answer: the document is public, and net/http has read the request as RFC 9112
// §6.3 says.
const answerable = "length and chunks of a GET"

var refusal = regexp.MustCompile(`^HTTP/1\.[01] (4\d\d|501) `)
