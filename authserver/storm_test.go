package authserver_test

import (
	"net/http"
	"slices"
	"testing"
)

// A15: applications ask silently as often as they like. Without a session, or without what they ask for, nothing is written
// for it; with both a request costs its code, which lives for a minute, and session and consent stay as they are.
func TestAStormOfSilentRequestsChangesNothing(t *testing.T) {
	const storm = 200
	r, calls := tapped(t)
	r.seedSignIn()
	stranger, p := r.person(), r.person()
	q := request("rp", rpRedirect)
	p.code(q)
	silent := request("rp", rpRedirect, "prompt", "none")
	more := request("rp", rpRedirect, "prompt", "none", "scope", "openid profile email offline_access")
	verbs := map[string]int{}
	calls.before = func(verb string) error { verbs[verb]++; return nil }
	for range storm {
		stranger.wantError(stranger.authorize(silent), rpRedirect, "login_required")
		p.wantError(p.authorize(more), rpRedirect, "consent_required")
	}
	for _, verb := range []string{"CreateGrant", "CreateEntry", "ReplaceEntry", "TakeEntry", "Remember", "Spend"} {
		if verbs[verb] > 0 {
			t.Errorf("%d silent requests that are refused cost %d × %s", 2*storm, verbs[verb], verb)
		}
	}
	clear(verbs)
	for range storm {
		if p.atClient(p.authorize(silent), rpRedirect).Get("code") == "" {
			t.Fatal("no code")
		}
	}
	wrote := []string{}
	for verb := range verbs {
		if verb != "Entry" && verb != "Client" && verb != "RecallUser" {
			wrote = append(wrote, verb)
		}
	}
	if !slices.Equal(wrote, []string{"CreateGrant"}) || verbs["CreateGrant"] != storm || verbs["Entry"] != 2*storm {
		t.Errorf("%d silent requests that are answered cost %v", storm, verbs)
	}
	if pg := p.open("/account"); pg.StatusCode != http.StatusOK {
		t.Errorf("the account page after the storm: %d", pg.StatusCode)
	}
}
