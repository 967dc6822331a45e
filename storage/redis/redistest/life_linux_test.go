package redistest_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ingam/ingam/storage/redis/redistest"
)

// childEnv makes this test binary a child that starts a server and waits to be killed.
const childEnv = "INGAM_REDISTEST_CHILD"

func TestAServerEndsWhenTheTestProcessIsKilled(t *testing.T) {
	redistest.Binary(t)
	if os.Getenv(childEnv) != "" {
		s := redistest.Start(t)
		fmt.Printf("\nserver %s %s\n", s.Addr(), s.Dir())
		time.Sleep(time.Minute) // it is killed long before
		return
	}
	child := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	child.Env = append(os.Environ(), childEnv+"=1", "INGAM_REQUIRE=redis")
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer child.Wait()
	defer child.Process.Kill()
	var words []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if words = strings.Fields(lines.Text()); len(words) == 3 && words[0] == "server" {
			break
		}
	}
	if len(words) != 3 {
		t.Fatalf("the child says %q", words)
	}
	defer os.RemoveAll(words[2])
	if !answers(words[1]) {
		t.Fatal("the child's server does not answer")
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the child's server is gone", func() bool { return !answers(words[1]) })
}

func TestAServerOutlivesTheThreadThatAskedForIt(t *testing.T) {
	var s *redistest.Server
	gone := make(chan struct{})
	go func() { // a goroutine that ends while locked takes its thread with it
		defer close(gone)
		runtime.LockOSThread()
		s = redistest.Start(t)
	}()
	<-gone
	for range 20 { // the signal would come with the end of the thread, soon after
		if !answers(s.Addr()) {
			t.Fatal("the server ended with a thread")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestATakenPortIsAFailureWhereItIsFixedAndIsTriedAgain(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := net.SplitHostPort(l.Addr().String())
	port, _ := strconv.Atoi(text)
	if got := outcome(func(tb testing.TB) string {
		return redistest.Start(tb, redistest.Program(redistest.Binary(t)), redistest.Port(port)).Addr()
	}); !strings.HasPrefix(got, "failed: ") || !strings.Contains(got, "port is taken") {
		t.Errorf("a taken port: %q", got)
	}
	go func() {
		time.Sleep(150 * time.Millisecond) // its owner is about to end
		l.Close()
	}()
	if s := redistest.Start(t, redistest.Port(port)); s.PortNumber() != port {
		t.Errorf("port %d, want %d", s.PortNumber(), port)
	}
}
