package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A real browser at the pages of `ingam dev` and at its two applications. The scenarios are in testdata/browser, written
// for playwright-core; what complains of a page (its content security policy, a script, the console) fails them.

const (
	browserTests = "testdata/browser"
	screenshots  = "../../docs/screenshots"
)

// scenarios are all there are: one that is not run, or is not listed, is a failure.
var scenarios = []string{
	// journey.mjs
	"a person signs in at an application, consents, and sees their name and the secure data",
	"without JavaScript all of it works",
	"who is signed in at one application is signed in at the other without a question",
	"signing out of the first application ends both",
	"signing out of the second application ends both",
	"who denies consent comes back to the application, which says so, and is asked again",
	"an application that signs people in in a popup hears from it",
	"two tabs that refresh at once both go on",
	// mistakes.mjs
	"a wrong password: a message, the username is kept, the password is not",
	"too many guesses: the page says how long to wait, and asks nothing but patience",
	"a button pressed twice signs in once and consents once",
	"a form that was sent arrives once more: nothing is decided by it",
	"the back button after a sign-in leads to the application and repeats nothing",
	"the back button after signing out shows nothing of the person",
	"an application that takes its answers by POST gets them, with a script and without",
	"a page with an inline script is noticed by these tests",
	// leave.mjs
	"an application whose addresses lead on to another origin is used like any other, with a script and without",
	"signing out waits for the applications in frames, not forever, and without a script for the person",
	"the back button after a form leads out again",
	"an application whose host has an underscore gets its answer",
	// second.mjs
	"the back button after a sign-in at the second application keeps the person signed in",
	"an answer that no tab has asked for signs nobody in at the second application",
	"without JavaScript the second application says that it needs it and asks nobody to wait",
	// sessions.mjs
	"with https the cookies are of this host alone, and every address is below the path of the issuer",
	"a session that nobody uses ends, and its pages ask for the password again",
	"a browser that has lost its cookie signs in again",
	"a session that was ended from another browser is over at once, applications included",
	"a new password ends the sessions of other browsers and keeps this one",
	"two people at two browsers do not meet",
	"an application that was taken back asks again",
	// people.mjs
	"axe finds nothing on any page in light colours",
	"axe finds nothing on any page in dark colours",
	"by keyboard alone: from the application to the name",
	"a password can be looked at, pasted and filled in by a password manager",
	"every page is in Korean when the application asks for it",
	"the browser speaks Korean, and a person who prefers English keeps it",
	"in a window of 320 pixels nothing needs scrolling sideways",
	"what is pressed is large enough for a finger",
	"the sign-in page with all it loads is light and comes from here",
	// pictures.mjs
	"each page has its pictures: light, dark, phone",
}

// browserPeople is how many users there are for scenarios that need one of their own.
const browserPeople = 47

// browserLine is one line that run.mjs prints: a scenario, or at the end the counts.
type browserLine struct {
	Scenario     string `json:"scenario"`
	Error        string `json:"error"`
	Milliseconds int    `json:"milliseconds"`
	Done         bool   `json:"done"`
	Contexts     int    `json:"contexts"`
	Pages        int    `json:"pages"`
	Violations   *int   `json:"violations"`
}

func TestPeopleUseThePagesAndBothApplicationsInChromium(t *testing.T) {
	t.Parallel()
	chromium, node, dir := browserParts(t)
	picturesIn, ports := "", []string(nil)
	if os.Getenv("INGAM_TEST_UPDATE") != "" {
		// In the pictures are the addresses that a reader has.
		picturesIn = mustAbsolute(t, screenshots)
		ports = []string{"--port", "8080", "--resource-port", "8081", "--web-port", "8082", "--spa-port", "8083"}
		if err := os.MkdirAll(picturesIn, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	_, facts := spawnDev(t, ports...)
	people(t, facts)
	hop := hopper(t, facts)
	short := shortServer(t)

	cmd := exec.CommandContext(t.Context(), node, "run.mjs")
	cmd.Dir = dir
	cmd.Env = append(plainEnvironment(), "CHROMIUM="+chromium, "ISSUER="+facts.Issuer, "WEB="+facts.Apps.Web, "SPA="+facts.Apps.SPA,
		"SHORT="+short.issuer, "HOP="+hop, fmt.Sprint("PEOPLE=", browserPeople), "PICTURES="+picturesIn)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // it ends the browser as well
	cmd.WaitDelay = 10 * time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	lines, counts := readBrowserLines(t, out)
	for _, name := range scenarios {
		t.Run(name, func(t *testing.T) {
			line, ok := lines[name]
			delete(lines, name)
			if !ok {
				t.Fatal("it was not run")
			}
			if line.Error != "" {
				t.Fatal(line.Error)
			}
			t.Logf("%d ms", line.Milliseconds)
		})
	}
	for name := range lines {
		t.Errorf("%q is missing in the list of scenarios", name)
	}
	if err != nil || !counts.Done {
		t.Fatalf("the browser's run did not come to its end: %v\n%s", err, lastLines(stderr.String(), 30))
	}
	// Threats A10, A11: the policy of each page lets it do all that it does.
	if counts.Violations == nil || *counts.Violations != 0 || counts.Contexts < len(scenarios) || counts.Pages < counts.Contexts {
		t.Errorf("violations of a content security policy: %+v", counts)
	}
	t.Logf("%d contexts, %d pages, no violation of a content security policy", counts.Contexts, counts.Pages)
}

// browserParts returns Chromium, node and a folder with the scenarios beside the packages they need.
func browserParts(t *testing.T) (chromium, node, dir string) {
	t.Helper()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		leaveOut(t, "chromium", err)
	}
	node, modules := nodePackages(t, "chromium", browserTests)
	// Node looks for packages beside the file that imports them.
	dir = t.TempDir()
	if err := os.Symlink(filepath.Join(modules, "node_modules"), filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	scripts, err := filepath.Glob(filepath.Join(browserTests, "*.mjs"))
	if err != nil || len(scripts) == 0 {
		t.Fatal(scripts, err)
	}
	for _, script := range scripts {
		text, err := os.ReadFile(script)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, filepath.Base(script)), string(text))
	}
	return chromium, node, dir
}

// shortServer serves https below a path, and sessions there end when unused for 20 seconds.
func shortServer(t *testing.T) *server {
	t.Helper()
	certificate, key := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	writeCertificate(t, certificate, key)
	s := prepareServer(t, append(quickHashes, "INGAM_SESSION_IDLE=20s", "INGAM_TLS_CERT_FILE="+certificate, "INGAM_TLS_KEY_FILE="+key)...)
	s.issuer = "https://" + s.address + "/sign/in"
	s.env = append(s.env, "INGAM_ISSUER="+s.issuer)
	s.start(t)
	s.want(t, "correct horse battery staple", "user", "add", "carol", "--password-stdin")
	return s
}

// people adds the users that steps.mjs hands out, and a client of whose answers the tests play the receiver.
func people(t *testing.T, facts devFacts) {
	t.Helper()
	var file strings.Builder
	for i := range browserPeople {
		fmt.Fprintf(&file, `{"username":"person%[1]d","password":"the password of person %[1]d","claims":{"name":"Person No. %[1]d"}}`+"\n", i)
	}
	r := runProgram(nil, program(t, "ingam"), file.String(), "user", "import", "-", "--data-dir", facts.DataDir)
	if r.status != exitDone {
		t.Fatalf("user import: %+v", r)
	}
	r = runProgram(nil, program(t, "ingam"), "", "client", "add", "poster", "--kind", "web", "--data-dir", facts.DataDir,
		"--redirect-uri", facts.Apps.Web+"/takes-posts", "--response-mode", "form_post")
	if r.status != exitDone {
		t.Fatalf("client add: %+v", r)
	}
}

// hopper is an application of which each address leads on to another origin, as that of a gateway in front of many does. It
// answers where it is. Clients: hop, and hop-own, whose people are not asked for consent.
func hopper(t *testing.T, facts devFacts) string {
	t.Helper()
	landing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = fmt.Fprintf(w, `<!doctype html><title>x</title><link rel="icon" href="data:,"><p id="there">%s</p>`, html.EscapeString(r.URL.RawQuery))
	}))
	t.Cleanup(landing.Close)
	hop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		q.Set("path", r.URL.Path)
		q.Set("referer", r.Referer())
		w.Header().Set("Location", landing.URL+"/?"+q.Encode())
		w.WriteHeader(http.StatusFound)
	}))
	t.Cleanup(hop.Close)
	for _, more := range [][]string{
		{"hop", "--redirect-uri", hop.URL + "/callback"},
		{"hop-own", "--first-party", "--redirect-uri", hop.URL + "/callback"},
		{"underscore", "--redirect-uri", "https://my_app.example.test/callback"},
	} {
		args := append([]string{"client", "add", "--kind", "web", "--post-logout-redirect-uri", hop.URL + "/bye", "--data-dir", facts.DataDir}, more...)
		if r := runProgram(nil, program(t, "ingam"), "", args...); r.status != exitDone {
			t.Fatalf("client add: %+v", r)
		}
	}
	return hop.URL
}

// readBrowserLines reads what run.mjs printed: each scenario once, and the counts.
func readBrowserLines(t *testing.T, out []byte) (lines map[string]browserLine, counts browserLine) {
	t.Helper()
	lines = map[string]browserLine{}
	for s := bufio.NewScanner(bytes.NewReader(out)); s.Scan(); {
		var line browserLine
		if err := json.Unmarshal(s.Bytes(), &line); err != nil {
			t.Fatalf("%v in %s", err, s.Text())
		}
		if line.Done {
			counts = line
			continue
		}
		if _, twice := lines[line.Scenario]; twice || line.Scenario == "" {
			t.Errorf("scenario %q is there twice or has no name", line.Scenario)
		}
		lines[line.Scenario] = line
	}
	return lines, counts
}

func mustAbsolute(t *testing.T, path string) string {
	t.Helper()
	absolute, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return absolute
}

// The pictures in the documentation are the tests' own, each page in each variant, and light to load.
func TestThePicturesInTheDocumentationAreAllThereAndSmall(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(screenshots, "*.png"))
	if err != nil {
		t.Fatal(err)
	}
	pages, total := map[string]int{}, int64(0)
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		total += info.Size()
		name := strings.TrimSuffix(filepath.Base(file), ".png")
		cut := strings.LastIndex(name, "-")
		if cut < 0 || !strings.Contains(" light dark phone ", " "+name[cut+1:]+" ") {
			t.Fatalf("%s: the name is not <page>-<light, dark or phone>.png", file)
		}
		pages[name[:cut]]++
	}
	if len(pages) < 9 || total > 1_500_000 {
		t.Errorf("pictures of %d pages with %d bytes", len(pages), total)
	}
	for page, n := range pages {
		if n != 3 {
			t.Errorf("%d pictures of %s, want 3", n, page)
		}
	}
}
