package authserver_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ingam/ingam/storage"
)

const oursURI = "https://ours.example.test/cb"

// codes signs alice in once and hands out as many codes as are asked for.
func codesOf(r *rig) func(pairs ...string) string {
	p := r.person()
	return func(pairs ...string) string { return p.code(request("ours", oursURI, pairs...)) }
}

// A6: whatever is wrong with the first try, the code is gone.
func TestAFailedRedemptionBurnsTheCode(t *testing.T) {
	r := newRig(t).seedSignIn()
	code := codesOf(r)
	for name, pairs := range map[string][]string{
		"no verifier":    {"x", "y"},
		"a wrong one":    {"code_verifier", strings.Repeat("w", 43)},
		"a short one":    {"code_verifier", "short"},
		"a long one":     {"code_verifier", strings.Repeat("w", 129)},
		"odd characters": {"code_verifier", verifier + "+"},
	} {
		c := code()
		for range 2 { // upstream strips PKCE at the second try
			want(t, r.redeem("ours", "ours-secret", oursURI, c, pairs...), http.StatusBadRequest, "invalid_grant")
		}
		if res := r.redeem("ours", "ours-secret", oursURI, c); res.StatusCode != http.StatusBadRequest {
			t.Errorf("%s, then the right one: %d", name, res.StatusCode)
		}
	}
	c := code()
	for _, uri := range []string{"", oursURI + "/", rpRedirect} {
		want(t, r.redeem("ours", "ours-secret", uri, c), http.StatusBadRequest, "invalid_grant")
	}
	want(t, r.redeem("ours", "ours-secret", oursURI, c), http.StatusBadRequest, "invalid_grant")
	want(t, r.redeem("ours", "ours-secret", oursURI, code()), http.StatusOK, "")
}

// A8, R3: another client gets nothing, and takes nothing away.
func TestACodeIsItsClientsAlone(t *testing.T) {
	r := newRig(t).seedSignIn()
	c := codesOf(r)()
	for id, secret := range map[string]string{"rp": "rp-secret", "modes": "modes-secret", "spa": ""} {
		want(t, r.redeem(id, secret, oursURI, c), http.StatusBadRequest, "invalid_grant")
	}
	want(t, r.redeem("ours", "wrong", oursURI, c), http.StatusUnauthorized, "invalid_client")
	res := r.redeem("ours", "ours-secret", oursURI, c)
	want(t, res, http.StatusOK, "")
	// R3 after the use.
	want(t, r.redeem("rp", "rp-secret", oursURI, c), http.StatusBadRequest, "invalid_grant")
	if info := r.userinfo(res.str("access_token")); info.StatusCode != http.StatusOK {
		t.Errorf("another client's try has ended the sign-in: %s", info.raw)
	}
}

// R2: RFC 6749 §4.1.2.
func TestACodeUsedTwiceEndsWhatItWasUsedFor(t *testing.T) {
	r := newRig(t).seedSignIn()
	code := codesOf(r)
	c := code()
	res := r.redeem("ours", "ours-secret", oursURI, c)
	want(t, res, http.StatusOK, "")
	access, refresh := res.str("access_token"), res.str("refresh_token")
	// Who finds the code in a log, without the verifier, signs nobody out.
	want(t, r.redeem("ours", "ours-secret", oursURI, c, "x", "y"), http.StatusBadRequest, "invalid_grant")
	if info := r.userinfo(access); info.StatusCode != http.StatusOK {
		t.Fatalf("userinfo: %s", info.raw)
	}
	want(t, r.redeem("ours", "ours-secret", oursURI, c), http.StatusBadRequest, "invalid_grant")
	if info := r.userinfo(access); info.StatusCode != http.StatusUnauthorized {
		t.Errorf("userinfo after the reuse: %d", info.StatusCode)
	}
	if res := r.introspect("ours", "ours-secret", access); res.body["active"] != false {
		t.Errorf("introspection after the reuse: %s", res.raw)
	}
	want(t, r.do(basic(form("/oauth2/token", "grant_type", "refresh_token", "refresh_token", refresh), "ours", "ours-secret")),
		http.StatusBadRequest, "invalid_grant")
	if !strings.Contains(r.logs.String(), "code.reused") {
		t.Error("no audit event")
	}
}

// R1: of many at once exactly one wins, and then all is over.
func TestOfManyRedemptionsAtOnceOneWins(t *testing.T) {
	r := newRig(t).seedSignIn()
	code := codesOf(r)
	for range 5 {
		c := code()
		var mu sync.Mutex
		var won []string
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				res := r.redeem("ours", "ours-secret", oursURI, c)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case res.StatusCode == http.StatusOK:
					won = append(won, res.str("access_token"))
				case res.str("error") != "invalid_grant":
					t.Errorf("got %d %s", res.StatusCode, res.raw)
				}
			})
		}
		wg.Wait()
		if len(won) != 1 {
			t.Fatalf("%d redemptions succeeded", len(won))
		}
		if info := r.userinfo(won[0]); info.StatusCode != http.StatusUnauthorized {
			t.Errorf("the code was presented 63 times more, and its tokens are good: %d", info.StatusCode)
		}
	}
}

// What looks like a code and is none: every credential has its own form and secret.
func TestACodeIsNoRefreshTokenAndTheOtherWayRound(t *testing.T) {
	r := newRig(t).seedSignIn()
	c := codesOf(r)()
	asRefresh := "rt_" + strings.TrimPrefix(c, "ac_")
	want(t, r.do(basic(form("/oauth2/token", "grant_type", "refresh_token", "refresh_token", asRefresh), "ours", "ours-secret")),
		http.StatusBadRequest, "invalid_grant")
	res := r.redeem("ours", "ours-secret", oursURI, c)
	want(t, res, http.StatusOK, "")
	asCode := "ac_" + strings.TrimPrefix(res.str("refresh_token"), "rt_")
	want(t, r.redeem("ours", "ours-secret", oursURI, asCode), http.StatusBadRequest, "invalid_grant")
	for _, wrong := range []string{"", "ac_", c + "A", c[:len(c)-1], c + "\n"} {
		if res := r.redeem("ours", "ours-secret", oursURI, wrong); res.StatusCode != http.StatusBadRequest {
			t.Errorf("%q: %d", wrong, res.StatusCode)
		}
	}
}

// A9: sixty seconds, to the second.
func TestACodeLivesForAMinute(t *testing.T) {
	testRing()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t).seedSignIn()
		code := codesOf(r)
		c := code()
		time.Sleep(60*time.Second - time.Millisecond)
		want(t, r.redeem("ours", "ours-secret", oursURI, c), http.StatusOK, "")
		c = code()
		time.Sleep(60 * time.Second)
		want(t, r.redeem("ours", "ours-secret", oursURI, c), http.StatusBadRequest, "invalid_grant")
	})
}

// R14: who is gone between code and redemption gets nothing.
func TestACodeOfADisabledUserIsWorthNothing(t *testing.T) {
	r := newRig(t).seedSignIn()
	c := codesOf(r)()
	u, err := r.store.User(t.Context(), "usr_alice")
	must(t, err)
	u.Disabled, u.Epoch = true, u.Epoch+1
	must(t, r.store.ReplaceUser(t.Context(), u))
	want(t, r.redeem("ours", "ours-secret", oursURI, c), http.StatusBadRequest, "invalid_grant")
}

// A client that does not refresh gets no refresh token, and offline_access is not granted to it (OIDC Core §11).
func TestRefreshTokensAreForClientsThatRefresh(t *testing.T) {
	r := newRig(t).seedSignIn()
	p := r.person()
	const cb = "https://plain.example.test/cb"
	res := r.redeem("plain", "plain-secret", cb, p.code(request("plain", cb, "scope", "openid offline_access")))
	want(t, res, http.StatusOK, "")
	if res.str("refresh_token") != "" || strings.Contains(res.str("scope"), "offline") {
		t.Errorf("got %s", res.raw)
	}
}

// A grant that is bound to its browser session ends with it, but for one with offline_access.
func TestABoundGrantEndsWithItsSession(t *testing.T) {
	r := newRig(t).seedSignIn()
	p := r.person()
	refresh := func(token string) response {
		return r.do(basic(form("/oauth2/token", "grant_type", "refresh_token", "refresh_token", token), "ours", "ours-secret"))
	}
	bound := r.redeem("ours", "ours-secret", oursURI, p.code(request("ours", oursURI)))
	offline := r.redeem("ours", "ours-secret", oursURI, p.code(request("ours", oursURI, "scope", "openid offline_access")))
	bound = refresh(bound.str("refresh_token"))
	want(t, bound, http.StatusOK, "")
	sessions, err := storage.Sessions{Entries: r.store}.Of(t.Context(), "usr_alice", 10)
	must(t, err)
	if len(sessions) != 1 {
		t.Fatalf("%d sessions", len(sessions))
	}
	_, err = storage.Sessions{Entries: r.store}.End(t.Context(), sessions[0].ID)
	must(t, err)
	want(t, refresh(bound.str("refresh_token")), http.StatusBadRequest, "invalid_grant")
	if info := r.userinfo(bound.str("access_token")); info.StatusCode != http.StatusUnauthorized {
		t.Errorf("userinfo: %d", info.StatusCode)
	}
	if res := r.introspect("ours", "ours-secret", bound.str("access_token")); res.body["active"] != false {
		t.Errorf("introspection: %s", res.raw)
	}
	want(t, refresh(offline.str("refresh_token")), http.StatusOK, "")
}

// RFC 9126: pushed requests.
func TestAPushedRequestIsUsedOnceByItsClient(t *testing.T) {
	r := newRig(t).seedSignIn()
	push := func(id, secret string, pairs ...string) response {
		q := request("ours", oursURI, pairs...)
		q.Del("client_id")
		var flat []string
		for name, values := range q {
			flat = append(flat, name, values[0])
		}
		return r.do(basic(form("/oauth2/par", flat...), id, secret))
	}
	res := push("ours", "ours-secret")
	want(t, res, http.StatusCreated, "")
	uri := res.str("request_uri")
	if !strings.HasPrefix(uri, "urn:ietf:params:oauth:request_uri:") || res.body["expires_in"] != 90.0 || res.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("got %s", res.raw)
	}
	p := r.person()
	// Loaded twice before the sign-in; what stands beside it does not count.
	query := "/oauth2/auth?client_id=ours&request_uri=" + uri + "&scope=openid+email&nonce=evil&prompt=none&redirect_uri=https://evil.example.test"
	p.open(query)
	pg := p.signInAt(p.open(query), "alice", "wonderland")
	got := r.redeem("ours", "ours-secret", oursURI, p.atClient(pg, oursURI).Get("code"))
	want(t, got, http.StatusOK, "")
	if got.str("scope") != "openid profile" || r.verify(got.str("id_token")).str("nonce") != "no" {
		t.Errorf("got %s", got.raw)
	}
	if pg := p.open("/oauth2/auth?client_id=ours&request_uri=" + uri); pg.StatusCode != http.StatusBadRequest || !strings.Contains(pg.text, "request_uri") {
		t.Errorf("used again: %d at %s", pg.StatusCode, pg.at)
	}
	fresh := push("ours", "ours-secret").str("request_uri")
	if pg := p.open("/oauth2/auth?client_id=rp&request_uri=" + fresh); pg.StatusCode != http.StatusBadRequest {
		t.Errorf("another client: %d at %s", pg.StatusCode, pg.at)
	}
	p.atClient(p.open("/oauth2/auth?client_id=ours&request_uri="+fresh), oursURI) // that did not use it up

	want(t, push("ours", "ours-secret", "redirect_uri", "https://evil.example.test"), http.StatusBadRequest, "invalid_request")
	want(t, push("ours", "ours-secret", "response_type", "token"), http.StatusBadRequest, "unsupported_response_type")
	want(t, push("ours", "ours-secret", "request_uri", uri), http.StatusBadRequest, "invalid_request")
	want(t, push("ours", "ours-secret", "code_challenge_method", "plain"), http.StatusBadRequest, "invalid_request")
	want(t, push("ours", "wrong"), http.StatusUnauthorized, "invalid_client")
	want(t, push("rp", "rp-secret"), http.StatusBadRequest, "invalid_request") // its redirect URI is another
	want(t, r.do(basic(form("/oauth2/par?client_id=ours", "scope", "openid"), "ours", "ours-secret")), http.StatusBadRequest, "invalid_request")
	if res := r.do(get("/oauth2/par")); res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", res.StatusCode)
	}
}

// RFC 9126 §6: a client may have to push.
func TestAClientThatMustPushIsServedNothingElse(t *testing.T) {
	r := newRig(t).seedSignIn()
	c, err := r.store.Client(t.Context(), "ours")
	must(t, err)
	c.RequirePAR = true
	must(t, r.store.ReplaceClient(t.Context(), c))
	p := r.person()
	p.wantError(p.authorize(request("ours", oursURI)), oursURI, "invalid_request")
}

func TestAPushedRequestLivesForNinetySeconds(t *testing.T) {
	testRing()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t).seedSignIn()
		p := r.person()
		p.code(request("ours", oursURI))
		push := func() string {
			return "/oauth2/auth?client_id=ours&request_uri=" + r.do(basic(form("/oauth2/par", "redirect_uri", oursURI, "response_type", "code",
				"code_challenge", challenge(verifier), "code_challenge_method", "S256"), "ours", "ours-secret")).str("request_uri")
		}
		early, late := push(), push()
		time.Sleep(90*time.Second - time.Millisecond)
		p.atClient(p.open(early), oursURI)
		time.Sleep(time.Millisecond)
		if pg := p.open(late); pg.StatusCode != http.StatusBadRequest {
			t.Errorf("got %d at %s", pg.StatusCode, pg.at)
		}
	})
}

// Two reads and one write: the session and the consent, and the grant. Client and user come from the memory of the node
// where the store is elsewhere, and the user is looked at again when the code is redeemed.
func TestAnAuthorizationCostsTwoReadsAndOneWrite(t *testing.T) {
	r, calls := tapped(t)
	r.seedSignIn()
	p := r.person()
	q := request("rp", rpRedirect)
	p.code(q)
	var asked []string
	calls.before = func(verb string) error {
		if verb != "Client" && verb != "RecallUser" {
			asked = append(asked, verb)
		}
		return nil
	}
	p.atClient(p.authorize(q), rpRedirect)
	if want := []string{"Entry", "Entry", "CreateGrant"}; !slices.Equal(asked, want) {
		t.Errorf("authorize asks for %v, want %v", asked, want)
	}
	res := r.redeem("rp", "rp-secret", rpRedirect, p.code(q))
	asked = nil
	if info := r.userinfo(res.str("access_token")); info.StatusCode != http.StatusOK {
		t.Fatal(info.raw)
	}
	if want := []string{"GrantAndUser"}; !slices.Equal(asked, want) {
		t.Errorf("userinfo asks for %v, want %v", asked, want)
	}
}

// A failure of the store is never taken for an answer.
func TestAStoreThatFailsIsToldToTheClient(t *testing.T) {
	for _, verb := range []string{"Entry", "CreateGrant"} {
		r, calls := tapped(t)
		r.seedSignIn()
		p := r.person()
		q := request("rp", rpRedirect)
		p.code(q)
		calls.before = func(v string) error {
			if v == verb {
				return errors.New("away")
			}
			return nil
		}
		p.wantError(p.authorize(q), rpRedirect, "temporarily_unavailable")
	}
	r, calls := tapped(t)
	r.seedSignIn()
	calls.before = func(string) error { return errors.New("away") }
	p := r.person()
	if pg := p.authorize(request("rp", rpRedirect)); pg.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("no client known: %d at %s", pg.StatusCode, pg.at)
	}
}

// L9: a code that is redeemed after the logout is worth nothing: its client would begin a session that no logout ends.
func TestACodeEndsWithItsSession(t *testing.T) {
	r := newRig(t).seedSignIn()
	p := r.person()
	q := request("rp", rpRedirect)
	before, after := p.code(q), p.code(q)
	first := r.redeem("rp", "rp-secret", rpRedirect, before)
	want(t, first, http.StatusOK, "")
	sessions := storage.Sessions{Entries: r.store}
	list, err := sessions.Of(t.Context(), "usr_alice", 10)
	must(t, err)
	for _, s := range list {
		_, err := sessions.End(t.Context(), s.ID)
		must(t, err)
	}
	want(t, r.redeem("rp", "rp-secret", rpRedirect, after), http.StatusBadRequest, "invalid_grant")
	// What was redeemed before stays: this client is not registered for grants that end with the session.
	again := r.do(basic(form("/oauth2/token", "grant_type", "refresh_token", "refresh_token", first.str("refresh_token")), "rp", "rp-secret"))
	want(t, again, http.StatusOK, "")
}

// A8: what anybody can push is not kept at any length.
func TestAPushedRequestOfAPublicClientIsBounded(t *testing.T) {
	r := newRig(t).seedSignIn()
	push := func(client, uri, secret string, size int) response {
		req := form("/oauth2/par", "client_id", client, "redirect_uri", uri, "response_type", "code", "code_challenge", challenge(verifier),
			"code_challenge_method", "S256", "x_of_the_client", strings.Repeat("n", size))
		if secret != "" {
			req = basic(req, client, secret)
		}
		return r.do(req)
	}
	want(t, push("spa", spaURI, "", 15<<10), http.StatusCreated, "")
	want(t, push("spa", spaURI, "", 16<<10), http.StatusBadRequest, "invalid_request")
	want(t, push("rp", rpRedirect, "rp-secret", 16<<10), http.StatusCreated, "")
}

// RFC 9126 §7: what a stranger can have kept here is bounded.
func TestAnAddressPushesOnlySoMuchAsAPublicClient(t *testing.T) {
	bubble(t, func(t testing.TB, r *rig) {
		r.seedSignIn()
		push := func() response {
			return r.do(form("/oauth2/par", "client_id", "spa", "redirect_uri", spaURI, "response_type", "code",
				"code_challenge", challenge(verifier), "code_challenge_method", "S256"))
		}
		for range 300 {
			want(t, push(), http.StatusCreated, "")
		}
		res := push()
		want(t, res, http.StatusTooManyRequests, "temporarily_unavailable")
		if res.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		time.Sleep(100 * time.Millisecond)
		want(t, push(), http.StatusCreated, "")
	})
}
