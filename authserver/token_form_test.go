package authserver_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// signInForm is a token request that is answered with 200.
const signInForm = "grant_type=password&client_id=cli&username=alice&password=wonderland&scope=profile"

// raw builds a POST of that very body as a form.
func raw(path, body string) *http.Request {
	req := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return req
}

// goodForms are, by path, forms that are answered with 200 however often they are sent.
var goodForms = map[string]string{
	"/oauth2/token":      signInForm,
	"/oauth2/revoke":     "client_id=cli&token=unknown&token_type_hint=access_token",
	"/oauth2/introspect": "client_id=web&client_secret=" + webPlain + "&token=unknown&token_type_hint=refresh_token",
}

// P1
func TestEveryParameterIsRefusedWhenItIsRepeated(t *testing.T) {
	r := newRig(t)
	for path, good := range goodForms {
		want(t, r.do(raw(path, good)), http.StatusOK, "")
		names, err := url.ParseQuery(good + "&redirect_uri=x&code=x&code_verifier=x&state=x&something_new=x")
		must(t, err)
		for name, values := range names {
			once := good
			if !strings.Contains(good, name+"=") {
				once += "&" + name + "=x"
				want(t, r.do(raw(path, once)), http.StatusOK, "")
			}
			for what, second := range map[string]string{"same": values[0], "other": "y", "empty": ""} {
				for place, twice := range map[string]string{
					"last":    once + "&" + name + "=" + url.QueryEscape(second),
					"first":   name + "=" + url.QueryEscape(second) + "&" + once,
					"escaped": once + "&%" + hexDigits(name[0]) + name[1:] + "=" + url.QueryEscape(second),
				} {
					res := r.do(raw(path, twice))
					wantDocument(t, res, http.StatusBadRequest)
					if res.str("error") != "invalid_request" {
						t.Errorf("%s: %s twice (%s, %s): %s", path, name, what, place, res.raw)
					}
				}
			}
		}
	}
}

func hexDigits(b byte) string {
	return string([]byte{"0123456789ABCDEF"[b>>4], "0123456789ABCDEF"[b&15]})
}

// P1: what is refused has not been redeemed.
func TestARepeatedRefreshTokenParameterRedeemsNothing(t *testing.T) {
	r := newRig(t)
	token := r.signIn("alice", "wonderland").str("refresh_token")
	want(t, r.refresh(token, "refresh_token", token), http.StatusBadRequest, "invalid_request")
	want(t, r.do(form("/oauth2/revoke", "client_id", "cli", "token", token, "token", token)), http.StatusBadRequest, "invalid_request")
	r.wantLive(token)
}

// P1: RFC 8707 §2 lets resource be repeated, and nothing else.
func TestResourceMayBeRepeated(t *testing.T) {
	r := newRig(t)
	ask := func(resources ...string) response {
		pairs := []string{"grant_type", "client_credentials"}
		for _, one := range resources {
			pairs = append(pairs, "resource", one)
		}
		return r.do(basic(form("/oauth2/token", pairs...), "service", svcPlain))
	}
	want(t, ask(apiAud, "https://second.example.test"), http.StatusOK, "")
	want(t, ask(apiAud, "https://third.example.test"), http.StatusBadRequest, "invalid_target")
}

// P3
func TestOnlyFormsAreForms(t *testing.T) {
	r := newRig(t)
	for path, good := range goodForms {
		for _, fine := range []string{
			"application/x-www-form-urlencoded", "Application/X-WWW-Form-Urlencoded",
			"application/x-www-form-urlencoded; charset=UTF-8", "application/x-www-form-urlencoded;charset=utf-8",
		} {
			req := raw(path, good)
			req.Header.Set("Content-Type", fine)
			want(t, r.do(req), http.StatusOK, "")
		}
		for _, wrong := range [][]string{
			nil,
			{""},
			{"text/plain"},
			{"application/json"},
			{"multipart/form-data; boundary=x"},
			{"*/*"},
			{"application/x-www-form-urlencoded2"},
			{"application/x-www-form-urlencoded, application/json"},
			{"application/x-www-form-urlencoded; charset"},
			{"application/x-www-form-urlencoded", "application/json"},
		} {
			req := raw(path, good)
			req.Header["Content-Type"] = wrong
			wantDocument(t, r.do(req), http.StatusUnsupportedMediaType)
		}
	}
	multipart := "--x\r\nContent-Disposition: form-data; name=\"grant_type\"\r\n\r\npassword\r\n--x--\r\n"
	req := raw("/oauth2/token", multipart)
	req.Header.Set("Content-Type", "multipart/form-data; boundary=x")
	wantDocument(t, r.do(req), http.StatusUnsupportedMediaType)
}

// P4
func TestMalformedEscapesAreRefused(t *testing.T) {
	r := newRig(t)
	for path, good := range goodForms {
		for _, fine := range []string{"&x=%20", "&x=+", "&x=%C3%A9", "&", "&x", "&=x", "&&x=1"} {
			want(t, r.do(raw(path, good+fine)), http.StatusOK, "")
		}
		for _, wrong := range []string{"&x=%zz", "&x=%", "&x=%2", "&%zz=x", "&x=1;y=2", ";x=1", "&x=%u0041"} {
			res := r.do(raw(path, good+wrong))
			wantDocument(t, res, http.StatusBadRequest)
			want(t, res, http.StatusBadRequest, "invalid_request")
		}
	}
}

// P5
func TestKnownParametersInTheQueryAreRefusedAndNotLogged(t *testing.T) {
	r := newRig(t)
	known := []string{
		"grant_type", "client_id", "client_secret", "client_assertion", "client_assertion_type", "username", "password",
		"refresh_token", "code", "code_verifier", "redirect_uri", "scope", "token", "token_type_hint", "resource", "access_token",
	}
	for path, good := range goodForms {
		want(t, r.do(raw(path+"?tracking=1", good)), http.StatusOK, "") // RFC 6749 §3.2
		for _, name := range known {
			for _, query := range []string{name + "=canary-in-query", name + "=", "a=1&" + name + "=canary-in-query"} {
				res := r.do(raw(path+"?"+query, good))
				wantDocument(t, res, http.StatusBadRequest)
				want(t, res, http.StatusBadRequest, "invalid_request")
				if strings.Contains(res.raw, "canary-in-query") {
					t.Errorf("the answer repeats the value: %s", res.raw)
				}
			}
		}
		wantDocument(t, r.do(raw(path+"?%zz", good)), http.StatusBadRequest)
	}
	res := r.do(from("192.0.2.1:1", jsonLoginAt("/login?password=canary-in-query", `{"username":"alice","password":"wonderland"}`)))
	wantDocument(t, res, http.StatusBadRequest)
	if strings.Contains(r.logs.String(), "canary-in-query") {
		t.Error("the log has a value from the query")
	}
}

func jsonLoginAt(path, body string) *http.Request {
	req := jsonLogin(body)
	req.URL, _ = url.Parse(path)
	return req
}

// P7
func TestControlCharactersAndInvalidUTF8AreRefusedBeforeAnyLookUp(t *testing.T) {
	r, store := tapped(t)
	bad := []string{"%00", "%01", "%0a", "%0d", "%1b", "%1f", "%7f", "%ff", "%c3%28", "%ed%a0%80", "%f8%88%80%80%80"}
	verbs := store.record()
	for path, good := range goodForms {
		for pair := range strings.SplitSeq(good, "&") {
			if strings.HasPrefix(pair, "password=") {
				continue // any bytes; see below
			}
			for _, b := range bad {
				res := r.do(raw(path, strings.Replace(good, pair, pair+b, 1)))
				wantDocument(t, res, http.StatusBadRequest)
				want(t, res, http.StatusBadRequest, "invalid_request")
			}
		}
	}
	for _, body := range []string{
		`{"username":"alice\u0000","password":"wonderland"}`, `{"username":"al\nice","password":"wonderland"}`,
		`{"username":"ali` + "\xff" + `ce","password":"wonderland"}`, `{"username":"alice","password":"wonder` + "\xff" + `land"}`,
		`{"username":"alice","password":"wonderland","scope":"profile\u007f"}`,
	} {
		wantDocument(t, r.do(jsonLogin(body)), http.StatusBadRequest)
	}
	if len(*verbs) > 0 {
		t.Errorf("the store was asked: %v", *verbs)
	}
}

// P9
func TestOnlyPOSTIsServedAndNothingElseHasAnEffect(t *testing.T) {
	r, store := tapped(t)
	verbs := store.record()
	for path, good := range map[string]string{
		"/oauth2/token": signInForm, "/oauth2/revoke": goodForms["/oauth2/revoke"],
		"/oauth2/introspect": goodForms["/oauth2/introspect"], "/login": `{"username":"alice","password":"wonderland"}`,
	} {
		for _, method := range []string{"GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "post", "PROPFIND"} {
			req := httptest.NewRequest(method, path, strings.NewReader(good))
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if path == "/login" {
				if method == "GET" || method == "HEAD" {
					continue // the page for people
				}
				req.Header.Set("Content-Type", "application/json")
			}
			res := r.do(req)
			wantDocument(t, res, http.StatusMethodNotAllowed)
			allow := "POST"
			if path == "/login" {
				allow = "GET, HEAD, POST" // RFC 9110 §10.2.1: all that the resource takes, the page as well
			}
			if res.Header.Get("Allow") != allow {
				t.Errorf("%s %s: Allow is %q, want %q", method, path, res.Header.Get("Allow"), allow)
			}
		}
	}
	if len(*verbs) > 0 {
		t.Errorf("the store was asked: %v", *verbs)
	}
}

// P11
func TestGrantTypesOutsideTheListAreUnsupported(t *testing.T) {
	r := newRig(t)
	rest := "&client_id=cli&username=alice&password=wonderland"
	want(t, r.do(raw("/oauth2/token", "grant_type=password"+rest)), http.StatusOK, "")
	for _, grant := range []string{
		"Password", "PASSWORD", "password+", "+password", "password+refresh_token", "password+password", "password%2Crefresh_token",
		"implicit", "token", "none", "authorization_code%20", "urn:ietf:params:oauth:grant-type:jwt-bearer", "%E2%98%83",
	} {
		res := r.do(raw("/oauth2/token", "grant_type="+grant+rest))
		wantDocument(t, res, http.StatusBadRequest)
		if res.str("error") != "unsupported_grant_type" {
			t.Errorf("%q: %s", grant, res.raw)
		}
	}
	// A missing one is a missing required parameter (RFC 6749 §5.2).
	for _, body := range []string{rest[1:], "grant_type=" + rest, "grant_type" + rest, ""} {
		want(t, r.do(raw("/oauth2/token", body)), http.StatusBadRequest, "invalid_request")
	}
}
