package authserver_test

import (
	"strings"
	"testing"
	"time"
)

// interaction are the errors of a request that cannot be answered without showing a page (OIDC Core §3.1.2.6).
var interaction = []string{"login_required", "interaction_required", "consent_required", "account_selection_required"}

// sameSignIn fails unless two ID tokens are about one user and one sign-in.
func sameSignIn(t testing.TB, first, second flow) {
	t.Helper()
	for _, name := range []string{"sub", "auth_time", "acr", "sid"} {
		if first.id.claims[name] != second.id.claims[name] {
			t.Errorf("%s is %v, then %v", name, first.id.claims[name], second.id.claims[name])
		}
	}
}

// again makes a second request, for which the person has to sign in anew, and answers its tokens.
func (s *suite) again(first flow, pairs ...string) flow {
	s.t.Helper()
	q := s.request(pairs...)
	pg := s.authorize(q)
	if !pg.has("/login") {
		s.t.Fatalf("%v: nobody is asked to sign in: %s", pairs, pg.at)
	}
	second := s.finish(pg, q)
	if second.id.num("auth_time") <= first.id.num("auth_time") || second.id.num("auth_time") < float64(time.Now().Unix()-1) {
		s.t.Errorf("%v: auth_time is %v, was %v", pairs, second.id.claims["auth_time"], first.id.claims["auth_time"])
	}
	if second.id.str("sub") != first.id.str("sub") {
		s.t.Errorf("%v: sub changed", pairs)
	}
	return second
}

// oidcc-prompt-login.
func TestConformancePromptLoginAsksAgain(t *testing.T) {
	inBothModes(t, func(_ testing.TB, s *suite) {
		first := s.complete(s.request())
		time.Sleep(time.Second)
		s.again(first, "prompt", "login")
	})
}

// oidcc-prompt-none-not-logged-in; the state is long there.
func TestConformancePromptNoneWithoutASessionIsAnError(t *testing.T) {
	inBothModes(t, func(_ testing.TB, s *suite) {
		s.refused(s.request("prompt", "none", "state", strings.Repeat("s", 128)), interaction...)
	})
}

// oidcc-prompt-none-logged-in.
func TestConformancePromptNoneWithASessionIsSilent(t *testing.T) {
	inBothModes(t, func(t testing.TB, s *suite) {
		first := s.complete(s.request())
		time.Sleep(3 * time.Second)
		q := s.request("prompt", "none")
		pg := s.authorize(q)
		if pg.has("/login") || pg.has("/consent") {
			t.Fatalf("a page is shown: %s", pg.text)
		}
		sameSignIn(t, first, s.finish(pg, q))
	})
}

// oidcc-max-age-1.
func TestConformanceMaxAgeOfASecondAsksAgain(t *testing.T) {
	inBothModes(t, func(_ testing.TB, s *suite) {
		first := s.complete(s.request())
		time.Sleep(2 * time.Second)
		s.again(first, "max_age", "1")
	})
}

// A person is slower than the suite: who has signed in for a request and then thinks about its consent is not asked again.
func TestConformanceAShortMaxAgeLeavesTimeForTheConsent(t *testing.T) {
	inBothModes(t, func(t testing.TB, s *suite) {
		first := s.complete(s.request())
		for _, pairs := range [][]string{{"max_age", "1"}, {"max_age", "0"}, {"prompt", "login consent"}} {
			time.Sleep(2 * time.Second)
			q := s.request(append([]string{"prompt", "consent"}, pairs...)...)
			pg := s.signInAt(s.authorize(q), "alice", "wonderland")
			time.Sleep(time.Minute)
			answer := s.callback(s.allow(pg), q)
			second := s.tokensOf(s.exchange(answer.Get("code")), q.Get("nonce"))
			if second.id.num("auth_time") <= first.id.num("auth_time") {
				t.Errorf("%v: auth_time %v, was %v", pairs, second.id.claims["auth_time"], first.id.claims["auth_time"])
			}
		}
	})
}

// oidcc-max-age-10000.
func TestConformanceMaxAgeThatIsNotReachedAsksNothing(t *testing.T) {
	inBothModes(t, func(t testing.TB, s *suite) {
		first := s.complete(s.request("max_age", "15000"))
		time.Sleep(2 * time.Second)
		q := s.request("max_age", "10000")
		pg := s.authorize(q)
		if pg.has("/login") {
			t.Fatalf("a sign-in page is shown: %s", pg.text)
		}
		sameSignIn(t, first, s.finish(pg, q))
	})
}

// oidcc-id-token-hint.
func TestConformanceAnIDTokenHintWithPromptNoneIsSilent(t *testing.T) {
	inBothModes(t, func(t testing.TB, s *suite) {
		first := s.complete(s.request())
		time.Sleep(time.Second)
		second := s.complete(s.request("prompt", "none", "id_token_hint", first.idToken))
		sameSignIn(t, first, second)
		// OIDC Core §3.1.2.1: also one that has expired.
		time.Sleep(90 * time.Minute)
		sameSignIn(t, first, s.complete(s.request("prompt", "none", "id_token_hint", first.idToken)))
	})
}

// oidcc-login-hint: the field is filled.
func TestConformanceALoginHintFillsTheField(t *testing.T) {
	inBothModes(t, func(t testing.TB, s *suite) {
		q := s.request("login_hint", "alice@example.test")
		pg := s.authorize(q)
		if got := s.form(pg, "/login").fields.Get("username"); got != "alice@example.test" {
			t.Errorf("the field has %q", got)
		}
		s.finish(pg, q)
	})
}

// oidcc-ui-locales: a language that is spoken here is, another does no harm.
func TestConformanceUILocalesChooseTheLanguage(t *testing.T) {
	inBothModes(t, func(t testing.TB, s *suite) {
		for locales, language := range map[string]string{"se": "en", "se ko": "ko", "ko-KR": "ko", "en ko": "en"} {
			q := s.request("ui_locales", locales)
			pg := s.authorize(s.request("ui_locales", locales, "prompt", "login"))
			if !strings.Contains(pg.raw, `<html lang="`+language+`"`) {
				t.Errorf("ui_locales=%s: the page is not in %s", locales, language)
			}
			s.complete(q)
		}
	})
}

// oidcc-display-page, oidcc-display-popup, oidcc-claims-locales, oidcc-ensure-request-with-unknown-parameter-succeeds: none of
// it is an error, nor changes what comes out.
func TestConformanceWhatIsNotUnderstoodIsIgnored(t *testing.T) {
	for module, pairs := range map[string][]string{
		"oidcc-display-page":   {"display", "page"},
		"oidcc-display-popup":  {"display", "popup"},
		"oidcc-claims-locales": {"claims_locales", "se"},
		"oidcc-ensure-request-with-unknown-parameter-succeeds": {"extra", "foobar"},
	} {
		t.Run(module, func(t *testing.T) {
			inBothModes(t, func(_ testing.TB, s *suite) { s.complete(s.request(pairs...)) })
		})
	}
}

// oidcc-ensure-request-with-acr-values-succeeds: what is announced is met, and the token says so.
func TestConformanceARequestedACRIsReturned(t *testing.T) {
	inBothModes(t, func(t testing.TB, s *suite) {
		announced := list(s.metadata, "acr_values_supported")
		for _, values := range []string{strings.Join(announced, " "), "1 2"} {
			f := s.complete(s.request("acr_values", values))
			if !strings.Contains(" "+values+" ", " "+f.id.str("acr")+" ") {
				t.Errorf("asked for %q, got %q", values, f.id.str("acr"))
			}
		}
	})
}
