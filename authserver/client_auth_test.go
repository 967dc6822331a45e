package authserver_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/ingam/ingam/storage"
)

// unknownToken is a request whose answer depends on the authentication of its client alone, and costs no signature.
func unknownToken(more ...string) *http.Request {
	return form("/oauth2/introspect", append([]string{"token", "unknown"}, more...)...)
}

// addClient registers a confidential client with that secret.
func (r *rig) addClient(id, plain string) {
	r.t.Helper()
	ignoreExists(r.t, r.store.CreateClient(context.Background(), storage.Client{
		ID: id, Secrets: secret(plain), GrantTypes: []string{"client_credentials"}, Scopes: []string{"read"}, Audience: []string{apiAud},
	}))
}

// nasty are the characters that the two encodings of RFC 6749 §2.3.1 disagree about with something.
var nasty = []rune(`abz019:%+&=/?#@ ~-._*!'()"\;,<>{}[]|^` + "`" + "éß日本\u00a0\U0001f511")

func nastyText(random *rand.Rand) string {
	text := make([]rune, 1+random.IntN(24))
	for i := range text {
		text[i] = nasty[random.IntN(len(nasty))]
	}
	return string(text)
}

// C1
func TestAnyIDAndSecretSurviveHTTPBasicAndTheBody(t *testing.T) {
	r := newRig(t)
	random := rand.New(rand.NewPCG(6749, 231))
	for range 500 {
		id, plain := nastyText(random), nastyText(random)
		if _, err := r.store.Client(context.Background(), id); err == nil {
			continue
		}
		r.addClient(id, plain)
		want(t, r.do(basic(unknownToken(), id, plain)), http.StatusOK, "")
		want(t, r.do(unknownToken("client_id", id, "client_secret", plain)), http.StatusOK, "")
		want(t, r.do(basic(unknownToken(), id, plain+"x")), http.StatusUnauthorized, "invalid_client")
		want(t, r.do(unknownToken("client_id", id, "client_secret", "x"+plain)), http.StatusUnauthorized, "invalid_client")
	}
}

// C1: against the encoding of another implementation.
func TestTheEncodingIsThatOfXOAuth2(t *testing.T) {
	r := newRig(t)
	server := httptest.NewServer(r)
	defer server.Close()
	ctx := context.WithValue(t.Context(), oauth2.HTTPClient, server.Client())
	random := rand.New(rand.NewPCG(1, 1))
	pairs := [][2]string{{"a:b", "c:d"}, {"100%", "%41+%zz"}, {"with space", "plus+plus"}, {"klébert", "日本語"}, {"a&b=c", "/?#"}}
	for range 10 {
		pairs = append(pairs, [2]string{nastyText(random), nastyText(random)})
	}
	for _, p := range pairs {
		r.addClient(p[0], p[1])
		for _, style := range []oauth2.AuthStyle{oauth2.AuthStyleInHeader, oauth2.AuthStyleInParams} {
			c := clientcredentials.Config{ClientID: p[0], ClientSecret: p[1], TokenURL: server.URL + "/oauth2/token", AuthStyle: style}
			if _, err := c.Token(ctx); err != nil {
				t.Errorf("%q %q: %v", p[0], p[1], err)
			}
			c.ClientSecret += "x"
			if _, err := c.Token(ctx); err == nil {
				t.Errorf("%q with another secret got a token", p[0])
			}
		}
	}
}

// C1: a header that is not two form-encoded halves is refused, and so says the challenge.
func TestAMalformedAuthorizationHeaderIs401(t *testing.T) {
	r := newRig(t)
	header := func(value string) response {
		req := unknownToken()
		req.Header.Set("Authorization", value)
		return r.do(req)
	}
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	for _, fine := range []string{"Basic ", "basic ", "BASIC "} {
		want(t, header(fine+b64("web:"+webPlain)), http.StatusOK, "")
	}
	for _, wrong := range []string{
		"", "Basic", "Basic ", "Basic !!!", "Basic " + b64("web"), "Basic " + b64(webPlain), "Basic " + b64(":"), "Basic " + b64(":"+webPlain),
		"Basic " + b64("web:"), "Basic " + b64("web:%zz"), "Basic " + b64("%:"+webPlain), "Basic " + b64("web\x00:"+webPlain),
		"Basic " + b64("web:"+webPlain+"\xff"), "Basic " + b64("web:"+webPlain+":"), "Basic" + b64("web:"+webPlain),
		"Bearer " + b64("web:"+webPlain), "Digest username=web", "Basic " + b64("web:"+webPlain) + ", Basic " + b64("web:"+webPlain),
		"Basic " + b64(" web:"+webPlain), "Basic " + b64("WEB:"+webPlain), "Basic " + b64("web:"+strings.ToUpper(webPlain)),
	} {
		res := header(wrong)
		wantDocument(t, res, http.StatusUnauthorized)
		if !strings.HasPrefix(res.Header.Get("WWW-Authenticate"), "Basic ") || res.str("error") != "invalid_client" {
			t.Errorf("%q: %s %s", wrong, res.Header, res.raw)
		}
	}
}

// P12: what one header can hold (the listener bounds it) is at worst a wrong id or a wrong secret.
func TestALongIDOrSecretIsJustWrong(t *testing.T) {
	inBubbles(t, func(t testing.TB, store storage.Store) {
		r := newRigOn(t, store)
		for _, n := range []int{257, 5_000, 40_000} {
			long := strings.Repeat("x", n)
			want(t, r.do(basic(unknownToken(), long, "x")), http.StatusUnauthorized, "invalid_client")
			want(t, r.do(basic(unknownToken(), "web", long)), http.StatusUnauthorized, "invalid_client")
		}
	})
}

// C2: nothing tells an unknown client from a wrong secret, and the store is asked the same.
func TestAnUnknownClientAndAWrongSecretLookTheSame(t *testing.T) {
	r, store := tapped(t)
	for name, with := range map[string]func(id, plain string) *http.Request{
		"basic": func(id, plain string) *http.Request { return basic(unknownToken(), id, plain) },
		"post":  func(id, plain string) *http.Request { return unknownToken("client_id", id, "client_secret", plain) },
		"token": func(id, plain string) *http.Request {
			return basic(form("/oauth2/token", "grant_type", "client_credentials"), id, plain)
		},
	} {
		seen, asked := map[string]bool{}, map[string]bool{}
		for _, pair := range [][2]string{{"web", "wrong"}, {"nobody", "wrong"}, {"nobody", webPlain}, {"cli", "wrong"}, {"WEB", webPlain}} {
			verbs := store.record()
			res := r.do(with(pair[0], pair[1]))
			wantDocument(t, res, http.StatusUnauthorized)
			seen[answerOf(res)] = true
			asked[strings.Join(*verbs, " ")] = true
		}
		if len(seen) != 1 || len(asked) != 1 {
			t.Errorf("%s: %d different answers %v, the store was asked %v", name, len(seen), seen, asked)
		}
	}
}

// C3: what the store keeps does not open the door, nor does anything near the secret.
func TestOnlyTheWholeSecretFits(t *testing.T) {
	r := newRig(t)
	digest := sha256.Sum256([]byte(webPlain))
	want(t, r.introspect("web", webPlain, "x"), http.StatusOK, "")
	for _, wrong := range []string{
		webPlain[:len(webPlain)-1], webPlain + " ", " " + webPlain, strings.ToUpper(webPlain), hex.EncodeToString(digest[:]),
		base64.StdEncoding.EncodeToString(digest[:]), url.QueryEscape(string(digest[:])), "other-secret", "web",
	} {
		want(t, r.introspect("web", wrong, "x"), http.StatusUnauthorized, "invalid_client")
	}
	// A confidential client without secrets, or with a damaged one, is nobody.
	must(t, r.store.CreateClient(context.Background(), storage.Client{ID: "bare"}))
	must(t, r.store.CreateClient(context.Background(), storage.Client{ID: "damaged", Secrets: []storage.ClientSecret{{}, {Hash: make([]byte, 32)}}}))
	for _, id := range []string{"bare", "damaged"} {
		for _, plain := range []string{"", "x", strings.Repeat("\x00", 1)} {
			req := basic(unknownToken(), id, plain)
			wantDocument(t, r.do(req), http.StatusUnauthorized)
		}
		wantDocument(t, r.do(unknownToken("client_id", id)), http.StatusUnauthorized)
		wantDocument(t, r.do(unknownToken("client_id", id, "client_secret", "")), http.StatusUnauthorized)
	}
}

// C8
func TestPublicClientsShowNoSecretAndConfidentialOnesMust(t *testing.T) {
	r := newRig(t)
	ask := func(more ...string) *http.Request {
		return form("/oauth2/revoke", append([]string{"token", "unknown"}, more...)...)
	}
	want(t, r.do(ask("client_id", "cli")), http.StatusOK, "")
	want(t, r.do(ask("client_id", "web", "client_secret", webPlain)), http.StatusOK, "")
	for name, req := range map[string]*http.Request{
		"public with a secret":                  ask("client_id", "cli", "client_secret", "x"),
		"public with another's secret":          ask("client_id", "cli", "client_secret", webPlain),
		"public with a secret in Basic":         basic(ask(), "cli", "x"),
		"confidential without":                  ask("client_id", "web"),
		"confidential with an empty one":        ask("client_id", "web", "client_secret", ""),
		"confidential with an empty one, Basic": basic(ask(), "web", ""),
		"a secret without an id":                ask("client_secret", webPlain),
		"nothing at all":                        ask(),
	} {
		res := r.do(req)
		wantDocument(t, res, http.StatusUnauthorized)
		if res.str("error") != "invalid_client" {
			t.Errorf("%s: %s", name, res.raw)
		}
	}
	want(t, r.token("grant_type", "refresh_token", "client_id", "web", "refresh_token", "x"), http.StatusUnauthorized, "invalid_client")
}

// C8: RFC 6749 §4.4: the client credentials grant is for confidential clients, whatever was registered.
func TestAPublicClientGetsNoTokenForItself(t *testing.T) {
	r := newRig(t)
	c := storage.Client{ID: "self", Secrets: secret("s"), GrantTypes: []string{"client_credentials"}, Audience: []string{apiAud}}
	must(t, r.store.CreateClient(context.Background(), c))
	want(t, r.do(basic(form("/oauth2/token", "grant_type", "client_credentials"), "self", "s")), http.StatusOK, "")
	r.changeClient("self", func(c *storage.Client) { c.Public, c.Secrets = true, nil })
	want(t, r.token("grant_type", "client_credentials", "client_id", "self"), http.StatusBadRequest, "unauthorized_client")
}

// C9
func TestARotatedSecretIsGoodUntilItsTimeIsOver(t *testing.T) {
	bubble(t, func(t testing.TB, r *rig) {
		r.changeClient("web", func(c *storage.Client) {
			c.Secrets[0].ExpiresAt = time.Now().Add(time.Hour)
			c.Secrets = slices.Insert(c.Secrets, 0, secret("new-secret")...)
		})
		want(t, r.introspect("web", "new-secret", "x"), http.StatusOK, "")
		time.Sleep(time.Hour - time.Millisecond)
		want(t, r.introspect("web", webPlain, "x"), http.StatusOK, "")
		time.Sleep(time.Millisecond)
		want(t, r.introspect("web", webPlain, "x"), http.StatusUnauthorized, "invalid_client")
		want(t, r.introspect("web", "new-secret", "x"), http.StatusOK, "")
	})
}

// P10
func TestTwoMethodsOfClientAuthenticationAtOnceAreRefused(t *testing.T) {
	r := newRig(t)
	want(t, r.do(basic(unknownToken(), "web", webPlain)), http.StatusOK, "")
	want(t, r.do(basic(unknownToken("client_id", "web"), "web", webPlain)), http.StatusOK, "") // RFC 6749 §3.2.1
	assertion := []string{"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion", "a.b.c"}
	for name, req := range map[string]*http.Request{
		"Basic and post":               basic(unknownToken("client_id", "web", "client_secret", webPlain), "web", webPlain),
		"Basic and a secret alone":     basic(unknownToken("client_secret", webPlain), "web", webPlain),
		"Basic and post of another":    basic(unknownToken("client_id", "other", "client_secret", "other-secret"), "web", webPlain),
		"Basic and another client_id":  basic(unknownToken("client_id", "other"), "web", webPlain),
		"Basic and an assertion":       basic(unknownToken(assertion...), "web", webPlain),
		"post and an assertion":        unknownToken(append(assertion, "client_id", "web", "client_secret", webPlain)...),
		"an assertion, which is none":  unknownToken(assertion...),
		"Basic and a public client_id": basic(unknownToken("client_id", "cli"), "web", webPlain),
	} {
		if res := r.do(req); res.StatusCode != http.StatusBadRequest && res.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", name, res.StatusCode, res.raw)
		} else {
			wantDocument(t, res, res.StatusCode)
		}
	}
	twice := basic(unknownToken(), "web", webPlain)
	twice.Header.Add("Authorization", twice.Header.Get("Authorization"))
	wantDocument(t, r.do(twice), http.StatusBadRequest)
}
