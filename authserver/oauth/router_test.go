package oauth

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ingam/ingam/authserver/credential"
)

// 1B-8: the commit is last, so that a signer that fails burns nothing, not even where a token may be used once only.
func TestWhatFailsBeforeTheCommitBurnsNothing(t *testing.T) {
	for name, fail := range map[string]func(r *rig, on bool){
		"signer":   func(r *rig, on bool) { r.keys.fail.Store(on) },
		"ID token": func(r *rig, on bool) { r.idTokens.fail.Store(on) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			fail(r, true)
			want(t, r.signIn("strict"), http.StatusInternalServerError, "server_error")
			if slices.Contains(r.store.verbs, "CreateGrant") {
				t.Error("a sign-in without tokens was stored")
			}
			fail(r, false)
			token := want(t, r.signIn("strict"), http.StatusOK, "").str("refresh_token")
			fail(r, true)
			r.store.reset("")
			for range 3 {
				want(t, r.refresh("strict", token), http.StatusInternalServerError, "server_error")
			}
			if slices.Contains(r.store.verbs, "Rotate") {
				t.Error("the token was redeemed")
			}
			fail(r, false)
			token = want(t, r.refresh("strict", token), http.StatusOK, "").str("refresh_token")
			want(t, r.refresh("strict", token), http.StatusOK, "")
		})
	}
}

// R15: a commit that fails hands out nothing.
func TestACommitThatFailsIs503(t *testing.T) {
	r := newRig(t)
	r.store.reset("CreateGrant")
	res := want(t, r.signIn("cli"), http.StatusServiceUnavailable, "temporarily_unavailable")
	if res.Header.Get("Retry-After") == "" || res.body["access_token"] != nil {
		t.Errorf("got %v %v", res.Header, res.body)
	}
	r.store.reset("")
	token := want(t, r.signIn("cli"), http.StatusOK, "").str("refresh_token")
	r.store.reset("Rotate")
	want(t, r.refresh("cli", token), http.StatusServiceUnavailable, "temporarily_unavailable")
	r.store.reset("")
	want(t, r.refresh("cli", token), http.StatusOK, "")
}

// 1B-1, R4: both requests have read the grant and signed before either commits.
func TestInterleavedRedemptionsHaveOneWinner(t *testing.T) {
	for _, client := range []string{"strict", "cli"} {
		r := newRig(t)
		token := want(t, r.signIn(client), http.StatusOK, "").str("refresh_token")
		var both sync.WaitGroup
		both.Add(2)
		r.keys.sign = func() { both.Done(); both.Wait() }
		answers := make([]answer, 2)
		var wg sync.WaitGroup
		for i := range answers {
			wg.Go(func() { answers[i] = r.refresh(client, token) })
		}
		wg.Wait()
		won := slices.DeleteFunc(answers, func(a answer) bool { return a.StatusCode != http.StatusOK })
		switch {
		case client == "strict" && len(won) != 1:
			t.Errorf("strict: %d winners", len(won))
		case client == "cli" && (len(won) != 2 || won[0].str("refresh_token") != won[1].str("refresh_token")):
			t.Errorf("with a window: %d answers, or the family forked", len(won))
		}
	}
}

// A token that can no longer be redeemed costs no signature.
func TestASpentTokenIsRefusedWithoutASignature(t *testing.T) {
	r := newRig(t)
	first := want(t, r.signIn("cli"), http.StatusOK, "").str("refresh_token")
	second := want(t, r.refresh("cli", first), http.StatusOK, "").str("refresh_token")
	third := want(t, r.refresh("cli", second), http.StatusOK, "").str("refresh_token")
	before := r.keys.signed.Load()
	for _, token := range []string{first, second, third} {
		want(t, r.refresh("cli", token), http.StatusBadRequest, "invalid_grant")
	}
	if n := r.keys.signed.Load() - before; n != 0 {
		t.Errorf("%d signatures were made", n)
	}
}

// L10, L11: what the password check says is answered so, on both paths.
func TestEachAnswerOfThePasswordCheckHasItsStatus(t *testing.T) {
	for _, c := range []struct {
		err        error
		status     int
		code       string
		retryAfter string
	}{
		{nil, 200, "", ""},
		{credential.ErrInvalidCredentials, 400, "invalid_grant", ""},
		{fmt.Errorf("wrapped: %w", credential.ErrInvalidCredentials), 400, "invalid_grant", ""},
		{&credential.ThrottledError{RetryAfter: 1200 * time.Millisecond}, 429, "temporarily_unavailable", "2"},
		{&credential.ThrottledError{RetryAfter: time.Nanosecond}, 429, "temporarily_unavailable", "1"},
		{fmt.Errorf("%w: the queue is full", credential.ErrBusy), 503, "temporarily_unavailable", "2"},
		{errBroken, 503, "temporarily_unavailable", "2"},
		{context.Canceled, 503, "temporarily_unavailable", "2"},
	} {
		r := newRig(t)
		r.passwords.err = c.err
		res := want(t, r.signIn("cli"), c.status, c.code)
		if got := res.Header.Get("Retry-After"); got != c.retryAfter {
			t.Errorf("%v: Retry-After is %q, want %q", c.err, got, c.retryAfter)
		}
		if c.status != http.StatusOK && slices.Contains(r.store.verbs, "CreateGrant") {
			t.Errorf("%v: a sign-in was stored", c.err)
		}
	}
}
