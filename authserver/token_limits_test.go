package authserver_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// padded makes a form longer by parameters that mean nothing, up to size bytes.
func padded(form string, size int) string {
	for i := 'a'; len(form) < size; i++ {
		pad := min(size-len(form), 4000)
		form += "&" + string(i) + "=" + strings.Repeat("x", max(pad-3, 0))
	}
	return form[:size]
}

// P2
func TestABodyOfMoreThan64KiBIsRefused(t *testing.T) {
	r := newRig(t)
	for path, good := range goodForms {
		want(t, r.do(raw(path, padded(good, 64<<10))), http.StatusOK, "")
		wantDocument(t, r.do(raw(path, padded(good, 64<<10+1))), http.StatusRequestEntityTooLarge)
	}
	login := `{"username":"alice","password":"wonderland","more":"`
	want(t, r.do(jsonLogin(login+strings.Repeat("x", 64<<10-len(login)-2)+`"}`)), http.StatusOK, "")
	wantDocument(t, r.do(jsonLogin(login+strings.Repeat("x", 64<<10-len(login)-1)+`"}`)), http.StatusRequestEntityTooLarge)
}

// endless is a body without end; it counts what was read of it.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	e.read += len(p)
	return len(p), nil
}

// P2
func TestABodyWithoutEndIsReadTo64KiBAndNoFurther(t *testing.T) {
	r := newRig(t)
	for _, path := range []string{"/oauth2/token", "/oauth2/revoke", "/oauth2/introspect", "/login"} {
		body := &endless{}
		req := httptest.NewRequest(http.MethodPost, path, io.MultiReader(body)) // no Content-Length
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if path == "/login" {
			req.Header.Set("Content-Type", "application/json")
		}
		wantDocument(t, r.do(req), http.StatusRequestEntityTooLarge)
		if body.read > 70<<10 {
			t.Errorf("%s: %d bytes were read", path, body.read)
		}
	}
}

// P2: on a real connection, the rest of a body that is too large is not waited for.
func TestTheConnectionIsClosedAfterABodyThatIsTooLarge(t *testing.T) {
	server := httptest.NewServer(newRig(t))
	defer server.Close()
	post := func(size, status int, closed bool) {
		t.Helper()
		body := strings.NewReader(padded(goodForms["/oauth2/revoke"], size))
		res, err := server.Client().Post(server.URL+"/oauth2/revoke", "application/x-www-form-urlencoded", body)
		must(t, err)
		defer res.Body.Close()
		if res.StatusCode != status || res.Close != closed {
			t.Errorf("%d bytes: %s, close %v", size, res.Status, res.Close)
		}
	}
	post(64<<10, http.StatusOK, false)
	post(64<<10+1, http.StatusRequestEntityTooLarge, true)
}

// A client that goes away in the middle of its request has sent a bad one.
func TestABodyThatBreaksOffIsRefused(t *testing.T) {
	r, store := tapped(t)
	verbs := store.record()
	req := raw("/oauth2/token", "")
	req.Body = io.NopCloser(io.MultiReader(strings.NewReader(signInForm), iotest.ErrReader(io.ErrUnexpectedEOF)))
	wantDocument(t, r.do(req), http.StatusBadRequest)
	if len(*verbs) > 0 {
		t.Errorf("the store was asked: %v", *verbs)
	}
}

// RFC 6749 §5.2: what a client sent may be named in the description, shortened and in its characters.
func TestADescriptionIsWellFormedWhateverItNames(t *testing.T) {
	r := newRig(t)
	for _, name := range []string{strings.Repeat("long", 100), `a"b\c`, "a\nb", "\x00", "é日本", "\xff"} {
		res := r.do(raw("/oauth2/token", signInForm+strings.Repeat("&"+url.QueryEscape(name)+"=1", 2)))
		wantDocument(t, res, http.StatusBadRequest)
		if len(res.raw) > 300 {
			t.Errorf("%d bytes: %s", len(res.raw), res.raw)
		}
	}
	for _, scope := range []string{strings.Repeat("long", 100), "é", `a"b`} {
		res := r.signIn("alice", "wonderland", "scope", scope)
		wantDocument(t, res, http.StatusBadRequest)
		if len(res.raw) > 300 {
			t.Errorf("%d bytes: %s", len(res.raw), res.raw)
		}
	}
}

// P6
func TestUnknownParametersAreIgnoredButNotWithoutLimit(t *testing.T) {
	r := newRig(t)
	var many strings.Builder
	many.WriteString(signInForm)
	for i := range 64 - 5 { // five are in signInForm
		many.WriteString("&unknown_" + string(rune('a'+i%26)) + string(rune('a'+i/26)) + "=1")
	}
	want(t, r.do(raw("/oauth2/token", many.String())), http.StatusOK, "")
	want(t, r.do(raw("/oauth2/token", many.String()+"&one_more=1")), http.StatusBadRequest, "invalid_request")

	resources := strings.Repeat("&resource="+url.QueryEscape(apiAud), 64-5)
	want(t, r.do(raw("/oauth2/token", signInForm+resources)), http.StatusOK, "")
	want(t, r.do(raw("/oauth2/token", signInForm+resources+"&resource=x")), http.StatusBadRequest, "invalid_request")
	want(t, r.do(raw("/oauth2/token", signInForm+strings.Repeat("&resource=", 70))), http.StatusBadRequest, "invalid_request")
}

// P8
func TestParametersHaveLimitsOfTheirOwn(t *testing.T) {
	r := newRig(t)
	scopes := func(n int) string { return strings.TrimSuffix(strings.Repeat("profile ", n), " ") }
	want(t, r.signIn("alice", "wonderland", "scope", scopes(100)), http.StatusOK, "")
	for _, n := range []int{101, 500, 8000} {
		if res := r.signIn("alice", "wonderland", "scope", scopes(n)); res.StatusCode != http.StatusBadRequest {
			t.Errorf("%d scopes: %d %s", n, res.StatusCode, res.raw)
		}
	}
	want(t, r.signIn(strings.Repeat("a", 512), "x"), http.StatusBadRequest, "invalid_grant")
	want(t, r.signIn(strings.Repeat("a", 513), "x"), http.StatusBadRequest, "invalid_request")
	want(t, r.refresh(strings.Repeat("a", 8192)), http.StatusBadRequest, "invalid_grant")
	want(t, r.refresh(strings.Repeat("a", 8193)), http.StatusBadRequest, "invalid_request")
	wantDocument(t, r.refresh(strings.Repeat("a", 1<<20)), http.StatusRequestEntityTooLarge)
}

// P1, P4, P6: whatever Go's own parser refuses, and whatever names something twice, is never answered with 200.
func FuzzAFormThatIsNotOneIsNeverAccepted(f *testing.F) {
	r := newRig(f)
	for _, seed := range []string{
		signInForm, signInForm + "&x=%zz", signInForm + ";x=1", signInForm + "&scope=profile", "username=bob&" + signInForm,
		signInForm + "&user%6eame=bob", signInForm + "&username", signInForm + "&resource=a&resource=b", "%00=" + signInForm,
		strings.ReplaceAll(signInForm, "&", ";"), signInForm + "\r\n", signInForm + "&\x00", "", "=", "&", "%", "grant_type",
		"grant_type=refresh_token&client_id=cli&refresh_token=rt_x.1.y", signInForm + strings.Repeat("&a=", 100),
		"grant_type=client_credentials&client_id=service&client_secret=" + svcPlain, "\xef\xbb\xbf" + signInForm,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		res := r.doIn(t, raw("/oauth2/token", body))
		if res.StatusCode != http.StatusOK {
			if !slices.Contains([]int{400, 401, 413, 429, 503}, res.StatusCode) {
				t.Fatalf("%q: %d %s", body, res.StatusCode, res.raw)
			}
			wantDocument(t, res, res.StatusCode)
			return
		}
		values, err := url.ParseQuery(body)
		if err != nil || len(body) > 64<<10 {
			t.Fatalf("%q was accepted, but: %v", body, err)
		}
		for name, v := range values {
			if len(v) > 1 && name != "resource" && name != "audience" {
				t.Fatalf("%q was accepted with %q given %d times", body, name, len(v))
			}
		}
	})
}
