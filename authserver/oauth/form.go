package oauth

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	// maxBody bounds the body of every request: 64 KiB.
	maxBody = 64 << 10
	// maxParameters bounds how many parameters a form may have, repeated ones counted each time.
	maxParameters = 64
	// maxScopes bounds how many scopes may be asked for at once.
	maxScopes = 100
)

// maxLength bounds single parameters, in bytes; the other known ones may have 4,096.
var maxLength = map[string]int{
	"grant_type":       128,
	"client_id":        256,
	"client_secret":    1024,
	"client_assertion": maxAssertion,
	"username":         512,
	"password":         4096, // credential has its own, lower bound, which answers like a wrong password
	"token":            8192,
	"refresh_token":    8192,
}

// repeatable parameters are the exceptions to "at most once": RFC 8707 §2, RFC 8693 §2.1.
var repeatable = map[string]bool{"resource": true, "audience": true}

// known are the parameters of these endpoints and their neighbours. They must not come in the query (RFC 6749 §2.3.1
// and §3.2), where they would end up in logs.
var known = []string{
	"grant_type", "client_id", "client_secret", "client_assertion", "client_assertion_type", "username", "password",
	"refresh_token", "code", "code_verifier", "redirect_uri", "scope", "token", "token_type_hint", "access_token",
	"resource", "audience",
}

// readForm is the gate before every form endpoint. It answers the parsed body, in which each parameter has exactly
// one non-empty value ([repeatable] ones may have several), and leaves it in r.PostForm and r.Form, where
// fosite looks, so that nothing is parsed twice.
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	form, err := parseForm(w, r)
	for name, values := range form {
		if err := checkValues(name, values); err != nil {
			return nil, err
		}
	}
	return form, err
}

// ofEveryRedemption are the parameters that say who redeems which code.
var ofEveryRedemption = []string{
	"grant_type", "code", "client_id", "client_secret", "client_assertion", "client_assertion_type",
}

// readTokenForm is readForm for the token endpoint. When a code is redeemed, only what says who redeems which is checked
// here; the rest is for [wrongRedemption], so that nobody tries twice with a code (threats A6).
func readTokenForm(w http.ResponseWriter, r *http.Request) error {
	form, err := parseForm(w, r)
	redemption := form.Get("grant_type") == grantAuthorizationCode
	for name, values := range form {
		if redemption && !slices.Contains(ofEveryRedemption, name) {
			continue
		}
		if err := checkValues(name, values); err != nil {
			return err
		}
	}
	return err
}

// parseForm reads a form without looking at the values.
func parseForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	if err := refuseQuery(r.URL.RawQuery); err != nil {
		return nil, err
	}
	// RFC 6749 §4.3.2, §6: application/x-www-form-urlencoded. Multipart would be spooled to files.
	if err := requireContentType(r, "application/x-www-form-urlencoded"); err != nil {
		return nil, err
	}
	body, err := readBody(w, r)
	if err != nil {
		return nil, err
	}
	// url.ParseQuery refuses broken escapes and semicolons; http.Request.ParseMultipartForm would hide that error.
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, invalidRequest("The body is not valid application/x-www-form-urlencoded: check its % escapes.")
	}
	count := 0
	for _, values := range form {
		count += len(values)
	}
	if count > maxParameters {
		return nil, invalidRequest(fmt.Sprintf("The request has more than %d parameters.", maxParameters))
	}
	for name, values := range form {
		// RFC 6749 §3.2: request and response parameters MUST NOT be included more than once.
		if len(values) > 1 && !repeatable[name] {
			return nil, invalidRequest("The parameter '" + shortName(name) + "' is repeated; send it once (RFC 6749 section 3.2).")
		}
		// RFC 6749 §3.1: a parameter without a value is treated as if it were omitted.
		if !repeatable[name] && values[0] == "" {
			delete(form, name)
		}
	}
	r.PostForm, r.Form = form, form
	return form, nil
}

// refuseQuery refuses known parameters in the query of a POST endpoint.
func refuseQuery(raw string) error {
	if raw == "" {
		return nil
	}
	query, err := url.ParseQuery(raw)
	if err != nil {
		return invalidRequest("The query of the URL is malformed; these endpoints take their parameters in the body.")
	}
	for _, name := range known {
		if query.Has(name) {
			return invalidRequest("The parameter '" + name + "' must be sent in the body, never in the URL (RFC 6749 section 2.3.1).")
		}
	}
	return nil
}

// requireContentType answers 415 for another media type; a charset parameter is fine.
func requireContentType(r *http.Request, want string) error {
	got := r.Header.Values("Content-Type")
	if len(got) == 1 {
		if mediaType, _, err := mime.ParseMediaType(got[0]); err == nil && mediaType == want {
			return nil
		}
	}
	return &Error{
		Code: "invalid_request", Status: http.StatusUnsupportedMediaType,
		Description: "The Content-Type must be " + want + ".",
	}
}

// readBody reads the whole body, or answers 413 and has the connection closed.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		// MaxBytesReader would see to that itself, but does not look through a ResponseWriter that wraps another.
		w.Header().Set("Connection", "close")
		return nil, &Error{
			Code: "invalid_request", Status: http.StatusRequestEntityTooLarge,
			Description: "The body is larger than 64 KiB.",
		}
	}
	if err != nil {
		return nil, invalidRequest("The body could not be read to its end.")
	}
	return body, nil
}

// checkValues checks the length and the characters of one parameter of a form.
func checkValues(name string, values []string) error {
	if !slices.Contains(known, name) {
		return nil // RFC 6749 §3.2: unrecognized parameters are ignored
	}
	limit, ok := maxLength[name]
	if !ok {
		limit = 4096
	}
	for _, value := range values {
		if len(value) > limit {
			return invalidRequest(fmt.Sprintf("The parameter '%s' is longer than %d bytes.", name, limit))
		}
		// Passwords may hold any bytes (their own length is all that matters); nothing else may hold controls.
		if name != "password" && !cleanText(value) {
			return invalidRequest("The parameter '" + name + "' has control characters or invalid UTF-8.")
		}
	}
	return nil
}

// cleanText tells whether s is valid UTF-8 without control characters.
func cleanText(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f }) < 0
}
