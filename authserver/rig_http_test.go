package authserver_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// response is an answer, its body read and, if it is JSON, decoded.
type response struct {
	*http.Response
	raw  string
	body map[string]any
}

func (r response) str(name string) string { s, _ := r.body[name].(string); return s }

// do sends a request through the public handler.
func (r *rig) do(req *http.Request) response { return r.doIn(r.t, req) }

// doIn is do for a fuzz target, which has a t of its own.
func (r *rig) doIn(t testing.TB, req *http.Request) response {
	t.Helper()
	rec := httptest.NewRecorder()
	r.ServeHTTP(rec, req)
	return read(t, rec.Result())
}

func read(t testing.TB, res *http.Response) response {
	t.Helper()
	raw, err := io.ReadAll(res.Body)
	must(t, err)
	_ = res.Body.Close()
	out := response{Response: res, raw: strings.TrimSuffix(string(raw), "\n")}
	if len(raw) > 0 && strings.Contains(res.Header.Get("Content-Type"), "json") {
		must(t, json.Unmarshal(raw, &out.body))
	}
	return out
}

// form builds a POST of name, value, name, value …
func form(path string, pairs ...string) *http.Request {
	values := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		values.Add(pairs[i], pairs[i+1])
	}
	req := httptest.NewRequest(http.MethodPost, path, strings.NewReader(values.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return req
}

// basic adds client authentication by HTTP Basic (RFC 6749 §2.3.1).
func basic(req *http.Request, id, secret string) *http.Request {
	req.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
	return req
}

// token asks the token endpoint.
func (r *rig) token(pairs ...string) response { return r.do(form("/oauth2/token", pairs...)) }

// signIn gets tokens for a user at the public client cli.
func (r *rig) signIn(username, password string, more ...string) response {
	r.t.Helper()
	return r.token(append([]string{"grant_type", "password", "client_id", "cli", "username", username, "password", password}, more...)...)
}

// refresh redeems a refresh token at cli.
func (r *rig) refresh(token string, more ...string) response {
	r.t.Helper()
	return r.token(append([]string{"grant_type", "refresh_token", "client_id", "cli", "refresh_token", token}, more...)...)
}

// want fails unless the answer has that status and error code ("" for success).
func want(t testing.TB, res response, status int, code string) {
	t.Helper()
	if res.StatusCode != status || res.str("error") != code {
		t.Fatalf("got %d %s, want %d %q", res.StatusCode, res.raw, status, code)
	}
}

// lockedBuffer collects logs.
type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func get(path string) *http.Request { return httptest.NewRequest(http.MethodGet, path, nil) }

// jsonLogin builds a POST /login with that body.
func jsonLogin(body string) *http.Request {
	req := httptest.NewRequest(http.MethodPost, "/login", strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	return req
}

// login signs in by POST /login.
func (r *rig) login(username, password string) response {
	r.t.Helper()
	body, err := json.Marshal(map[string]string{"username": username, "password": password})
	must(r.t, err)
	return r.do(jsonLogin(string(body)))
}

// from sets the address that a request comes from.
func from(address string, req *http.Request) *http.Request {
	req.RemoteAddr = address
	return req
}

// introspect asks about a token as a confidential client.
func (r *rig) introspect(id, secret, token string) response {
	r.t.Helper()
	return r.do(basic(form("/oauth2/introspect", "token", token), id, secret))
}

// revoke revokes a token as a confidential client or, with an empty secret, as a public one.
func (r *rig) revoke(id, secret, token string) response {
	r.t.Helper()
	if secret == "" {
		return r.do(form("/oauth2/revoke", "client_id", id, "token", token))
	}
	return r.do(basic(form("/oauth2/revoke", "token", token), id, secret))
}

// answerOf is everything about an answer that its reader can see, but for the id of the request.
func answerOf(res response) string {
	h := res.Header.Clone()
	h.Del("X-Request-Id")
	var b strings.Builder
	b.WriteString(res.Status + "\n")
	_ = h.Write(&b)
	return b.String() + res.raw
}

// wantDocument fails unless the answer is an error of that status in the form of RFC 6749 §5.2.
func wantDocument(t testing.TB, res response, status int) {
	t.Helper()
	if res.StatusCode != status {
		t.Fatalf("got %d %s, want %d", res.StatusCode, res.raw, status)
	}
	if got := res.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type is %q", got)
	}
	if got := res.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control is %q", got)
	}
	if status == http.StatusUnauthorized && res.Header.Get("WWW-Authenticate") == "" {
		t.Error("a 401 without WWW-Authenticate (RFC 9110 §11.6.1)")
	}
	for _, name := range []string{"error", "error_description"} {
		text := res.str(name)
		if text == "" || strings.ContainsFunc(text, func(c rune) bool { return c < 0x20 || c > 0x7e || c == '"' || c == '\\' }) {
			t.Errorf("%s is %q: RFC 6749 §5.2 wants %%x20-21 / %%x23-5B / %%x5D-7E", name, text)
		}
	}
}

// wantLive fails unless the refresh token can be redeemed at cli, and answers its successor.
func (r *rig) wantLive(token string) string {
	r.t.Helper()
	res := r.refresh(token)
	want(r.t, res, http.StatusOK, "")
	return res.str("refresh_token")
}

// wantDead fails unless the refresh token is refused as invalid_grant.
func (r *rig) wantDead(token string) {
	r.t.Helper()
	want(r.t, r.refresh(token), http.StatusBadRequest, "invalid_grant")
}
