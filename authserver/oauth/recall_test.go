package oauth

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/ingam/ingam/storage"
)

// changeUser edits alice in the store.
func (r *rig) changeUser(edit func(*storage.User)) {
	r.t.Helper()
	u, err := r.store.Store.User(context.Background(), "usr_alice")
	must(r.t, err)
	edit(&u)
	must(r.t, r.store.ReplaceUser(context.Background(), u))
}

// remember makes the node's memory stand still at what the store has now.
func (r *rig) remember(token string) {
	r.t.Helper()
	g, err := r.store.Store.Grant(context.Background(), grantOf(token))
	must(r.t, err)
	u, err := r.store.Store.User(context.Background(), "usr_alice")
	must(r.t, err)
	r.store.recalledGrant, r.store.recalledUser = &g, &u
}

func grantOf(token string) string {
	id, _, _ := strings.Cut(strings.TrimPrefix(token, refreshPrefix), ".")
	return id
}

// usernameIn reads the claim of an access token that fakeKeys signed.
func usernameIn(t testing.TB, a answer) string {
	t.Helper()
	_, rest, _ := strings.Cut(a.str("access_token"), ".")
	payload, _, _ := strings.Cut(rest, ".")
	raw, err := base64.RawURLEncoding.DecodeString(payload)
	must(t, err)
	var claims accessClaims
	must(t, json.Unmarshal(raw, &claims))
	return claims.Username
}

func (r *rig) count(verb string) int {
	return len(slices.DeleteFunc(slices.Clone(r.store.verbs), func(v string) bool { return v != verb }))
}

// R14: the node remembers the user as they were; the tokens speak of the user as they are.
func TestARefreshWithAnOldMemoryOfTheUserGetsTheNewUsername(t *testing.T) {
	for _, client := range []string{"cli", "strict"} {
		r := newRig(t)
		token := want(t, r.signIn(client), http.StatusOK, "").str("refresh_token")
		r.remember(token)
		r.changeUser(func(u *storage.User) { u.Username = "alicia" })
		r.store.reset("")
		res := want(t, r.refresh(client, token), http.StatusOK, "")
		if got := usernameIn(t, res); got != "alicia" {
			t.Errorf("the username is %q", got)
		}
		if got, asked := strings.Join(r.store.verbs, " "), "RecallGrant RecallUser Rotate User Rotate"; got != asked {
			t.Errorf("the store was asked %q, want %q", got, asked)
		}
		if a, b := r.store.rotations[0], r.store.rotations[1]; a.Attempt == "" || a.Attempt != b.Attempt || a.UserVersion == b.UserVersion {
			t.Errorf("one request asked as %+v and then as %+v", a, b)
		}
		r.store.recalledGrant = nil
		want(t, r.refresh(client, res.str("refresh_token")), http.StatusOK, "")
	}
}

// R14: a memory from before the end of all sign-ins lets nobody in; one that has them ended wrongly keeps nobody out.
func TestAnOldMemoryDecidesNothingAboutTheUser(t *testing.T) {
	for name, change := range map[string]func(*storage.User){
		"disabled": func(u *storage.User) { u.Disabled = true }, "new epoch": func(u *storage.User) { u.Epoch++ },
	} {
		r := newRig(t)
		token := want(t, r.signIn("cli"), http.StatusOK, "").str("refresh_token")
		r.remember(token)
		r.changeUser(change)
		want(t, r.refresh("cli", token), http.StatusBadRequest, "invalid_grant")
		if r.count("Rotate") != 1 {
			t.Errorf("%s: the rotation did not find out", name)
		}

		r = newRig(t)
		token = want(t, r.signIn("cli"), http.StatusOK, "").str("refresh_token")
		r.remember(token)
		change(r.store.recalledUser)
		want(t, r.refresh("cli", token), http.StatusOK, "")
	}
	r := newRig(t)
	token := want(t, r.signIn("cli"), http.StatusOK, "").str("refresh_token")
	r.store.recalledUser = &storage.User{} // not yet there
	want(t, r.refresh("cli", token), http.StatusOK, "")
	must(t, r.store.DeleteUser(t.Context(), "usr_alice"))
	want(t, r.refresh("cli", token), http.StatusBadRequest, "invalid_grant")
}

// The user is read again between the rounds: who ended their sign-ins meanwhile gets nothing.
func TestAUserWhoIsDisabledWhileTheTokensAreMadeGetsNone(t *testing.T) {
	r := newRig(t)
	token := want(t, r.signIn("cli"), http.StatusOK, "").str("refresh_token")
	r.changeUser(func(u *storage.User) { u.Disabled = true })
	must(t, func() error { // the memory is from before
		u, err := r.store.Store.User(t.Context(), "usr_alice")
		u.Disabled = false
		r.store.recalledUser = &u
		return err
	}())
	r.store.reset("")
	r.store.outcomes = []storage.Outcome{storage.Outdated}
	res := want(t, r.refresh("cli", token), http.StatusBadRequest, "invalid_grant")
	if res.body["access_token"] != nil || r.count("Rotate") != 1 || r.count("User") != 1 {
		t.Errorf("got %v after %v", res.body, r.store.verbs)
	}
}

// A user who changes faster than we sign: bounded, 503, and nothing is lost.
func TestAUserWhoChangesAllTheTimeIs503AfterThreeRounds(t *testing.T) {
	r := newRig(t)
	token := want(t, r.signIn("strict"), http.StatusOK, "").str("refresh_token")
	outdated := []storage.Outcome{storage.Outdated, storage.Outdated, storage.Outdated}
	r.store.reset("")
	r.store.outcomes = outdated
	res := want(t, r.refresh("strict", token), http.StatusServiceUnavailable, "temporarily_unavailable")
	if res.Header.Get("Retry-After") == "" || r.count("Rotate") != commitRounds {
		t.Errorf("%v after %v", res.Header, r.store.verbs)
	}
	r.store.outcomes = outdated[:2]
	token = want(t, r.refresh("strict", token), http.StatusOK, "").str("refresh_token")
	want(t, r.refresh("strict", token), http.StatusOK, "")
	if strings.Contains(r.logs.String(), "refresh.reused") {
		t.Error("a round was taken for a reuse")
	}
}

// 1B-8: also in a later round a signer that fails burns nothing.
func TestASignerThatFailsInTheSecondRoundBurnsNothing(t *testing.T) {
	r := newRig(t)
	token := want(t, r.signIn("strict"), http.StatusOK, "").str("refresh_token")
	r.remember(token)
	r.changeUser(func(u *storage.User) { u.Username = "alicia" })
	calls := 0
	r.keys.sign = func() { calls++; r.keys.fail.Store(calls == 2) }
	want(t, r.refresh("strict", token), http.StatusInternalServerError, "server_error")
	r.keys.sign = nil
	r.keys.fail.Store(false)
	token = want(t, r.refresh("strict", token), http.StatusOK, "").str("refresh_token")
	r.store.recalledGrant = nil
	want(t, r.refresh("strict", token), http.StatusOK, "")
}

// A failure between the rounds is one of the store, not an answer.
func TestAStoreThatFailsBetweenTheRoundsIs503(t *testing.T) {
	r := newRig(t)
	token := want(t, r.signIn("strict"), http.StatusOK, "").str("refresh_token")
	r.store.reset("User")
	r.store.outcomes = []storage.Outcome{storage.Outdated}
	want(t, r.refresh("strict", token), http.StatusServiceUnavailable, "temporarily_unavailable")
	r.store.reset("")
	want(t, r.refresh("strict", token), http.StatusOK, "")
}

// The node remembers an older generation, since others have refreshed: what is presented is newer, and in order.
func TestAnOldMemoryOfTheGrantKeepsNobodyOut(t *testing.T) {
	r := newRig(t)
	token := want(t, r.signIn("strict"), http.StatusOK, "").str("refresh_token")
	r.remember(token)
	for range 4 {
		token = want(t, r.refresh("strict", token), http.StatusOK, "").str("refresh_token")
	}
	if r.store.recalledGrant.Generation != 1 {
		t.Error("the memory was not old")
	}
	// R16: nor does it let anybody in.
	ahead := derive([]byte("secret"), grantOf(token), 9, r.store.recalledGrant.Nonce)
	want(t, r.refresh("strict", ahead), http.StatusBadRequest, "invalid_grant")
	want(t, r.refresh("strict", token), http.StatusBadRequest, "invalid_grant")
	if !strings.Contains(r.logs.String(), "rollback.detected") {
		t.Error("there is no event of a token from the future")
	}
}

// R6: with an old memory a reuse costs a signature, and still ends the family.
func TestAnOldMemoryOfTheGrantHidesNoReuse(t *testing.T) {
	r := newRig(t)
	first := want(t, r.signIn("strict"), http.StatusOK, "").str("refresh_token")
	r.remember(first)
	second := want(t, r.refresh("strict", first), http.StatusOK, "").str("refresh_token")
	want(t, r.refresh("strict", first), http.StatusBadRequest, "invalid_grant")
	want(t, r.refresh("strict", second), http.StatusBadRequest, "invalid_grant")
	if !strings.Contains(r.logs.String(), "refresh.reused") {
		t.Error("there is no event of the reuse")
	}
}

// A token that memory knows to be spent costs no signature; one whose end it has missed costs one, for nothing.
func TestARevokedGrantThatIsRememberedAsSuchCostsNoSignature(t *testing.T) {
	for _, remembered := range []bool{true, false} {
		r := newRig(t)
		token := want(t, r.signIn("cli"), http.StatusOK, "").str("refresh_token")
		if !remembered {
			r.remember(token)
		}
		must(t, r.store.RevokeGrant(t.Context(), grantOf(token), "signed out"))
		if remembered {
			r.remember(token)
		}
		r.keys.signed.Store(0)
		want(t, r.refresh("cli", token), http.StatusBadRequest, "invalid_grant")
		if n := r.keys.signed.Load(); (n == 0) != remembered {
			t.Errorf("remembered: %v, signatures: %d", remembered, n)
		}
	}
}

// A spent token of a user whom memory has wrong is decided all the same, one round later.
func TestASpentTokenOfAnOutdatedUserIsStillReuse(t *testing.T) {
	r := newRig(t)
	first := want(t, r.signIn("cli"), http.StatusOK, "").str("refresh_token")
	second := want(t, r.refresh("cli", first), http.StatusOK, "").str("refresh_token")
	third := want(t, r.refresh("cli", second), http.StatusOK, "").str("refresh_token")
	r.remember(first)
	r.changeUser(func(u *storage.User) { u.Username = "alicia" })
	want(t, r.refresh("cli", first), http.StatusBadRequest, "invalid_grant")
	if !strings.Contains(r.logs.String(), "refresh.reused") {
		t.Error("there is no event of the reuse")
	}
	want(t, r.refresh("cli", third), http.StatusBadRequest, "invalid_grant")
}

// R16: a store that may have forgotten redeems nothing, and somebody hears of it.
func TestAFencedRotationIsInvalidGrantAndReported(t *testing.T) {
	r := newRig(t)
	token := want(t, r.signIn("cli"), http.StatusOK, "").str("refresh_token")
	r.store.outcomes = []storage.Outcome{storage.Fenced}
	res := want(t, r.refresh("cli", token), http.StatusBadRequest, "invalid_grant")
	if log := r.logs.String(); res.body["access_token"] != nil || !strings.Contains(log, "rollback.detected") || !strings.Contains(log, "forgotten") {
		t.Errorf("got %v, events %s", res.body, log)
	}
}

// Who only asks or revokes decides by what is, not by what was.
func TestOnlyARefreshAsksTheMemoryOfTheNode(t *testing.T) {
	r := newRig(t)
	token := want(t, r.signIn("cli"), http.StatusOK, "").str("refresh_token")
	r.store.reset("")
	c, err := r.store.Client(t.Context(), "cli")
	must(t, err)
	found, err := r.find(t.Context(), token)
	must(t, err)
	active, err := r.alive(t.Context(), &found, &client{c})
	must(t, err)
	if got := strings.Join(r.store.verbs, " "); !active || got != "Grant User" {
		t.Errorf("active: %v, the store was asked %q, want %q", active, got, "Grant User")
	}
}
