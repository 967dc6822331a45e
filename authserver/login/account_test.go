package login

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ingam/ingam/authserver/credential"
	"github.com/ingam/ingam/storage"
)

const better = "correct horse battery"

func TestTheAccountPageShowsSessionsThisOneFirst(t *testing.T) {
	r := newRig(t)
	b, phone := r.browser(), r.browser()
	phone.userAgent = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile Safari/604.1"
	b.mustSignIn("alice", alicePassword)
	phone.mustSignIn("alice", alicePassword)
	stranger := r.browser()
	stranger.userAgent = "curl/8"
	stranger.mustSignIn("bob", "builder")
	page := b.get("/account")
	wantText(t, page, "Firefox on Linux", "this browser", "Safari on iOS", "Sign out everywhere else", "<time datetime=", "192.0.2.1")
	if strings.Contains(page.text, "curl") {
		t.Error("somebody else's session is shown")
	}
	if strings.Index(page.text, "Firefox on Linux") > strings.Index(page.text, "Safari on iOS") {
		t.Error("this browser is not first")
	}
	if strings.Contains(page.text, b.session().ID+".") || strings.Contains(stranger.get("/account").text, "everywhere else") {
		t.Error("a cookie is on the page, or one session offers to end others")
	}
}

// L3
func TestEndingASessionEndsExactlyThatOneAndOnlyOnesOwn(t *testing.T) {
	r := newRig(t)
	b, phone, stranger := r.browser(), r.browser(), r.browser()
	b.mustSignIn("alice", alicePassword)
	phone.mustSignIn("alice", alicePassword)
	stranger.mustSignIn("bob", "builder")
	end := func(id string) answer {
		return b.post("/account/sessions/end", url.Values{"csrf": {b.csrf()}, "session": {id}})
	}
	for _, id := range []string{stranger.session().ID, "", "nobody", strings.Repeat("x", 300)} {
		wantRedirect(t, end(id), "/account")
	}
	if stranger.who() != "bob" || len(r.ended) != 0 {
		t.Fatalf("another user's session has ended: %v", r.ended)
	}
	wantRedirect(t, end(phone.session().ID), "/account?done=session")
	if phone.who() != "" || b.who() != "alice" {
		t.Errorf("phone %q, here %q", phone.who(), b.who())
	}
	wantText(t, b.get("/account?done=session"), "That device is signed out.")
	last := end(b.session().ID)
	wantStatus(t, last, http.StatusOK)
	wantText(t, last, "You are signed out", `src="https://app.example/out?iss=x"`)
	if b.who() != "" || b.cookie(sessionCookie) != "" {
		t.Error("this browser is still signed in")
	}
}

func TestEndingTheOthersLeavesThisOne(t *testing.T) {
	r := newRig(t)
	b, one, two := r.browser(), r.browser(), r.browser()
	for _, each := range []*browser{b, one, two} {
		each.mustSignIn("alice", alicePassword)
	}
	wantRedirect(t, b.post("/account/sessions/end-others", url.Values{"csrf": {b.csrf()}}), "/account?done=sessions")
	if b.who() != "alice" || one.who() != "" || two.who() != "" || len(r.ended) != 2 {
		t.Errorf("here %q, others %q %q, %d told", b.who(), one.who(), two.who(), len(r.ended))
	}
}

func grantOf(id, client, user string, at time.Time) storage.Grant {
	return storage.Grant{
		ID: id, ClientID: client, UserID: user, UserEpoch: 1, Scopes: []string{"openid", "email"}, Audience: []string{"x"},
		Generation: 1, Nonce: []byte("nonce"), AuthTime: at, BornAt: at, IdleExpiresAt: at.Add(time.Hour), ExpiresAt: at.Add(time.Hour),
	}
}

func TestRemovingAnAppTakesItsConsentAndItsGrants(t *testing.T) {
	r := newRig(t)
	b := r.browser()
	b.mustSignIn("alice", alicePassword)
	wantText(t, b.get("/account"), "No app has access")
	ctx := t.Context()
	if err := r.store.CreateClient(ctx, storage.Client{ID: "other", Name: "Other", GrantTypes: []string{"password"}}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []storage.Consent{
		{UserID: "usr_alice", ClientID: "app", Scopes: []string{"openid", "phone"}, GrantedAt: now()},
		{UserID: "usr_alice", ClientID: "removed-client", Scopes: []string{"openid"}, GrantedAt: now()},
		{UserID: "usr_bob", ClientID: "app", Scopes: []string{"address"}, GrantedAt: now()},
	} {
		if err := r.pages.consents.Add(ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	for _, g := range []storage.Grant{
		grantOf("g1", "app", "usr_alice", now()), grantOf("g2", "app", "usr_alice", now()), grantOf("g3", "other", "usr_alice", now()),
		grantOf("g4", "app", "usr_bob", now()),
	} {
		if err := r.store.CreateGrant(ctx, g); err != nil {
			t.Fatal(err)
		}
	}
	page := b.get("/account")
	wantText(t, page, "The App", "see your phone number", "see your e-mail address", "Other", "removed-client")
	if strings.Contains(page.text, "postal address") {
		t.Error("another user's consent is shown")
	}
	wantRedirect(t, b.post("/account/apps/remove", url.Values{"csrf": {b.csrf()}, "client_id": {"app"}}), "/account?done=app")
	if _, err := r.pages.consents.Consent(ctx, "usr_alice", "app"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("consent: %v", err)
	}
	for id, revoked := range map[string]bool{"g1": true, "g2": true, "g3": false, "g4": false} {
		if g, err := r.store.Grant(ctx, id); err != nil || g.Revoked != revoked {
			t.Errorf("grant %s: revoked %v, %v", id, g.Revoked, err)
		}
	}
	if _, err := r.pages.consents.Consent(ctx, "usr_bob", "app"); err != nil {
		t.Errorf("bob's consent: %v", err)
	}
	if page = b.get("/account?done=app"); strings.Contains(page.text, "The App") {
		t.Error("the app is still shown")
	}
	wantText(t, page, "access of that app is removed")
	for _, id := range []string{"", "nothing", strings.Repeat("x", 300), "a/b"} {
		wantRedirect(t, b.post("/account/apps/remove", url.Values{"csrf": {b.csrf()}, "client_id": {id}}), "/account")
	}
	// What was taken back is in the audit, once, and what somebody made up is not.
	if n := strings.Count(r.audit.String(), `"event":"consent.withdrawn","client_id":"app","sub":"usr_alice"`); n != 1 {
		t.Errorf("%d events: %s", n, r.audit)
	}
	if strings.Count(r.audit.String(), "consent.withdrawn") != 1 {
		t.Errorf("audit: %s", r.audit)
	}
}

// busyUser has more live grants than one look shows, those of a client that asks anew at each load first.
type busyUser struct {
	storage.Store
	mu     sync.Mutex
	grants []storage.Grant
	// revoke, if set, is what ending a grant takes.
	revoke func() error
}

func (u *busyUser) GrantsOf(_ context.Context, _ string, limit int) ([]storage.Grant, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.grants[:min(limit, len(u.grants))]), nil
}

func (u *busyUser) RevokeGrant(_ context.Context, id, _ string) error {
	if u.revoke != nil {
		if err := u.revoke(); err != nil {
			return err
		}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.grants = slices.DeleteFunc(u.grants, func(g storage.Grant) bool { return g.ID == id })
	return nil
}

func TestRemovingAnAppFindsItsGrantsBehindAnyNumberOfOthers(t *testing.T) {
	r := newRig(t)
	b := r.browser()
	b.mustSignIn("alice", alicePassword)
	busy := &busyUser{Store: r.pages.store}
	for i := range 2*maxListed + 1 {
		busy.grants = append(busy.grants, grantOf(fmt.Sprintf("chatty-%d", i), "chatty", "usr_alice", now()))
	}
	busy.grants = append(busy.grants, grantOf("hidden", "app", "usr_alice", now()))
	r.pages.store = busy
	wantText(t, b.get("/account"), "The App", "chatty")
	wantRedirect(t, b.post("/account/apps/remove", url.Values{"csrf": {b.csrf()}, "client_id": {"app"}}), "/account?done=app")
	if n := len(busy.grants); n != 2*maxListed+1 || busy.grants[n-1].ClientID != "chatty" {
		t.Errorf("%d grants are left, the last of %s", n, busy.grants[n-1].ClientID)
	}
	wantRedirect(t, b.post("/account/apps/remove", url.Values{"csrf": {b.csrf()}, "client_id": {"chatty"}}), "/account?done=app")
	if len(busy.grants) != 0 {
		t.Errorf("%d grants are left", len(busy.grants))
	}
}

// A client that has only a code has nothing yet, and there is nothing to take back.
func TestAnAppWhoseCodesNobodyRedeemedIsNotListed(t *testing.T) {
	r := newRig(t)
	b := r.browser()
	b.mustSignIn("alice", alicePassword)
	for id, client := range map[string]string{"g1": "abandoned", "g2": "consented"} {
		code := grantOf(id, client, "usr_alice", now())
		code.Generation = 0
		if err := r.store.CreateGrant(t.Context(), code); err != nil {
			t.Fatal(err)
		}
	}
	err := r.pages.consents.Add(t.Context(), storage.Consent{UserID: "usr_alice", ClientID: "consented", Scopes: []string{"openid"}, GrantedAt: now()})
	if err != nil {
		t.Fatal(err)
	}
	page := b.get("/account")
	wantText(t, page, "consented")
	if strings.Contains(page.text, "abandoned") {
		t.Error("an app that has nothing is listed")
	}
}

func TestManyGrantsAreEndedManyAtATimeAndAFailureIsToldAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		b := r.browser()
		b.mustSignIn("alice", alicePassword)
		var under, most, failures atomic.Int64
		failing := false
		busy := &busyUser{Store: r.pages.store, revoke: func() error {
			most.Store(max(most.Load(), under.Add(1)))
			defer under.Add(-1)
			time.Sleep(4 * time.Millisecond)
			if failing {
				failures.Add(1)
				return errors.New("connection refused")
			}
			return nil
		}}
		const many = 1900
		for i := range many {
			busy.grants = append(busy.grants, grantOf(fmt.Sprintf("g%d", i), "chatty", "usr_alice", now()))
		}
		r.pages.store = busy
		remove := func() answer {
			return b.post("/account/apps/remove", url.Values{"csrf": {b.csrf()}, "client_id": {"chatty"}})
		}
		failing = true
		wantStatus(t, remove(), http.StatusServiceUnavailable)
		if n := failures.Load(); n < 1 || n > 2*revokeAtOnce || len(busy.grants) != many {
			t.Errorf("%d tries at a store that is away, %d grants are left", n, len(busy.grants))
		}
		failing = false
		begun := time.Now()
		wantRedirect(t, remove(), "/account?done=app")
		if took := time.Since(begun); took > 500*time.Millisecond || most.Load() != revokeAtOnce || len(busy.grants) != 0 {
			t.Errorf("it took %v with %d at a time, %d grants are left", took, most.Load(), len(busy.grants))
		}
	})
}

// brokenEntries lets entries be read, and no longer be written once it is told so.
type brokenEntries struct {
	storage.Entries
	broken *bool
}

func (e brokenEntries) ReplaceEntry(ctx context.Context, entry storage.Entry) error {
	if *e.broken {
		return errors.New("connection refused")
	}
	return e.Entries.ReplaceEntry(ctx, entry)
}

func TestWhoIsNotKeptSignedInHearsThatThePasswordIsChangedAllTheSame(t *testing.T) {
	r := newRig(t)
	b := r.browser()
	b.mustSignIn("alice", alicePassword)
	inner, broken := r.pages.store, false
	r.pages.sessions.Entries = brokenEntries{r.store, &broken}
	r.pages.store = swappedUsers{inner, func(u storage.User) error {
		broken = true // from now on
		return inner.ReplaceUser(t.Context(), u)
	}}
	res := change(b)
	wantStatus(t, res, http.StatusServiceUnavailable)
	wantText(t, res, "Your password is changed.", "Sign in again with your new password.", `href="/login"`)
	if strings.Contains(res.text, "othing has been changed") || strings.Contains(res.text, "othing was changed") {
		t.Errorf("the page says that nothing has happened: %s", res.text)
	}
	if u, _ := inner.User(t.Context(), "usr_alice"); u.PasswordHash == "" || u.Epoch != 2 {
		t.Errorf("the user is %+v", u)
	}
	// A failure before that says neither: whether the write arrived is not known.
	broken = false
	r.passwords.known["alice"] = better
	b.mustSignIn("alice", better)
	r.pages.store = swappedUsers{inner, func(u storage.User) error {
		_ = inner.ReplaceUser(t.Context(), u)
		return errors.New("the answer was lost")
	}}
	res = change(b, "current", better, "new", better+" again", "repeat", better+" again")
	wantStatus(t, res, http.StatusServiceUnavailable)
	if strings.Contains(res.text, "othing has been changed") || strings.Contains(res.text, "is changed") {
		t.Errorf("the page claims to know: %s", res.text)
	}
}

func TestTheDoneMessageIsOneOfOurs(t *testing.T) {
	b := newRig(t).browser()
	b.mustSignIn("alice", alicePassword)
	for _, given := range []string{"x", "account.title", "<b>", "password&done=<b>"} {
		if page := b.get("/account?done=" + url.QueryEscape(given)); strings.Contains(page.text, `class="done"`) {
			t.Errorf("done=%s says something", given)
		}
	}
}

func change(b *browser, more ...string) answer {
	b.t.Helper()
	form := url.Values{
		"csrf": {b.csrf()}, "current": {alicePassword}, "new": {better}, "repeat": {better}, "end_others": {"1"}, "username": {"alice"},
	}
	for i := 0; i+1 < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return b.post("/account/password", form)
}

// L1, L3
func TestANewPasswordEndsEveryOtherSessionUnlessThePersonSaysNo(t *testing.T) {
	for _, endOthers := range []bool{true, false} {
		t.Run(fmt.Sprint(endOthers), func(t *testing.T) {
			r := newRig(t)
			b, phone := r.browser(), r.browser()
			b.mustSignIn("alice", alicePassword, "remember", "1")
			phone.mustSignIn("alice", alicePassword)
			if err := r.store.CreateGrant(t.Context(), grantOf("g1", "app", "usr_alice", now())); err != nil {
				t.Fatal(err)
			}
			before, cookie := b.session(), b.cookie(sessionCookie)
			field := map[bool]string{true: "1", false: ""}[endOthers]
			wantRedirect(t, change(b, "end_others", field), "/account?done=password")
			u, err := r.store.User(t.Context(), "usr_alice")
			if err != nil {
				t.Fatal(err)
			}
			if match, _, err := r.pages.hasher.Verify(t.Context(), u.PasswordHash, better); !match || err != nil {
				t.Errorf("the stored hash: %v, %v", match, err)
			}
			if (u.Epoch == 2) != endOthers || (phone.who() == "") != endOthers || (len(r.ended) == 1) != endOthers {
				t.Errorf("epoch %d, phone %q, told %d", u.Epoch, phone.who(), len(r.ended))
			}
			after := b.session()
			if b.who() != "alice" || b.cookie(sessionCookie) == cookie || after.ID != before.ID || !after.Remembered || !after.ExpiresAt.Equal(before.ExpiresAt) {
				t.Errorf("this session: %q %+v", b.who(), after)
			}
			thief := r.browser()
			thief.setCookie(sessionCookie, cookie)
			if thief.who() != "" {
				t.Error("the cookie of before still counts")
			}
			wantText(t, b.get("/account?done=password"), "Your password is changed.")
			if !strings.Contains(r.audit.String(), "user.password_changed") || strings.Contains(r.audit.String()+r.log.String(), better) {
				t.Errorf("audit: %s", r.audit)
			}
		})
	}
}

func TestAPasswordThatCannotBeTakenIsRefusedWithTheReason(t *testing.T) {
	r := newRig(t)
	b := r.browser()
	b.mustSignIn("alice", alicePassword)
	for _, tt := range []struct {
		name, text string
		status     int
		fields     []string
	}{
		{"short", "at least 8 characters", 400, []string{"new", "seven77", "repeat", "seven77"}},
		{"empty", "at least 8 characters", 400, []string{"new", "", "repeat", ""}},
		{"long", "at most 1024 bytes", 400, []string{"new", strings.Repeat("x", 1025), "repeat", strings.Repeat("x", 1025)}},
		{"not repeated", "not the same", 400, []string{"repeat", better + "x"}},
		{"the same", "is the current one", 400, []string{"new", alicePassword, "repeat", alicePassword}},
		{"wrong", "current password is wrong", 400, []string{"current", "wrong"}},
		{"nothing", "current password is wrong", 400, []string{"current", ""}},
	} {
		res := change(b, tt.fields...)
		wantStatus(t, res, tt.status)
		wantText(t, res, tt.text, `role="alert"`)
		if strings.Contains(res.text, better) || strings.Contains(res.text, alicePassword) {
			t.Errorf("%s: a password is on the page", tt.name)
		}
	}
	if key, _ := whyNot("AliceLiddell", "AliceLiddell", "", "aliceliddell"); key != "password.username" {
		t.Errorf("the username as password: %q", key)
	}
	if key, _ := whyNot("가나다라마바사아", "가나다라마바사아", "", "alice"); key != "" {
		t.Errorf("eight Korean letters: %q", key)
	}
	if u, _ := r.store.User(t.Context(), "usr_alice"); u.PasswordHash != "" || u.Epoch != 1 {
		t.Errorf("something was changed: %+v", u)
	}
	page := change(b, "current", "wrong", "end_others", "")
	if strings.Contains(page.text, `name="end_others" value="1" checked`) {
		t.Error("the mark that was taken off is back")
	}
}

// L6: the change of a password is no way around the limits on guesses.
func TestGuessesOfTheCurrentPasswordAreLimitedAsAtASignIn(t *testing.T) {
	r := newRig(t)
	b := r.browser()
	b.mustSignIn("alice", alicePassword)
	seen := len(r.passwords.seen)
	r.passwords.fail(&credential.ThrottledError{RetryAfter: 90 * time.Second})
	res := change(b)
	wantStatus(t, res, http.StatusTooManyRequests)
	wantText(t, res, "Try again in 90 seconds.")
	if res.Header.Get("Retry-After") != "90" || len(r.passwords.seen) != seen+1 {
		t.Errorf("Retry-After %q, %d attempts", res.Header.Get("Retry-After"), len(r.passwords.seen)-seen)
	}
	at := r.passwords.seen[seen]
	if at.Username != "alice" || at.Address.String() != "192.0.2.1" {
		t.Errorf("attempt of %s from %s", at.Username, at.Address)
	}
	r.passwords.fail(fmt.Errorf("%w: full", credential.ErrBusy))
	wantStatus(t, change(b), http.StatusServiceUnavailable)
	r.passwords.fail(errors.New("store: connection refused"))
	wantStatus(t, change(b), http.StatusServiceUnavailable)
}

// swappedUsers answers another store's view of users at the moment of writing.
type swappedUsers struct {
	storage.Store
	replace func(storage.User) error
}

func (s swappedUsers) ReplaceUser(_ context.Context, u storage.User) error { return s.replace(u) }

func TestAPasswordThatIsChangedAtTheSameMomentElsewhereStays(t *testing.T) {
	r := newRig(t)
	b := r.browser()
	b.mustSignIn("alice", alicePassword)
	inner, tries := r.pages.store, 0
	r.pages.store = swappedUsers{inner, func(u storage.User) error {
		if tries++; tries == 1 { // another fact changes: it is tried again
			current, _ := inner.User(t.Context(), u.ID)
			current.Claims = map[string]any{"name": "Alice Hargreaves"}
			if err := inner.ReplaceUser(t.Context(), current); err != nil {
				t.Fatal(err)
			}
		}
		return inner.ReplaceUser(t.Context(), u)
	}}
	wantRedirect(t, change(b), "/account?done=password")
	u, _ := inner.User(t.Context(), "usr_alice")
	if tries != 2 || u.Claims["name"] != "Alice Hargreaves" || u.PasswordHash == "" {
		t.Errorf("after %d tries: %+v", tries, u)
	}
	r.pages.store = swappedUsers{inner, func(u storage.User) error {
		current, _ := inner.User(t.Context(), u.ID)
		current.PasswordHash = "by somebody else"
		if err := inner.ReplaceUser(t.Context(), current); err != nil {
			t.Fatal(err)
		}
		return inner.ReplaceUser(t.Context(), u)
	}}
	res := change(b, "new", better+" staple", "repeat", better+" staple")
	wantStatus(t, res, http.StatusConflict)
	wantText(t, res, "changed by somebody else")
	if u, _ := inner.User(t.Context(), "usr_alice"); u.PasswordHash != "by somebody else" {
		t.Errorf("hash %q", u.PasswordHash)
	}
}

func TestThePasswordOfAUserFromAFileIsChangedThere(t *testing.T) {
	r := newRig(t)
	b := r.browser()
	b.mustSignIn("alice", alicePassword)
	inner := r.pages.store
	r.pages.store = swappedUsers{inner, func(storage.User) error { return storage.ErrReadOnly }}
	res := change(b)
	wantStatus(t, res, http.StatusConflict)
	wantText(t, res, "can only be changed there")
	r.pages.store = fileUsers{inner}
	page := b.get("/account")
	wantText(t, page, "can only be changed there")
	if strings.Contains(page.text, `name="new"`) {
		t.Error("the form is there all the same")
	}
	wantStatus(t, change(b), http.StatusConflict)
}

// fileUsers are users that a file defines.
type fileUsers struct{ storage.Store }

func (s fileUsers) User(ctx context.Context, id string) (storage.User, error) {
	u, err := s.Store.User(ctx, id)
	u.Source = "users.d/team.yaml"
	return u, err
}

// L13
func TestAPasswordThatEverybodyTriesFirstIsRefused(t *testing.T) {
	r := newRig(t)
	b := r.browser()
	b.mustSignIn("alice", alicePassword)
	for _, word := range []string{"password", "Password123", "QWERTYUIOP", "1q2w3e4r5t"} {
		res := change(b, "new", word, "repeat", word)
		wantStatus(t, res, http.StatusBadRequest)
		wantText(t, res, "tried first")
	}
	for _, word := range []string{"password of alice", "p a s s w o r d", better} {
		if key, _ := whyNot(word, word, "", "alice"); key != "" {
			t.Errorf("%q: %s", word, key)
		}
	}
}
