package authserver_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
)

// onRefresh runs a test on each store, in a bubble, with a server.
func onRefresh(t *testing.T, test func(t testing.TB, r *rig), options ...option) {
	t.Helper()
	inBubbles(t, func(t testing.TB, store storage.Store) { test(t, newRigOn(t, store, options...)) })
}

// at is refresh at the public client of that id.
func (r *rig) at(client, token string, more ...string) response {
	r.t.Helper()
	return r.token(append([]string{"grant_type", "refresh_token", "client_id", client, "refresh_token", token}, more...)...)
}

// signInAt gets the first refresh token of a sign-in of alice at a public client.
func (r *rig) signInAt(client string) string {
	r.t.Helper()
	res := r.token("grant_type", "password", "client_id", client, "username", "alice", "password", "wonderland", "scope", "profile read")
	want(r.t, res, http.StatusOK, "")
	return res.str("refresh_token")
}

// R5: within the window a used token gets the very same successor, with fresh access tokens.
func TestWithinTheWindowAUsedTokenGetsTheSameSuccessorAgain(t *testing.T) {
	onRefresh(t, func(t testing.TB, r *rig) {
		first := r.signInAt("cli")
		answer := r.refresh(first)
		want(t, answer, http.StatusOK, "")
		seen := map[string]bool{r.verify(answer.str("access_token")).str("jti"): true}
		for range 3 {
			time.Sleep(3333 * time.Millisecond)
			again := r.refresh(first)
			want(t, again, http.StatusOK, "")
			if again.str("refresh_token") != answer.str("refresh_token") {
				t.Error("the family forked")
			}
			seen[r.verify(again.str("access_token")).str("jti")] = true
		}
		if len(seen) != 4 {
			t.Errorf("%d different jti in 4 answers", len(seen))
		}
		r.wantLive(answer.str("refresh_token"))
	})
}

// R6
func TestAUsedTokenAfterTheWindowEndsTheFamily(t *testing.T) {
	for after, live := range map[time.Duration]bool{10*time.Second - time.Millisecond: true, 10*time.Second + time.Millisecond: false} {
		onRefresh(t, func(t testing.TB, r *rig) {
			first := r.signInAt("cli")
			second := r.wantLive(first)
			time.Sleep(after)
			if live {
				r.wantLive(first)
				r.wantLive(second)
				return
			}
			r.wantDead(first)
			r.wantDead(second)
			r.wantEvent("refresh.reused")
		})
	}
}

func (r *rig) wantEvent(name string) {
	r.t.Helper()
	if !strings.Contains(r.logs.String(), `"event":"`+name+`"`) {
		r.t.Errorf("there is no event %s in the log", name)
	}
}

// R6: a successor that was used ends the window, however short the time.
func TestAnOlderTokenEndsTheFamilyOnceItsSuccessorWasUsed(t *testing.T) {
	onRefresh(t, func(t testing.TB, r *rig) {
		first := r.signInAt("cli")
		second := r.wantLive(first)
		third := r.wantLive(second)
		r.wantDead(first)
		for _, token := range []string{first, second, third} {
			r.wantDead(token)
		}
		if n := strings.Count(r.logs.String(), `"event":"refresh.reused"`); n != 1 {
			t.Errorf("%d events of reuse, want 1", n)
		}
		r.wantLive(r.signInAt("cli")) // other sign-ins of the user live on
	})
}

// R9: no clock is needed to tell generations apart.
func TestTwoRotationsWithinOneInstantAreStillTwo(t *testing.T) {
	onRefresh(t, func(t testing.TB, r *rig) {
		start := time.Now()
		tokens := []string{r.signInAt("cli")}
		for range 4 {
			tokens = append(tokens, r.wantLive(tokens[len(tokens)-1]))
		}
		if !time.Now().Equal(start) {
			t.Fatal("the clock moved")
		}
		distinct := map[string]bool{}
		for _, token := range tokens {
			distinct[token] = true
		}
		if len(distinct) != len(tokens) {
			t.Error("two generations have the same token")
		}
		r.wantDead(tokens[2])
		r.wantDead(tokens[4])
	})
}

// R4: with window 0 every reuse ends the family.
func TestAStrictClientMayUseATokenOnce(t *testing.T) {
	onRefresh(t, func(t testing.TB, r *rig) {
		first := r.signInAt("strict")
		answer := r.at("strict", first)
		want(t, answer, http.StatusOK, "")
		want(t, r.at("strict", first), http.StatusBadRequest, "invalid_grant")
		want(t, r.at("strict", answer.str("refresh_token")), http.StatusBadRequest, "invalid_grant")
		r.wantEvent("refresh.reused")
	})
}

// R7: a token of another client is refused, and nothing happens to it: neither to the current one nor to a used one.
func TestAForeignTokenIsRefusedAndLivesOn(t *testing.T) {
	onRefresh(t, func(t testing.TB, r *rig) {
		first := r.signInAt("cli")
		foreign := func(token string) {
			t.Helper()
			req := form("/oauth2/token", "grant_type", "refresh_token", "refresh_token", token)
			want(t, r.do(basic(req, "other", "other-secret")), http.StatusBadRequest, "invalid_grant")
			want(t, r.at("strict", token), http.StatusBadRequest, "invalid_grant")
		}
		foreign(first)
		second := r.wantLive(first)
		time.Sleep(time.Minute)
		foreign(first) // used, and by its own client this would end the family
		third := r.wantLive(second)
		foreign(first)
		foreign(second)
		r.wantLive(third)
	})
}

// R7: so does everything that is not a token of ours.
func TestForgedTokensAreRefusedAndChangeNothing(t *testing.T) {
	r := newRig(t)
	token := r.signInAt("cli")
	parts := strings.SplitN(strings.TrimPrefix(token, "rt_"), ".", 3)
	grant, generation, mac := parts[0], parts[1], parts[2]
	other := strings.SplitN(strings.TrimPrefix(r.signInAt("cli"), "rt_"), ".", 3)
	for _, forged := range []string{
		token[:len(token)-1], token[:len(token)/2], token + "A", token + "=", token + "\n", " " + token, strings.ToUpper(token), token[3:],
		"rt_" + grant + "." + generation, "rt_" + grant + "." + generation + ".", "rt_" + grant + ".2." + mac, "rt_" + grant + ".0." + mac,
		"rt_" + grant + ".01." + mac, "rt_" + grant + ".+1." + mac, "rt_" + grant + ".-1." + mac, "rt_" + other[0] + ".1." + mac,
		"rt_" + grant + ".1." + other[2], "rt_." + generation + "." + mac, "rt_" + grant + ".1." + mac[:22] + other[2][22:],
		"rt_" + grant + ".18446744073709551615." + mac, "rt_" + grant + ".18446744073709551617." + mac, "rt_x.1." + mac, "rt_..", "x", ".",
		r.signIn("bob", "builder").str("access_token"), strings.Replace(token, ".", "%2E", 1),
	} {
		if res := r.refresh(forged); res.StatusCode != http.StatusBadRequest {
			t.Errorf("%q: %d %s", forged, res.StatusCode, res.raw)
		}
		if res := r.revoke("cli", "", forged); res.StatusCode == http.StatusOK && strings.Contains(forged, "\n") {
			t.Errorf("revoke %q: %d %s", forged, res.StatusCode, res.raw)
		}
	}
	r.wantLive(token)
	if strings.Contains(r.logs.String(), "refresh.reused") || strings.Contains(r.logs.String(), "rollback") {
		t.Error("a forged token made an event")
	}
}

// R8: what a server knows of used tokens survives it.
func TestAUsedTokenIsRefusedAfterARestartToo(t *testing.T) {
	onRefresh(t, func(t testing.TB, r *rig) {
		first := r.signInAt("cli")
		second := r.wantLive(first)
		third := r.wantLive(second)
		after := newRigOn(t, r.store)
		after.wantLive(third)
		again := newRigOn(t, r.store)
		again.wantDead(first)
		again.wantDead(third)
	})
}

// R11
func TestTwoClientsOfOneUserRefreshWithoutDisturbingEachOther(t *testing.T) {
	onRefresh(t, func(t testing.TB, r *rig) {
		a, b, c := r.signInAt("cli"), r.signInAt("cli"), r.signInAt("strict")
		for range 3 {
			a, b = r.wantLive(a), r.wantLive(b)
			res := r.at("strict", c)
			want(t, res, http.StatusOK, "")
			c = res.str("refresh_token")
		}
	})
}

// R12: RFC 6749 §6.
func TestARefreshNarrowsTheScopeAndNeverWidensIt(t *testing.T) {
	onRefresh(t, func(t testing.TB, r *rig) {
		token := r.signInAt("cli") // profile read
		for _, wide := range []string{"write", "profile read write", "openid", "READ", "nonsense", "read\\"} {
			res := r.refresh(token, "scope", wide)
			wantDocument(t, res, http.StatusBadRequest)
			want(t, res, http.StatusBadRequest, "invalid_scope")
		}
		narrow := r.refresh(token, "scope", "read")
		want(t, narrow, http.StatusOK, "")
		access := r.verify(narrow.str("access_token"))
		if narrow.str("scope") != "read" || access.str("scope") != "read" || access.claims["username"] != nil {
			t.Errorf("got %s with %v", narrow.raw, access.claims)
		}
		// The refresh token keeps what was granted: narrowing is for one access token.
		full := r.refresh(narrow.str("refresh_token"))
		if full.str("scope") != "profile read" {
			t.Errorf("got %s", full.raw)
		}
		want(t, r.refresh(full.str("refresh_token"), "scope", "write"), http.StatusBadRequest, "invalid_scope")
		r.wantLive(full.str("refresh_token"))
	})
}
