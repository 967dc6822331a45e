package oauth

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// P1, P4, P6, P7: what passes the gate is a plain form.
func FuzzWhatPassesTheGateIsAPlainForm(f *testing.F) {
	for _, seed := range [][3]string{
		{"application/x-www-form-urlencoded", "", "grant_type=password&username=a&password=%00%ff"},
		{"application/x-www-form-urlencoded; charset=utf-8", "x=1", "scope=a+b&scope="},
		{"text/plain", "", "a=b"},
		{"application/x-www-form-urlencoded", "password=x", "a=b"},
		{"application/x-www-form-urlencoded", "%zz", "a=b"},
		{"application/x-www-form-urlencoded", "", "a=%zz"},
		{"application/x-www-form-urlencoded", "", "a;b"},
		{"application/x-www-form-urlencoded", "", "resource=a&resource=b&resource="},
		{"application/x-www-form-urlencoded", "", strings.Repeat("&a", 99)},
		{"application/x-www-form-urlencoded", "", "username=%01"},
		{"application/x-www-form-urlencoded", "", "%ff=%ff"},
		{"", "", ""},
		{"application/x-www-form-urlencoded", "", "grant_type=authorization_code&code=c&code_verifier=%00"},
		{"application/x-www-form-urlencoded", "", "grant_type=authorization_code&code=%00&code_verifier=v"},
		{"application/x-www-form-urlencoded", "", "grant_type=authorization_code&code_verifier=v&code_verifier=v"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, contentType, query, body string) {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.Header.Set("Content-Type", contentType)
		r.URL.RawQuery = query
		form, err := readForm(httptest.NewRecorder(), r)
		// A6: the token endpoint has the same gate, but that a redemption is looked at when its code is known.
		again := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		again.Header.Set("Content-Type", contentType)
		again.URL.RawQuery = query
		errToken := readTokenForm(httptest.NewRecorder(), again)
		if (err == nil) != (errToken == nil) && !(errToken == nil && again.PostForm.Get("grant_type") == grantAuthorizationCode) {
			t.Fatalf("%v, at the token endpoint %v", err, errToken)
		}
		if err != nil {
			if e := toError(err); e.Status < 400 || e.Status >= 500 || e.Code != "invalid_request" {
				t.Errorf("refused with %d %s", e.Status, e.Code)
			}
			return
		}
		if len(body) > maxBody || len(form) > maxParameters {
			t.Errorf("%d bytes, %d parameters", len(body), len(form))
		}
		for name, values := range form {
			switch {
			case repeatable[name]:
			case len(values) != 1 || values[0] == "":
				t.Errorf("%q has %q", name, values)
			case name != "password" && slices.Contains(known, name) && (!utf8.ValidString(values[0]) || strings.ContainsAny(values[0], "\x00\n\r\x1b\x7f")):
				t.Errorf("%q has %q", name, values)
			}
		}
		for _, name := range []string{"password", "client_secret", "refresh_token", "token", "code"} {
			if r.URL.Query().Has(name) {
				t.Errorf("%s is in the query", name)
			}
		}
	})
}

// P1 for JSON: what is read is what any other reader would read, because there is only one way to.
func FuzzAnObjectIsReadInOneWay(f *testing.F) {
	for _, seed := range []string{
		`{"username":"a","password":"b"}`, `{"username":"a","username":"b"}`, `{"a":{"username":"x"},"username":"y"}`, `{}`, `[]`, `null`, `{"a":1}x`, `{"a":1}{}`,
		`{"user\u006eame":"a","username":"b"}`, "{\"a\":\"\xff\"}", `{"a":"\ud800"}`, `{"a":1,}`, `{"":""}`, ` {"a" : [ 1 ] } `, `{"a":1e999}`, "{\"\xff\":1,\"\xfe\":2}",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		members, err := stringMembers([]byte(body))
		if err != nil {
			return
		}
		var other map[string]any
		if err := json.Unmarshal([]byte(body), &other); err != nil {
			t.Fatalf("%q is accepted, but: %v", body, err)
		}
		if len(other) != len(members) {
			t.Errorf("%q has the members %v, not %v", body, other, members)
		}
		for name, value := range other {
			if text, ok := value.(string); ok && members[name] != text {
				t.Errorf("%q: %s is %q, not %q", body, name, text, members[name])
			}
		}
	})
}

// RFC 6749 §3.3
func TestAScopeIsAListOfTokens(t *testing.T) {
	for param, tokens := range map[string][]string{
		"": nil, "a": {"a"}, "a b": {"a", "b"}, "b a": {"b", "a"}, "a a b a": {"a", "b"}, "a  b": {"a", "b"}, " a ": {"a"},
		"urn:x:y/z?q#[]": {"urn:x:y/z?q#[]"}, "A a": {"A", "a"}, "!#~": {"!#~"},
	} {
		if got, err := parseScope(param); err != nil || !slices.Equal(got, tokens) {
			t.Errorf("%q: %q, %v", param, got, err)
		}
	}
	for _, param := range []string{`a"b`, `a\b`, "a\tb", "a\nb", "é", "a\x00", "a\x7f", "\xff", "a\u00a0b", strings.Repeat("a ", 101)} {
		if got, err := parseScope(param); err == nil || toError(err).Code != "invalid_scope" {
			t.Errorf("%q: %q, %v", param, got, err)
		}
	}
}

func FuzzAScopeThatIsParsedStaysTheSame(f *testing.F) {
	for _, seed := range []string{"openid profile", "a  a", "", " ", `"`, "é", strings.Repeat("x ", 200)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, param string) {
		tokens, err := parseScope(param)
		if err != nil {
			return
		}
		again, err := parseScope(strings.Join(tokens, " "))
		if err != nil || !slices.Equal(again, tokens) || len(tokens) > maxScopes {
			t.Errorf("%q: %q, then %q, %v", param, tokens, again, err)
		}
		for i, token := range tokens {
			if !strings.Contains(param, token) || slices.Index(tokens, token) != i {
				t.Errorf("%q: %q", param, tokens)
			}
		}
	})
}
