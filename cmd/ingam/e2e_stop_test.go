package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Row O4. The requests are known to have begun: the server has asked for their bodies when the signal comes.
func TestSignInsUnderWayAreFinishedAfterSIGTERM(t *testing.T) {
	s := newServer(t, slices.Concat(quickHashes, manyGuesses, []string{"INGAM_SHUTDOWN_DELAY=1s"})...)
	s.want(t, carolsPassword, "user", "add", "carol", "--password-stdin")
	s.publicClient(t, "cli")
	client := newClient(t)
	before := mustSignIn(t, client, s.issuer, "cli", "carol", carolsPassword)
	readyz := "http://" + s.internal + "/readyz"
	if a := must(t)(ask(client, "GET", readyz, "")); a.status != http.StatusOK {
		t.Errorf("before: %v", a)
	}

	const underWay = 12
	finish := make(chan struct{})
	var begun, done sync.WaitGroup
	begun.Add(underWay)
	for range underWay {
		done.Go(func() {
			status, err := slowSignIn(s.address, begun.Done, finish)
			if err != nil || status != http.StatusOK {
				t.Errorf("a sign-in under way: %d, %v", status, err)
			}
		})
	}
	begun.Wait()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.await(t, "stopping", func() bool { return strings.Contains(s.stderr.String(), `"msg":"stopping"`) })
	// Within shutdown.delay, as a load balancer asks; a machine that is so busy that it misses it sees a closed port.
	if a, err := ask(client, "GET", readyz, ""); err == nil && a.status != http.StatusServiceUnavailable {
		t.Errorf("while stopping: %v", a)
	}
	// The bodies come when nobody new is let in any more.
	s.await(t, "closed port", func() bool {
		conn, err := net.Dial("tcp", s.address)
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	close(finish)
	done.Wait()
	if status := s.exit(t); status != exitDone {
		t.Errorf("exit %d", status)
	}
	// What was answered was stored.
	s.start(t)
	if a := must(t)(refresh(client, s.issuer, "cli", before.Refresh)); a.status != http.StatusOK {
		t.Errorf("refresh after the restart: %v", a)
	}
	if status := s.terminate(t); status != exitDone {
		t.Errorf("exit %d of a server without requests", status)
	}
}

// slowSignIn is the password grant with a body that comes when finish is closed. begun is called once the server reads
// the body (RFC 9110 §10.1.1).
func slowSignIn(address string, begun func(), finish <-chan struct{}) (status int, err error) {
	begun = sync.OnceFunc(begun)
	defer begun() // also when something fails, so that nobody waits
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	form := encode("grant_type", "password", "client_id", "cli", "username", "carol", "password", carolsPassword)
	_, err = fmt.Fprintf(conn, "POST /oauth2/token HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-www-form-urlencoded\r\n"+
		"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n", address, len(form))
	if err != nil {
		return 0, err
	}
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	r := bufio.NewReader(conn)
	if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 100 ") {
		return 0, fmt.Errorf("%q, %w", line, err)
	}
	if _, err := r.ReadString('\n'); err != nil {
		return 0, err
	}
	begun()
	<-finish
	if _, err := io.WriteString(conn, form); err != nil {
		return 0, err
	}
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return 0, err
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close() // read to its end
	if err == nil && !strings.Contains(string(body), `"refresh_token"`) {
		err = fmt.Errorf("%s", body)
	}
	return resp.StatusCode, err
}
