package authserver_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/ingam/ingam/storage"
)

// canaries collects secrets and everything that was written where no secret may be.
type canaries struct {
	secrets map[string]string
	answers strings.Builder
}

func (c *canaries) add(name, value string) {
	if len(value) < 8 {
		panic("no canary: " + name)
	}
	c.secrets[name] = value
}

// refused keeps an answer that is an error, for the search.
func (c *canaries) refused(t testing.TB, res response) {
	t.Helper()
	if res.StatusCode < 400 {
		t.Fatalf("%d %s was to be refused", res.StatusCode, res.raw)
	}
	c.answers.WriteString(answerOf(res) + "\n")
}

func (c *canaries) search(t testing.TB, where, text string) {
	t.Helper()
	for name, value := range c.secrets {
		if strings.Contains(text, value) {
			t.Errorf("%s has the %s", where, name)
		}
	}
}

// G1: a whole life with each way to fail, at debug level.
func TestNoSecretIsInALogOrAnError(t *testing.T) {
	var global lockedBuffer // what somebody logs past our logger
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&global, &slog.HandlerOptions{Level: slog.LevelDebug})))
	defer slog.SetDefault(before)

	r, store := tapped(t)
	c := &canaries{secrets: map[string]string{}}
	life(t, r, store, c)
	for name, value := range map[string]string{"log": r.logs.String(), "default log": global.String(), "errors": c.answers.String()} {
		c.search(t, name, value)
	}
	if !strings.Contains(r.logs.String(), "signin.succeeded") || c.answers.Len() < 1000 {
		t.Error("the search had nothing to look at")
	}
}

// life signs in, refreshes, revokes and fails in every way, and notes each secret on the way.
func life(t *testing.T, r *rig, store *tap, c *canaries) {
	t.Helper()
	hasher := testHasher(t)
	c.add("password", "canary-password-1")
	c.add("wrong password", "canary-password-2")
	c.add("password typed as a name", "canary-password-3")
	c.add("client secret", "canary-secret-1")
	c.add("wrong client secret", "canary-secret-2")
	hash, err := hasher.Hash(context.Background(), "canary-password-1")
	must(t, err)
	c.add("password hash", hash)
	must(t, r.store.CreateUser(context.Background(), storage.User{ID: "usr_canary", Username: "carla", PasswordHash: hash}))
	r.addClient("conf", "canary-secret-1")
	r.changeClient("conf", func(c *storage.Client) {
		c.GrantTypes = []string{"password", "refresh_token", "client_credentials"}
		c.Scopes = []string{"openid", "profile", "read"}
	})
	conf := func(pairs ...string) response {
		return r.do(basic(form("/oauth2/token", pairs...), "conf", "canary-secret-1"))
	}
	signIn := func() response {
		return conf("grant_type", "password", "username", "carla", "password", "canary-password-1", "scope", "openid profile")
	}
	note := func(res response) response {
		t.Helper()
		want(t, res, http.StatusOK, "")
		for _, name := range []string{"access_token", "refresh_token", "id_token"} {
			if value := res.str(name); value != "" {
				c.add(name, value)
				c.add(name+" without its last part", value[strings.LastIndexByte(value, '.')+1:])
			}
		}
		return res
	}
	first := note(signIn())
	second := note(conf("grant_type", "refresh_token", "refresh_token", first.str("refresh_token")))
	note(conf("grant_type", "client_credentials"))
	c.refused(t, r.login("carla", "canary-password-2"))
	c.refused(t, r.login("canary-password-3", "x"))
	c.refused(t, r.signIn("carla", "canary-password-2"))
	c.refused(t, r.do(basic(form("/oauth2/token", "grant_type", "client_credentials"), "conf", "canary-secret-2")))
	c.refused(t, r.do(basic(form("/oauth2/token", "grant_type", "client_credentials"), "canary-secret-1", "x")))
	c.refused(t, r.do(raw("/oauth2/token?client_secret=canary-secret-1&password=canary-password-1", signInForm)))
	c.refused(t, r.do(raw("/oauth2/token", "grant_type=password&password=canary-password-1&password=canary-password-2")))
	c.refused(t, r.do(raw("/oauth2/token", "canary-password-1=%zz&%")))
	c.refused(t, r.do(jsonLogin(`{"username":"carla","password":"canary-password-1","password":"x"}`)))
	c.refused(t, r.do(jsonLogin(`{"username":"carla","password":["canary-password-1"]}`)))
	c.refused(t, conf("grant_type", "canary-password-1"))
	c.refused(t, conf("grant_type", "refresh_token", "refresh_token", second.str("refresh_token")+"x"))
	c.refused(t, r.refresh(second.str("refresh_token")))
	c.refused(t, conf("grant_type", "refresh_token", "refresh_token", second.str("refresh_token"), "scope", "read"))

	for _, verb := range []string{"Client", "UserByName", "Spend", "CreateGrant"} {
		store.before = failing(verb)
		c.refused(t, signIn())
	}
	for _, verb := range []string{"Refund", "Remember"} {
		store.before = func(v string) error {
			if v == verb {
				return errors.New("cannot write")
			}
			return nil
		}
		note(signIn())
	}
	for _, verb := range []string{"RecallGrant", "RecallUser", "Rotate"} {
		store.before = failing(verb)
		c.refused(t, conf("grant_type", "refresh_token", "refresh_token", second.str("refresh_token")))
	}
	store.before = func(string) error { panic(second.str("refresh_token")) }
	c.refused(t, conf("grant_type", "refresh_token", "refresh_token", second.str("refresh_token")))
	store.before = nil
	third := note(conf("grant_type", "refresh_token", "refresh_token", second.str("refresh_token")))
	c.refused(t, conf("grant_type", "refresh_token", "refresh_token", first.str("refresh_token"))) // reuse
	r.introspect("conf", "canary-secret-1", third.str("access_token"))
	r.revoke("conf", "canary-secret-1", third.str("refresh_token"))
}

// G2: whatever a stranger puts where, a line of the log stays one JSON object of ours.
func TestALogLineIsAlwaysOneJSONObject(t *testing.T) {
	r := newRig(t)
	evil := []string{
		"x\n{\"level\":\"ERROR\",\"msg\":\"forged\"}", "x\r\nforged", "\"}\n{\"msg\":\"forged\"", "\x1b[31mred", "a\x00b", "\u2028forged", "\xff\xfe", "%0aforged",
		"\"", "\\", "a\tb", strings.Repeat("long", 500),
	}
	for _, text := range evil {
		req := get("/")
		req.URL.Path = "/" + text
		r.do(req)
		req = get("/.well-known/jwks.json")
		for _, header := range []string{"User-Agent", "X-Forwarded-For", "Referer", "Origin", "X-Request-Id", "Authorization"} {
			req.Header[header] = []string{text}
		}
		req.Host, req.RemoteAddr = text, text[:min(len(text), 50)] // a listener makes that up, not a stranger
		r.do(req)
		r.signIn(text, text)
		r.token("grant_type", text, "client_id", text)
		r.do(basic(unknownToken(), text, text))
		body, _ := json.Marshal(map[string]string{"username": text, "password": text})
		r.do(jsonLogin(string(body)))
	}
	lines := strings.Split(strings.TrimSuffix(r.logs.String(), "\n"), "\n")
	if len(lines) < 5*len(evil) {
		t.Fatalf("only %d lines", len(lines))
	}
	for _, line := range lines {
		var object map[string]any
		if err := json.Unmarshal([]byte(line), &object); err != nil || object["msg"] == "forged" || object["level"] == nil {
			t.Errorf("%v: %q", err, line)
		}
		if strings.ContainsFunc(line, func(c rune) bool { return c < 0x20 || c == 0x7f || c == 0x2028 }) || len(line) > 1000 {
			t.Errorf("%d bytes, or a control character: %.300q", len(line), line)
		}
	}
}
