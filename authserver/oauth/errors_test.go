package oauth

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ory/fosite"
)

// RFC 6749 §5.2: %x20-21 / %x23-5B / %x5D-7E
func TestADescriptionHasPrintableCharactersOnly(t *testing.T) {
	var all strings.Builder
	for c := range rune(0x3000) {
		all.WriteRune(c)
	}
	for _, text := range []string{all.String(), "\xff\xfe", "\U0010ffff", `"quoted" back\slash`, "line\r\nbreak", ""} {
		for _, c := range printable(text) {
			if c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
				t.Fatalf("%q lets %q through", text, c)
			}
		}
		rec := httptest.NewRecorder()
		WriteError(rec, invalidRequest(text))
		var doc map[string]string
		must(t, json.NewDecoder(rec.Result().Body).Decode(&doc))
		if doc["error"] != "invalid_request" || doc["error_description"] != printable(text) {
			t.Errorf("got %v", doc)
		}
	}
	if plain := "It's plain (text), 100%."; printable(plain) != plain {
		t.Errorf("%q became %q", plain, printable(plain))
	}
}

// 1B-14: whatever fosite or anybody else says, the code is a registered one, belongs to its status, and tells nothing.
func TestEveryErrorBecomesARegisteredOne(t *testing.T) {
	registered := map[string][]int{ // RFC 6749 §5.2, §4.1.2.1; RFC 8707 §2
		"invalid_request": {400, 404, 405, 413, 415}, "invalid_client": {401}, "invalid_grant": {400}, "unauthorized_client": {400},
		"unsupported_grant_type": {400}, "invalid_scope": {400}, "invalid_target": {400}, "server_error": {500}, "temporarily_unavailable": {429, 503},
	}
	for _, err := range []error{
		fosite.ErrInactiveToken, fosite.ErrNotFound, fosite.ErrTokenExpired, fosite.ErrScopeNotGranted, fosite.ErrInvalidState, fosite.ErrMisconfiguration,
		fosite.ErrRequestUnauthorized, fosite.ErrRequestForbidden, fosite.ErrJTIKnown, fosite.ErrUnknownRequest, fosite.ErrSerializationFailure,
		fosite.ErrInvalidRequest, fosite.ErrInvalidClient, fosite.ErrInvalidGrant, fosite.ErrInvalidScope, fosite.ErrUnauthorizedClient,
		fosite.ErrServerError, fosite.ErrTemporarilyUnavailable, fosite.ErrTokenSignatureMismatch, fosite.ErrUnsupportedGrantType,
		fosite.ErrServerError.WithWrap(errors.New("canary")).WithDebug("canary"), fosite.ErrInvalidRequest.WithHint("canary").WithDebug("canary"),
		errors.New("canary"), fmt.Errorf("wrapped: %w", invalidScope("of our own")), storeError(errors.New("canary")), ServerError(errors.New("canary")),
		fosite.ErrServerError.WithWrap(invalidGrant("of our own")), errNotKept, tooManyRequests(time.Second), unsupportedGrantType(), errInvalidClient(),
	} {
		e := toError(err)
		if !slices.Contains(registered[e.Code], e.Status) {
			t.Errorf("%v became %s with %d", err, e.Code, e.Status)
		}
		rec := httptest.NewRecorder()
		WriteError(rec, e)
		res := rec.Result()
		if body := rec.Body.String(); strings.Contains(body, "canary") || strings.Contains(body, "cause") {
			t.Errorf("%v told its cause: %s", err, body)
		}
		if (res.StatusCode == http.StatusUnauthorized) != (res.Header.Get("WWW-Authenticate") != "") {
			t.Errorf("%v: %d with the challenge %q", err, res.StatusCode, res.Header.Get("WWW-Authenticate"))
		}
		if slices.Contains([]int{503, 429}, res.StatusCode) != (res.Header.Get("Retry-After") != "") {
			t.Errorf("%v: %d with Retry-After %q", err, res.StatusCode, res.Header.Get("Retry-After"))
		}
	}
	// What fosite wraps around an error of ours does not hide it.
	if e := toError(fosite.ErrServerError.WithWrap(invalidGrant("of our own")).WithDebug("x")); e.Code != "invalid_grant" {
		t.Errorf("wrapped by fosite it became %s", e.Code)
	}
}
