package admin

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ingam/ingam/storage"
)

const serviceBody = `{"client_id":"app","grant_types":["client_credentials"],"scope":"read write","default_scope":"read"}`

func TestAConfidentialClientGetsASecretOnceAndOnlyItsDigestIsKept_C3(t *testing.T) {
	s := newServer(t, nil)
	r := s.send("POST", "/admin/v1/clients", serviceBody)
	var made, shown Client
	s.want(r, http.StatusCreated, &made)
	if r.Header.Get("Location") != "/admin/v1/clients/app" {
		t.Errorf("Location %q", r.Header.Get("Location"))
	}
	raw, err := base64.RawURLEncoding.DecodeString(made.ClientSecret)
	if err != nil || len(raw) != 32 {
		t.Fatalf("secret of %d bytes, %v", len(raw), err)
	}
	digest := sha256.Sum256([]byte(made.ClientSecret))
	stored := s.client("app")
	if len(stored.Secrets) != 1 || !slices.Equal(stored.Secrets[0].Hash, digest[:]) || !stored.Secrets[0].ExpiresAt.IsZero() {
		t.Errorf("stored %+v", stored.Secrets)
	}
	s.want(s.send("GET", "/admin/v1/clients/app", ""), http.StatusOK, &shown)
	if shown.ClientSecret != "" || len(shown.Secrets) != 1 {
		t.Errorf("shown later: %+v", shown)
	}
	if made.TokenEndpointAuthMethod != "client_secret_basic" || made.Scope != "read write" || made.DefaultScope != "read" {
		t.Errorf("made %+v", made)
	}
	if s.events() != "client.created" {
		t.Errorf("audit %q", s.events())
	}
}

func TestAPublicClientHasNoSecret(t *testing.T) {
	s := newServer(t, nil)
	body := `{"client_id":"cli","client_name":"A CLI","token_endpoint_auth_method":"none","grant_types":["password","refresh_token"],` +
		`"scope":"openid profile","audience":["https://api.example.com"],"refresh_grace":"0s"}`
	var c Client
	s.want(s.send("POST", "/admin/v1/clients", body), http.StatusCreated, &c)
	if c.ClientSecret != "" || len(c.Secrets) != 0 || c.TokenEndpointAuthMethod != "none" || c.RefreshGrace != "0s" {
		t.Errorf("made %+v", c)
	}
	stored := s.client("cli")
	if !stored.Public || stored.RefreshGrace == nil || *stored.RefreshGrace != 0 || stored.Name != "A CLI" {
		t.Errorf("stored %+v", stored)
	}
	s.wantError(s.send("POST", "/admin/v1/clients/cli/secret", ""), http.StatusBadRequest, CodeInvalid, "public")
}

func TestAClientWithoutAnIdGetsARandomOne(t *testing.T) {
	s := newServer(t, nil)
	var a, b Client
	s.want(s.send("POST", "/admin/v1/clients", `{"grant_types":["client_credentials"]}`), http.StatusCreated, &a)
	s.want(s.send("POST", "/admin/v1/clients", `{"grant_types":["client_credentials"]}`), http.StatusCreated, &b)
	if a.ClientID == b.ClientID || len(a.ClientID) < 26 || checkClientID(a.ClientID) != "" || a.ClientSecret == b.ClientSecret {
		t.Errorf("%q and %q", a.ClientID, b.ClientID)
	}
}

func TestATakenClientIdIsRefused(t *testing.T) {
	s := newServer(t, nil)
	s.want(s.send("POST", "/admin/v1/clients", serviceBody), http.StatusCreated, nil)
	s.wantError(s.send("POST", "/admin/v1/clients", serviceBody), http.StatusConflict, CodeExists, "app")
	s.want(s.send("POST", "/admin/v1/clients", strings.Replace(serviceBody, "app", "App", 1)), http.StatusCreated, nil)
}

func TestRefusedClientsAreListedWithEveryProblem(t *testing.T) {
	s := newServer(t, nil)
	r := s.send("POST", "/admin/v1/clients",
		`{"client_id":"usr_x","token_endpoint_auth_method":"private_key_jwt","grant_types":["implicit"],"redirect_uris":["javascript:alert(1)"],`+
			`"scope":"a","default_scope":"b","refresh_grace":"soon"}`)
	for _, part := range []string{"usr_", "private_key_jwt", "implicit", "javascript", "not in scope", "not a duration"} {
		s.wantError(r, http.StatusBadRequest, CodeInvalid, part)
	}
	for _, field := range []string{"client_secret", "secrets", "public", "version", "source", "created_at"} {
		s.wantError(s.send("POST", "/admin/v1/clients", `{"grant_types":["client_credentials"],"`+field+`":null}`),
			http.StatusBadRequest, CodeInvalid, `unknown field "`+field+`"`)
	}
}

func TestARotatedSecretStaysGoodUntilTheStatedTime_C9(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		s.want(s.send("POST", "/admin/v1/clients", serviceBody), http.StatusCreated, nil)
		old := s.client("app").Secrets[0]
		time.Sleep(time.Hour)
		start := time.Now()

		var after Client
		s.want(s.send("POST", "/admin/v1/clients/app/secret", ""), http.StatusOK, &after)
		stored := s.client("app").Secrets
		if len(stored) != 2 || len(after.Secrets) != 2 || !slices.Equal(stored[1].Hash, old.Hash) {
			t.Fatalf("stored %d, shown %d secrets", len(stored), len(after.Secrets))
		}
		if end := start.Add(24 * time.Hour); !stored[1].ExpiresAt.Equal(end) || !after.Secrets[1].ExpiresAt.Equal(end) {
			t.Errorf("the older one ends at %s, want %s", stored[1].ExpiresAt, end)
		}
		digest := sha256.Sum256([]byte(after.ClientSecret))
		if !slices.Equal(stored[0].Hash, digest[:]) || !stored[0].ExpiresAt.IsZero() || !stored[0].CreatedAt.Equal(start) {
			t.Errorf("the new one comes first and does not end: %+v", stored[0])
		}

		// A third live secret would break the promise made to the second.
		time.Sleep(24*time.Hour - time.Millisecond)
		s.wantError(s.send("POST", "/admin/v1/clients/app/secret", ""), http.StatusConflict, CodeConflict, "two live secrets")
		time.Sleep(time.Millisecond)
		s.want(s.send("GET", "/admin/v1/clients/app", ""), http.StatusOK, &after)
		if len(after.Secrets) != 1 {
			t.Errorf("an expired secret is shown: %+v", after.Secrets)
		}
		s.want(s.send("POST", "/admin/v1/clients/app/secret", `{"overlap":"1h"}`), http.StatusOK, nil)
		if end := s.client("app").Secrets[1].ExpiresAt; !end.Equal(time.Now().Add(time.Hour)) {
			t.Errorf("overlap of an hour ends at %s", end)
		}
		if s.events() != "client.created client.secret_rotated client.secret_rotated" {
			t.Errorf("audit %q", s.events())
		}
	})
}

func TestAnOverlapOfZeroEndsEveryOlderSecretNow_C9(t *testing.T) {
	s := newServer(t, nil)
	s.want(s.send("POST", "/admin/v1/clients", serviceBody), http.StatusCreated, nil)
	s.want(s.send("POST", "/admin/v1/clients/app/secret", ""), http.StatusOK, nil)
	var after Client
	s.want(s.send("POST", "/admin/v1/clients/app/secret", `{"overlap":"0s"}`), http.StatusOK, &after)
	digest := sha256.Sum256([]byte(after.ClientSecret))
	if stored := s.client("app").Secrets; len(stored) != 1 || !slices.Equal(stored[0].Hash, digest[:]) {
		t.Errorf("stored %+v", stored)
	}
}

func TestARotationNeverLengthensTheLifeOfASecret_C9(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	soon := storage.ClientSecret{Hash: []byte{1}, ExpiresAt: now.Add(time.Minute)}
	got, err := rotateSecrets([]storage.ClientSecret{soon}, storage.ClientSecret{Hash: []byte{2}}, time.Hour, now)
	if err != nil || len(got) != 2 || !got[1].ExpiresAt.Equal(soon.ExpiresAt) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestOverlapsAreDurationsWithinBounds(t *testing.T) {
	for text, ok := range map[string]bool{"": true, "0s": true, "24h": true, "2160h": true, "2161h": false, "-1s": false, "1 day": false, "5": false} {
		if _, err := (Rotation{Overlap: text}).overlap(); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestARotationIsDecidedAnewWhenSomebodyElseWasFaster(t *testing.T) {
	for times, want := range map[int]int{1: 200, maxTries: 409} {
		plain := newServer(t, nil)
		plain.want(plain.send("POST", "/admin/v1/clients", serviceBody), http.StatusCreated, nil)
		s := newServer(t, &rivalStore{plain.store, times})
		r := s.send("POST", "/admin/v1/clients/app/secret", "")
		c := s.client("app")
		if r.StatusCode != want || c.Name != "rival" || (len(c.Secrets) == 2) != (want == 200) {
			t.Errorf("after %d rivals: %d, %q, %d secrets", times, r.StatusCode, c.Name, len(c.Secrets))
		}
	}
}

func TestAClientIsRemoved(t *testing.T) {
	s := newServer(t, nil)
	s.want(s.send("POST", "/admin/v1/clients", serviceBody), http.StatusCreated, nil)
	if r := s.send("DELETE", "/admin/v1/clients/app", ""); r.StatusCode != http.StatusNoContent {
		t.Errorf("status %d", r.StatusCode)
	}
	for _, method := range []string{"GET", "DELETE"} {
		s.wantError(s.send(method, "/admin/v1/clients/app", ""), http.StatusNotFound, CodeNotFound, "no client app")
	}
	s.wantError(s.send("POST", "/admin/v1/clients/app/secret", ""), http.StatusNotFound, CodeNotFound, "no client app")
	if s.events() != "client.created client.removed" {
		t.Errorf("audit %q", s.events())
	}
}

func TestAClientOfAFileIsShownWithItsFileAndChangedOnlyThere(t *testing.T) {
	s := newServer(t, fileStore{newServer(t, nil).store})
	var c Client
	s.want(s.send("GET", "/admin/v1/clients/filed", ""), http.StatusOK, &c)
	if c.Source != clientFile {
		t.Errorf("source %q", c.Source)
	}
	s.wantError(s.send("DELETE", "/admin/v1/clients/filed", ""), http.StatusConflict, CodeReadOnly, clientFile)
	s.wantError(s.send("POST", "/admin/v1/clients/filed/secret", ""), http.StatusConflict, CodeReadOnly, clientFile)
}

func TestDotsInAPathAreANameAndNotAWayUp(t *testing.T) {
	s := newServer(t, nil)
	for _, path := range []string{"/admin/v1/clients/%2E%2E", "/admin/v1/clients/%2E", "/admin/v1/clients/a%2Fb"} {
		s.wantError(s.send("DELETE", path, ""), http.StatusBadRequest, CodeInvalid, "client_id")
	}
}
