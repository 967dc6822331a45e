package bolt

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// leaveOut skips a test that cannot run on this machine, and fails it where INGAM_REQUIRE names what is missing.
func leaveOut(t *testing.T, what string, why ...any) {
	t.Helper()
	if slices.Contains(strings.Split(os.Getenv("INGAM_REQUIRE"), ","), what) {
		t.Fatalf("INGAM_REQUIRE names %s, but %s", what, fmt.Sprint(why...))
	}
	t.Skipf("LEFT OUT: what a power cut or a broken disk does is not tested here, for lack of %s: %s", what, fmt.Sprint(why...))
}

// tracedCalls are all that can change a file or a folder, and what tells which file a number means. Those with a
// question mark do not exist on every machine.
const tracedCalls = "openat,close,write,pwrite64,?writev,?pwritev,?pwritev2,ftruncate,?truncate,fallocate,fdatasync,fsync," +
	"?sync_file_range,?msync,?link,linkat,?rename,?renameat,renameat2,?unlink,unlinkat,?mkdir,mkdirat,?rmdir,?copy_file_range," +
	"?sendfile,?dup,?dup2,dup3,mmap"

// straced starts a child under strace with more options. It leaves the test out where processes may not be traced.
func straced(t *testing.T, options []string, task string, args ...string) *exec.Cmd {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		leaveOut(t, "strace", err)
	}
	if out, err := exec.CommandContext(t.Context(), strace, "-qq", "-e", "trace=none", "true").CombinedOutput(); err != nil {
		leaveOut(t, "strace", err, ": ", string(out))
	}
	cmd := childCommand(t, task, args...)
	cmd.Args = slices.Concat([]string{strace, "-f", "-qq", "-e", "signal=none"}, options, []string{"--", cmd.Path}, args)
	cmd.Path = strace
	return cmd
}

// recordCalls runs a child to its end and returns what it has asked of the kernel.
func recordCalls(t *testing.T, task string, args ...string) []event {
	t.Helper()
	log := filepath.Join(t.TempDir(), "trace")
	options := []string{"--seccomp-bpf", "-xx", "-s", "16777216", "-e", "trace=" + tracedCalls, "-o", log}
	cmd := straced(t, options, task, args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("the child under strace: %v, %s", err, errs.String())
	}
	trace, err := os.ReadFile(log)
	must(t, err)
	events, err := parseTrace(string(trace))
	must(t, err)
	return events
}

// sysCall is a call to the kernel.
type sysCall struct {
	name    string
	args    []string
	result  int64          // -1 if it failed
	decoded map[int][]byte // arguments that were asked for
}

// event is the moment at which a call begins, or ends. Between the two anything of it may have happened.
type event struct {
	*sysCall
	ends bool
}

// parseTrace reads what strace -f -xx writes. A call that others came between is on two lines.
func parseTrace(trace string) ([]event, error) {
	var events []event
	begun := map[string]*sysCall{} // process → call that has not ended
	texts := map[string]string{}   // process → its first line
	for line := range strings.Lines(trace) {
		process, text, _ := strings.Cut(strings.TrimRight(line, "\n"), " ")
		text = strings.TrimLeft(text, " ")
		if text == "" || strings.HasPrefix(text, "+++") || strings.HasPrefix(text, "---") {
			continue
		}
		if first, unfinished := strings.CutSuffix(text, " <unfinished ...>"); unfinished {
			c, err := parseCall(first)
			if err != nil {
				return nil, err
			}
			begun[process], texts[process] = c, first
			events = append(events, event{c, false})
			continue
		}
		c := begun[process]
		if strings.HasPrefix(text, "<... ") {
			_, rest, found := strings.Cut(text, " resumed>")
			if c == nil || !found {
				return nil, fmt.Errorf("strace: the end of nothing: %.200s", line)
			}
			delete(begun, process)
			text = texts[process] + rest
		} else {
			c = &sysCall{}
			events = append(events, event{c, false})
		}
		whole, err := parseCall(text)
		if err != nil {
			return nil, err
		}
		*c = *whole
		events = append(events, event{c, true})
	}
	return events, nil
}

// parseCall reads name(argument, …) = result. With -xx no argument that we look at has a comma or a bracket in it.
func parseCall(text string) (*sysCall, error) {
	name, rest, found := strings.Cut(text, "(")
	if !found {
		return nil, fmt.Errorf("strace: no call: %.200s", text)
	}
	c := &sysCall{name: name, result: -1}
	arguments, result, ended := strings.Cut(rest, ")")
	if ended {
		result = strings.TrimLeft(strings.TrimLeft(result, " "), "= ")
		result, _, _ = strings.Cut(result, " ")
		if n, err := strconv.ParseInt(result, 0, 64); err == nil {
			c.result = n
		}
	}
	c.args = strings.Split(arguments, ", ")
	return c, nil
}

// bytes of an argument that is a string. Nobody changes them.
func (c *sysCall) bytes(i int) ([]byte, error) {
	if b, done := c.decoded[i]; done {
		return b, nil
	}
	text, quoted := strings.CutPrefix(c.args[i], `"`)
	text, closed := strings.CutSuffix(text, `"`)
	if !quoted || !closed {
		return nil, fmt.Errorf("strace: %s: argument %d is not whole", c.name, i)
	}
	b, err := hex.DecodeString(strings.ReplaceAll(text, `\x`, ""))
	if err != nil {
		return nil, err
	}
	if c.decoded == nil {
		c.decoded = map[int][]byte{}
	}
	c.decoded[i] = b
	return b, nil
}

func (c *sysCall) number(i int) (int64, error) { return strconv.ParseInt(c.args[i], 0, 64) }
