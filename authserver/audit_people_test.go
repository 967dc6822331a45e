package authserver_test

import (
	"context"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ingam/ingam/authserver"
	"github.com/ingam/ingam/authserver/outbound"
	"github.com/ingam/ingam/storage"
)

// auditEvents are the events so far, without what differs between any two lines.
func (r *rig) auditEvents() []map[string]any {
	r.t.Helper()
	var events []map[string]any
	for line := range strings.Lines(r.logs.String()) {
		var e map[string]any
		must(r.t, json.Unmarshal([]byte(line), &e))
		if e["msg"] == "audit" {
			delete(e, "time")
			delete(e, "request_id")
			events = append(events, e)
		}
	}
	return events
}

// lastEvent is the last one with that name.
func (r *rig) lastEvent(name string) map[string]any {
	r.t.Helper()
	for _, e := range slices.Backward(r.auditEvents()) {
		if e["event"] == name {
			return e
		}
	}
	r.t.Errorf("no event %s", name)
	return nil
}

func TestTheSignInPageLeavesTheEventsThatThePasswordGrantLeaves(t *testing.T) {
	r := newRig(t).seedSignIn()
	r.changeClient("rp", func(c *storage.Client) { c.GrantTypes = append(c.GrantTypes, "password") })
	page := func(username, password string) int {
		p := r.person()
		return p.signInAt(p.authorize(request("rp", rpRedirect)), username, password).StatusCode
	}
	grant := func(username, password string) int {
		return r.do(basic(form("/oauth2/token", "grant_type", "password", "username", username, "password", password), "rp", "rp-secret")).StatusCode
	}
	same := func(name string, tries func(signIn func(username, password string) int)) {
		t.Helper()
		var seen []map[string]any
		for _, door := range []func(string, string) int{page, grant} {
			tries(door)
			seen = append(seen, r.lastEvent(name))
		}
		if !maps.EqualFunc(seen[0], seen[1], func(a, b any) bool { return a == b }) || seen[0]["client_id"] != "rp" {
			t.Errorf("by the page %v\nby the grant %v", seen[0], seen[1])
		}
	}
	same("signin.succeeded", func(signIn func(string, string) int) { signIn("alice", "wonderland") })
	same("signin.failed", func(signIn func(string, string) int) { signIn("alice", "canary-typed") })
	same("signin.failed", func(signIn func(string, string) int) { signIn("canary-typed", "whatever") })
	same("signin.throttled", func(signIn func(string, string) int) {
		for range 100 {
			if signIn("bob", "canary-typed") == http.StatusTooManyRequests {
				return
			}
		}
		t.Error("nothing is throttled")
	})
	// People type passwords into the wrong field.
	if strings.Contains(r.logs.String(), "canary-typed") {
		t.Error("the log has what was typed")
	}
}

func TestWhatPeopleDoIsInTheAudit(t *testing.T) {
	rp := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
	defer rp.Close()
	out, err := outbound.New(outbound.Config{AllowLoopbackHTTP: true, AllowedNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	must(t, err)
	r := newRig(t, func(_ *authserver.Config, d *authserver.Dependencies) { d.Outbound = out }).seedSignIn()
	r.changeClient("rp", func(c *storage.Client) { c.BackchannelLogoutURI = rp.URL })
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go r.Run(ctx)

	p := r.person()
	pg := p.signInAt(p.authorize(request("rp", rpRedirect)), "alice", "wonderland")
	p.wantError(p.submit(p.form(pg, "/consent"), "decision", "deny"), rpRedirect, "access_denied")
	p.code(request("rp", rpRedirect))
	p.submit(p.form(p.open("/account"), "/account/apps/remove"))
	p.submit(p.form(p.open("/account"), "/account/password"), "current", "wonderland", "new", "through the looking glass",
		"repeat", "through the looking glass", "end_others", "1")
	p.submit(p.form(p.open("/logout"), "/logout"))
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if strings.Contains(r.logs.String(), "logout.delivered") {
			break
		}
	}
	for name, want := range map[string][]string{
		"signin.succeeded":      {"sub", "username", "address"}, // the last is that of the current password
		"consent.denied":        {"sub", "username", "address", "client_id"},
		"consent.given":         {"sub", "username", "address", "client_id"},
		"consent.withdrawn":     {"sub", "username", "address", "client_id"},
		"user.password_changed": {"sub", "username", "address"},
		"session.ended":         {"sub"},
		"logout.delivered":      {"sub", "client_id"},
	} {
		e := r.lastEvent(name)
		for _, field := range want {
			if text, _ := e[field].(string); text == "" {
				t.Errorf("%s has no %s: %v", name, field, e)
			}
		}
		if e != nil && e["sub"] != "usr_alice" {
			t.Errorf("%s is about %v", name, e["sub"])
		}
	}
	for _, secret := range []string{"wonderland", "looking glass"} {
		if strings.Contains(r.logs.String(), secret) {
			t.Errorf("the log has %q", secret)
		}
	}
}

// The list of events is a promise: what is in it is recorded somewhere.
func TestEveryEventOfTheListIsRecordedSomewhere(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "audit/audit.go", nil, 0)
	must(t, err)
	unused := map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			if typ, ok := spec.Type.(*ast.Ident); ok && typ.Name == "Name" {
				unused[spec.Names[0].Name] = true
			}
		}
		return true
	})
	if len(unused) < 20 {
		t.Fatalf("found %d events only", len(unused))
	}
	uses := regexp.MustCompile(`\baudit\.([A-Z][A-Za-z]*)`)
	must(t, filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range uses.FindAllStringSubmatch(string(text), -1) {
			delete(unused, m[1])
		}
		return err
	}))
	for name := range unused {
		t.Errorf("audit.%s is recorded nowhere", name)
	}
}
