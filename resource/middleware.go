package resource

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Require returns middleware that lets a request pass only with a valid access token
// that has all the given scopes; none means that any valid token will do. The next
// handler finds the token with [TokenFromContext].
//
// Refusals follow RFC 6750 §3: 401 without a token or with a bad one, 400 for a
// malformed or repeated Authorization header, 403 when a scope is missing. While
// there are no keys to judge by, the answer is 503 with Retry-After. All have a JSON
// body {"error", "error_description"}.
//
// A token in the query or in a form is not looked at: addresses end up in logs and
// histories (RFC 9700 §4.3.2).
//
// Require panics if one of scopes is not a scope-token of RFC 6749 §3.3, as
// http.ServeMux does for a bad pattern: no token could ever satisfy it.
func (v *Verifier) Require(scopes ...string) func(http.Handler) http.Handler {
	for _, scope := range scopes {
		if !validScope(scope) {
			panic(fmt.Sprintf("resource: Require: %q is not a scope", scope))
		}
	}
	needed := strings.Join(scopes, " ")
	required := strings.Fields(needed) // a copy that nobody else holds
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			token, err := bearerToken(r.Header)
			switch {
			case errors.Is(err, errNoCredentials):
				v.refuse(w, noCredentials())
				return
			case err != nil:
				v.refuse(w, invalidRequest(err.Error()))
				return
			}
			t, err := v.Verify(r.Context(), token)
			if invalid := (*InvalidTokenError)(nil); errors.As(err, &invalid) {
				v.refuse(w, invalidToken(invalid.Reason))
				return
			}
			if err != nil {
				unavailable(w)
				return
			}
			for _, scope := range required {
				if !t.HasScope(scope) {
					v.refuse(w, insufficientScope(needed))
					return
				}
			}
			next.ServeHTTP(w, r.WithContext(ContextWithToken(r.Context(), t)))
		})
	}
}

func (v *Verifier) refuse(w http.ResponseWriter, r refusal) {
	var c challenge
	if v != nil {
		c = v.challenge
	}
	c.refuse(w, r)
}

type tokenKey struct{}

// ContextWithToken returns a context that carries t. Require does this; it is exported
// for tests of handlers that need a token.
func ContextWithToken(ctx context.Context, t *AccessToken) context.Context {
	return context.WithValue(ctx, tokenKey{}, t)
}

// TokenFromContext returns the access token of the request, and whether there is
// one: always, behind Require. It is the request's own copy.
func TokenFromContext(ctx context.Context) (*AccessToken, bool) {
	t, ok := ctx.Value(tokenKey{}).(*AccessToken)
	return t, ok && t != nil
}

// How a request can fail to bring a token. The texts go to the client.
var (
	errNoCredentials = errors.New("no bearer token")
	errRepeated      = errors.New("more than one Authorization header")
	errMalformed     = errors.New("the Authorization header is not Bearer followed by one token")
)

// bearerToken returns the token of the Authorization header, in the form
//
//	credentials = "Bearer" 1*SP b64token
//
// of RFC 6750 §2.1. Another scheme is no attempt at ours: errNoCredentials.
func bearerToken(h http.Header) (string, error) {
	values := h["Authorization"]
	switch {
	case len(values) == 0:
		return "", errNoCredentials
	case len(values) > 1:
		// Two readers might choose differently.
		return "", errRepeated
	}
	// RFC 9110 §11.1: schemes have no case.
	scheme, rest, spaced := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", errNoCredentials
	}
	token := strings.TrimLeft(rest, " ")
	if !spaced || !validB64Token(token) {
		return "", errMalformed
	}
	return token, nil
}

// validB64Token checks the grammar of RFC 6750 §2.1:
//
//	b64token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="
func validB64Token(s string) bool {
	body := strings.TrimRight(s, "=")
	for i := range len(body) {
		if c := body[i]; !isAlphanumeric(c) && strings.IndexByte("-._~+/", c) < 0 {
			return false
		}
	}
	return body != ""
}
