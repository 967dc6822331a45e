package authserver_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// oidcc-server, oidcc-idtoken-signature.
func TestConformanceTheCodeFlow(t *testing.T) {
	inBothModes(t, func(t testing.TB, s *suite) {
		f := s.complete(s.request())
		// RFC 6749 §10.10: 128 bits at least; the suite measures 96.
		if len(f.code)*8 < 128 || entropy(f.code) <= 96 {
			t.Errorf("the code is %q", f.code)
		}
		if f.tokens.str("scope") != "openid" && f.tokens.body["scope"] != nil {
			t.Errorf("scope is %q", f.tokens.str("scope"))
		}
		// OIDC Core §5.4: with scope openid alone there is nothing but sub.
		if info := s.userinfo(f.access); len(info.body) != 1 {
			t.Errorf("userinfo tells %s", info.raw)
		}
	})
}

// oidcc-response-type-missing.
func TestConformanceAResponseTypeIsRequired(t *testing.T) {
	inBothModes(t, func(_ testing.TB, s *suite) {
		s.refused(s.request("response_type", ""), "invalid_request", "unsupported_response_type")
	})
}

// oidcc-userinfo-get, oidcc-userinfo-post-header, oidcc-userinfo-post-body.
func TestConformanceUserinfoTakesTheTokenInThreeWays(t *testing.T) {
	inBothModes(t, func(t testing.TB, s *suite) {
		f := s.complete(s.request("scope", "openid profile email address phone"))
		bearer := func(req *http.Request) *http.Request {
			req.Header.Set("Authorization", f.tokens.str("token_type")+" "+f.access)
			return req
		}
		for name, req := range map[string]*http.Request{
			"oidcc-userinfo-get":         bearer(get("/userinfo")),
			"oidcc-userinfo-post-header": bearer(form("/userinfo")),
			"oidcc-userinfo-post-body":   form("/userinfo", "access_token", f.access),
		} {
			req.Header.Set("Accept", "application/json")
			res := s.do(req)
			if res.StatusCode != http.StatusOK || !strings.HasPrefix(res.Header.Get("Content-Type"), "application/json") {
				t.Errorf("%s: %d %s", name, res.StatusCode, res.raw)
			}
			s.checkUserinfo(res.body, f.id, allClaims...)
		}
	})
}

// oidcc-ensure-request-without-nonce-succeeds-for-code-flow.
func TestConformanceANonceMayBeMissing(t *testing.T) {
	inBothModes(t, func(_ testing.TB, s *suite) { s.complete(s.request("nonce", "")) })
}

// The suite sends a state always; without one there is none in the answer, nor in an error (RFC 6749 §4.1.2).
func TestConformanceAStateMayBeMissing(t *testing.T) {
	inBothModes(t, func(_ testing.TB, s *suite) {
		s.refused(s.request("state", "", "prompt", "none"), "login_required")
		s.complete(s.request("state", ""))
	})
}

// oidcc-codereuse.
func TestConformanceACodeIsGoodOnce(t *testing.T) {
	inBothModes(t, func(t testing.TB, s *suite) {
		f := s.complete(s.request())
		wantDocument(t, s.exchange(f.code), http.StatusBadRequest)
		want(t, s.exchange(f.code), http.StatusBadRequest, "invalid_grant")
	})
}

// oidcc-codereuse-30seconds; RFC 6749 §4.1.2: the second use ends what came of the first.
func TestConformanceACodeUsedAgainAfter30SecondsRevokesItsTokens(t *testing.T) {
	inBothModes(t, func(t testing.TB, s *suite) {
		f := s.complete(s.request())
		time.Sleep(30 * time.Second)
		if info := s.userinfo(f.access); info.StatusCode != http.StatusOK {
			t.Fatalf("userinfo before: %d", info.StatusCode)
		}
		want(t, s.exchange(f.code), http.StatusBadRequest, "invalid_grant")
		info := s.userinfo(f.access)
		if info.StatusCode != http.StatusUnauthorized || !strings.Contains(info.Header.Get("WWW-Authenticate"), `error="invalid_token"`) {
			t.Errorf("userinfo after: %d %v", info.StatusCode, info.Header)
		}
	})
}

// oidcc-ensure-registered-redirect-uri: a page, and no redirect anywhere.
func TestConformanceAnUnregisteredRedirectURIIsAPage(t *testing.T) {
	inBothModes(t, func(t testing.TB, s *suite) {
		pg := s.authorize(s.request("redirect_uri", suiteCallback+"/abcdef"))
		if pg.StatusCode != http.StatusBadRequest || len(pg.forms) > 1 || !strings.Contains(pg.text, "redirect_uri") || pg.has(suiteCallback) {
			t.Errorf("got %d at %s: %s", pg.StatusCode, pg.at, pg.text)
		}
	})
}

// oidcc-ensure-post-request-succeeds.
func TestConformanceAnAuthorizationRequestMayBePosted(t *testing.T) {
	inBothModes(t, func(_ testing.TB, s *suite) {
		q := s.request()
		var pairs []string
		for name := range q {
			pairs = append(pairs, name, q.Get(name))
		}
		req := form("/oauth2/auth", pairs...)
		req.Header.Set("Origin", "https://suite.example.test")
		req.Header.Set("Sec-Fetch-Site", "cross-site")
		s.finish(s.follow("/oauth2/auth", s.send(req)), q)
	})
}

// oidcc-server-client-secret-post.
func TestConformanceTheSecretMayBeInTheBody(t *testing.T) {
	inBothModes(t, func(t testing.TB, s *suite) {
		q := s.request()
		redeem := func(secret string) response {
			return s.token("grant_type", "authorization_code", "code", s.through(s.authorize(q), q).Get("code"),
				"redirect_uri", suiteCallback, "client_id", "suite", "client_secret", secret)
		}
		s.tokensOf(redeem("suite-secret"), q.Get("nonce"))
		want(t, redeem("wrong"), http.StatusUnauthorized, "invalid_client")
	})
}

// oidcc-ensure-request-with-valid-pkce-succeeds, and that it is checked.
func TestConformancePKCEIsServedAndChecked(t *testing.T) {
	inBothModes(t, func(t testing.TB, s *suite) {
		q := s.request("code_challenge", challenge(verifier), "code_challenge_method", "S256")
		s.complete(q, "code_verifier", verifier)
		code := s.through(s.authorize(q), q).Get("code")
		want(t, s.exchange(code, "code_verifier", verifier+"x"), http.StatusBadRequest, "invalid_grant")
	})
}

// unsignedObject is a request object with alg none.
func unsignedObject(t testing.TB, q url.Values) string {
	t.Helper()
	claims := map[string]any{"iss": q.Get("client_id"), "aud": issuer}
	for name := range q {
		claims[name] = q.Get(name)
	}
	return unsigned(t, claims)
}

// oidcc-unsigned-request-object-supported-correctly-or-rejected-as-unsupported,
// oidcc-request-uri-unsigned-supported-correctly-or-rejected-as-unsupported: the suite skips both when none is not announced.
func TestConformanceAnUnsignedRequestObjectIsRefusedAsUnsupported(t *testing.T) {
	inBothModes(t, func(t testing.TB, s *suite) {
		algs := list(s.metadata, "request_object_signing_alg_values_supported")
		if slices.Contains(algs, "none") || !slices.Contains(algs, "RS256") || s.metadata["request_uri_parameter_supported"] != false {
			t.Errorf("announced: %v, request_uri %v", algs, s.metadata["request_uri_parameter_supported"])
		}
		inside := s.request()
		q := s.request("state", "", "nonce", "", "request", unsignedObject(t, inside))
		s.refused(q, "request_not_supported")
		// Both at once, as clients do that must serve servers of either kind.
		q = s.request("request", unsignedObject(t, inside))
		s.refused(q, "request_not_supported")
	})
}

// oidcc-ensure-request-object-with-redirect-uri: a redirect URI beside the object that is not registered is a page; the one
// in an unsigned object is not gone to.
func TestConformanceARedirectURIInAnUnsignedObjectDoesNotCount(t *testing.T) {
	inBothModes(t, func(t testing.TB, s *suite) {
		pg := s.authorize(s.request("redirect_uri", suiteCallback+"/invalid", "request", unsignedObject(t, s.request())))
		if pg.StatusCode != http.StatusBadRequest || !strings.HasPrefix(pg.Header.Get("Content-Type"), "text/html") || pg.has(suiteCallback) {
			t.Errorf("got %d at %s: %s", pg.StatusCode, pg.at, pg.raw)
		}
	})
}

// oidcc-refresh-token: two clients, each with offline_access, and neither with the token of the other.
func TestConformanceARefreshTokenIsItsClientsAlone(t *testing.T) {
	inBothModes(t, func(t testing.TB, s *suite) {
		if !slices.Contains(list(s.metadata, "grant_types_supported"), "refresh_token") ||
			!slices.Contains(list(s.metadata, "scopes_supported"), "offline_access") {
			t.Error("refresh_token or offline_access is not announced")
		}
		refresh := func(token string, more ...string) response {
			req := form("/oauth2/token", append([]string{"grant_type", "refresh_token", "refresh_token", token}, more...)...)
			return s.do(basic(req, s.client, s.client+"-secret"))
		}
		var latest string
		for _, client := range []string{"suite", "suite2"} {
			s.client = client
			q := s.request("scope", "openid offline_access", "prompt", "consent")
			first := s.complete(q)
			time.Sleep(time.Second)
			var more []string
			if client == "suite" {
				more = []string{"scope", "openid offline_access"}
			}
			// OIDC Core §12.2: who is meant and when they signed in stays, and there should be no nonce.
			second := s.tokensOf(refresh(first.tokens.str("refresh_token"), more...), "")
			for _, name := range []string{"iss", "sub", "aud", "azp", "auth_time", "sid", "acr"} {
				if second.id.claims[name] != first.id.claims[name] {
					t.Errorf("%s is %v after the refresh, was %v", name, second.id.claims[name], first.id.claims[name])
				}
			}
			if second.id.num("iat") <= first.id.num("iat") || second.access == first.access {
				t.Errorf("after the refresh: iat %v, was %v", second.id.claims["iat"], first.id.claims["iat"])
			}
			if info := s.userinfo(second.access); info.StatusCode != http.StatusOK {
				t.Errorf("userinfo: %d", info.StatusCode)
			}
			latest = second.tokens.str("refresh_token")
		}
		s.client = "suite"
		want(t, refresh(latest, "scope", "openid offline_access"), http.StatusBadRequest, "invalid_grant")
		s.client = "suite2"
		want(t, refresh(latest), http.StatusOK, "")
	})
}
