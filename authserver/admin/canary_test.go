package admin

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
)

// TestNoSecretAndNoHashIsInAnyAnswerOrLog_G1 drives every route, well and badly, with values that occur nowhere else,
// and looks for them in everything that came out.
func TestNoSecretAndNoHashIsInAnyAnswerOrLog_G1(t *testing.T) {
	const password, second, misplaced = "canary-PASSWORD-1", "canary-PASSWORD-2", "canary-PASSWORD-3"
	s := newServer(t, nil)
	var out bytes.Buffer
	send := func(method, path, body string) reply {
		r := s.send(method, path, body)
		fmt.Fprintf(&out, "%v %s\n", r.Header, r.body)
		return r
	}
	send("POST", "/admin/v1/users", `{"username":"alice","password":"`+password+`"}`)
	canaries := []string{password, second, misplaced, s.user("alice").PasswordHash}
	send("PUT", "/admin/v1/users/alice/password", `{"password":"`+second+`"}`)
	canaries = append(canaries, s.user("alice").PasswordHash)
	send("POST", "/admin/v1/users", `{"username":"bob","password_hash":"`+bcryptHash+`"}`)
	canaries = append(canaries, bcryptHash)

	// Passwords in wrong places and of wrong kinds.
	send("POST", "/admin/v1/users", `{"username":"carol","password_hash":"`+misplaced+`"}`)
	send("POST", "/admin/v1/users", `{"username":"carol","password":["`+misplaced+`"]}`)
	send("POST", "/admin/v1/users", `{"username":"carol","password":"`+misplaced)
	send("POST", "/admin/v1/users", `{"username":"`+misplaced+`","password":"`+misplaced+`"`)
	send("POST", "/admin/v1/users", `"`+misplaced+`"`)
	send("PUT", "/admin/v1/users/alice/password", `{"password":"`+misplaced+`","password_hash":"`+misplaced+`"}`)

	for _, path := range []string{"", "?limit=1", "/alice", "/bob"} {
		send("GET", "/admin/v1/users"+path, "")
	}
	send("POST", "/admin/v1/users/alice/disable", "")
	send("POST", "/admin/v1/users/alice/enable", "")

	// The answers that make a secret show it; nothing else may.
	var made, rotated Client
	s.want(s.send("POST", "/admin/v1/clients", serviceBody), http.StatusCreated, &made)
	s.want(s.send("POST", "/admin/v1/clients/app/secret", ""), http.StatusOK, &rotated)
	canaries = append(canaries, made.ClientSecret, rotated.ClientSecret)
	for _, secret := range s.client("app").Secrets {
		canaries = append(canaries, hex.EncodeToString(secret.Hash),
			base64.StdEncoding.EncodeToString(secret.Hash), base64.RawURLEncoding.EncodeToString(secret.Hash))
	}
	send("GET", "/admin/v1/clients", "")
	send("GET", "/admin/v1/clients/app", "")
	send("POST", "/admin/v1/clients/app/secret", "")
	send("DELETE", "/admin/v1/clients/app", "")
	send("DELETE", "/admin/v1/users/alice", "")

	broken := newServer(t, failingWrites{s.store})
	for _, r := range []reply{
		broken.send("POST", "/admin/v1/users", `{"username":"dave","password":"`+password+`"}`),
		broken.send("PUT", "/admin/v1/users/bob/password", `{"password":"`+second+`"}`),
	} {
		fmt.Fprintf(&out, "%v %s\n", r.Header, r.body)
	}

	everything := out.String() + s.log.String() + broken.log.String()
	if !strings.Contains(everything, "user.password_changed") || !strings.Contains(everything, `"username":"bob"`) {
		t.Fatal("the test looks at the wrong output")
	}
	for _, canary := range canaries {
		if canary == "" {
			t.Fatal("an empty canary")
		}
		if i := strings.Index(everything, canary); i >= 0 {
			t.Errorf("%q came out: …%s", canary, everything[max(0, i-80):min(len(everything), i+len(canary)+20)])
		}
	}
	for _, part := range []string{"$argon2id$", "$2b$"} {
		for line := range strings.Lines(everything) {
			// The message about an unknown hash names the kinds that are known; a hash has more behind the name.
			if strings.Contains(line, part) && !strings.Contains(line, "supported are") {
				t.Errorf("part of a hash came out: %s", line)
			}
		}
	}
}

func TestRequestsAndAnswersRedactThemselvesInLogs_G1(t *testing.T) {
	secret := "canary-secret"
	var out bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&out, nil))
	log.Info("x", "a", Credentials{Password: &secret, PasswordHash: &secret},
		"b", NewUser{Username: "alice", Credentials: Credentials{Password: &secret}},
		"c", Client{Metadata: Metadata{ClientID: "app"}, ClientSecret: secret})
	if strings.Contains(out.String(), secret) || !strings.Contains(out.String(), "alice") || !strings.Contains(out.String(), "app") {
		t.Error(out.String())
	}
}
