package oauth

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
)

// C1: what is read from a header is what was encoded into it, and nothing else is read.
func FuzzABasicHeaderIsTwoFormEncodedHalves(f *testing.F) {
	b64 := func(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }
	for _, seed := range []string{
		b64("id:secret"), b64("id:"), b64(":"), b64("id"), b64("a%3Ab:c%25"), b64("a+b:c%20d"), b64("%zz:x"), b64("%00:x"), b64("\xff:x"), b64("a:b:c"),
		"Basic", "Basic ", "Basic !", "Bearer x", "", "basic " + base64.RawStdEncoding.EncodeToString([]byte("id:secret12")), b64("%C3%A9:%F0%9F%94%91"),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		shown, err := basicCredentials(header)
		if err != nil {
			if e := toError(err); e.Status != http.StatusUnauthorized || e.Challenge == "" {
				t.Errorf("%q is refused with %d", header, e.Status)
			}
			return
		}
		if !cleanText(shown.id) || !cleanText(shown.secret) || shown.hasSecret != (shown.secret != "") {
			t.Errorf("%q: %+v", header, shown)
		}
		again, err := basicCredentials(b64(url.QueryEscape(shown.id) + ":" + url.QueryEscape(shown.secret)))
		if err != nil || again != shown {
			t.Errorf("%q: %+v, encoded again %+v, %v", header, shown, again, err)
		}
	})
}

// P10: RFC 6749 §2.3
func FuzzAtMostOneMethodOfClientAuthenticationIsAccepted(f *testing.F) {
	f.Add("id", "secret", "", "")
	f.Add("id", "secret", "id", "")
	f.Add("id", "secret", "id", "secret")
	f.Add("", "", "id", "secret")
	f.Fuzz(func(t *testing.T, basicID, basicSecret, bodyID, bodySecret string) {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		if basicID != "" {
			r.SetBasicAuth(url.QueryEscape(basicID), url.QueryEscape(basicSecret))
		}
		form := url.Values{}
		for name, value := range map[string]string{"client_id": bodyID, "client_secret": bodySecret} {
			if value != "" {
				form.Set(name, value)
			}
		}
		shown, err := clientCredentials(r, form)
		if err != nil {
			return
		}
		switch {
		case basicID == "" && (shown.id != bodyID || shown.secret != bodySecret || bodyID == ""):
			t.Errorf("from the body: %+v", shown)
		case basicID != "" && (shown.id != basicID || shown.secret != basicSecret || bodySecret != "" || bodyID != "" && bodyID != basicID):
			t.Errorf("from the header: %+v", shown)
		}
	})
}

// C3, C8, C9
func TestASecretIsAcceptedByItsClientWhileItLives(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	digest := sha256Of("right")
	live := storage.ClientSecret{Hash: digest}
	until := func(end time.Time) []storage.ClientSecret {
		return []storage.ClientSecret{{Hash: sha256Of("newer")}, {Hash: digest, ExpiresAt: end}}
	}
	right, wrong, none := credentials{id: "c", secret: "right", hasSecret: true}, credentials{id: "c", secret: "wrong", hasSecret: true}, credentials{id: "c"}
	for name, c := range map[string]struct {
		client storage.Client
		known  bool
		shown  credentials
		want   bool
	}{
		"right":                       {storage.Client{Secrets: []storage.ClientSecret{live}}, true, right, true},
		"wrong":                       {storage.Client{Secrets: []storage.ClientSecret{live}}, true, wrong, false},
		"none":                        {storage.Client{Secrets: []storage.ClientSecret{live}}, true, none, false},
		"unknown client":              {storage.Client{Secrets: []storage.ClientSecret{live}}, false, right, false},
		"no secrets":                  {storage.Client{}, true, right, false},
		"empty hash":                  {storage.Client{Secrets: []storage.ClientSecret{{}}}, true, none, false},
		"second, before its end":      {storage.Client{Secrets: until(now.Add(1))}, true, right, true},
		"second, at its end":          {storage.Client{Secrets: until(now)}, true, right, false},
		"public without":              {storage.Client{Public: true}, true, none, true},
		"public with":                 {storage.Client{Public: true}, true, wrong, false},
		"public with a stored secret": {storage.Client{Public: true, Secrets: []storage.ClientSecret{live}}, true, right, false},
		"none, and the hash of none":  {storage.Client{Secrets: []storage.ClientSecret{{Hash: sha256Of("")}}}, true, none, false},
		"truncated hash":              {storage.Client{Secrets: []storage.ClientSecret{{Hash: digest[:16]}}}, true, right, false},
	} {
		if got := acceptSecret(c.client, c.known, c.shown, now); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func sha256Of(s string) []byte {
	digest := sha256.Sum256([]byte(s))
	return digest[:]
}

// What fosite is shown of a client has no secret in it.
func TestFositeNeverSeesASecret(t *testing.T) {
	c := &client{storage.Client{ID: "c", Secrets: []storage.ClientSecret{{Hash: []byte("hash")}}, GrantTypes: []string{"password"}}}
	if c.GetHashedSecret() != nil || c.GetResponseTypes() != nil || !strings.Contains(c.GetID(), "c") {
		t.Errorf("shown: %v", c)
	}
}
