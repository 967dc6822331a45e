package resource

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
)

// challenge writes refusals: the WWW-Authenticate header of RFC 6750 §3 and
// a JSON body that says the same.
type challenge struct {
	realm    string
	metadata string // address of the RFC 9728 metadata, or empty
}

func newChallenge(realm, resource string) challenge {
	c := challenge{realm: realm}
	if resource != "" {
		c.metadata = metadataURL(resource)
	}
	return c
}

// refusal is one way to say no. The code owns its status.
type refusal struct {
	status      int
	code        string // an error code of RFC 6750 §3.1, or empty
	description string
	scope       string // the scope that would do, for insufficient_scope
}

func noCredentials() refusal {
	return refusal{
		status:      http.StatusUnauthorized,
		description: "send an access token in the Authorization header, with the scheme Bearer",
	}
}

func invalidRequest(description string) refusal {
	return refusal{status: http.StatusBadRequest, code: "invalid_request", description: description}
}

func invalidToken(description string) refusal {
	return refusal{status: http.StatusUnauthorized, code: "invalid_token", description: description}
}

func insufficientScope(scope string) refusal {
	return refusal{
		status:      http.StatusForbidden,
		code:        "insufficient_scope",
		description: "the token lacks a scope that this request needs",
		scope:       scope,
	}
}

// refuse sends r with its challenge.
func (c challenge) refuse(w http.ResponseWriter, r refusal) {
	var b strings.Builder
	b.WriteString("Bearer realm=")
	b.WriteString(quote(c.realm))
	// RFC 6750 §3.1: a request without credentials is told nothing but how to
	// authenticate.
	if r.code != "" {
		b.WriteString(", error=")
		b.WriteString(quote(r.code))
		b.WriteString(", error_description=")
		b.WriteString(quote(r.description))
	}
	if r.scope != "" {
		b.WriteString(", scope=")
		b.WriteString(quote(r.scope))
	}
	// RFC 9728 §5.1: where to learn which authorization server to ask.
	if c.metadata != "" {
		b.WriteString(", resource_metadata=")
		b.WriteString(quote(c.metadata))
	}
	w.Header().Set("WWW-Authenticate", b.String())
	code := r.code
	if code == "" {
		code = "unauthorized" // in the body only, where RFC 6750 has no say
	}
	writeError(w, r.status, code, r.description)
}

// unavailable says that the token could not be judged. There is no challenge,
// since another token would not help.
func unavailable(w http.ResponseWriter) {
	// The key set tries again within two seconds (maxBackoff).
	w.Header().Set("Retry-After", strconv.Itoa(int(maxBackoff.Seconds())))
	writeError(w, http.StatusServiceUnavailable, "temporarily_unavailable",
		"the keys to verify tokens with are not available yet; send the same token again")
}

// quote returns s as a quoted-string (RFC 9110 §5.6.4). What cannot stand in one,
// such as a line break, becomes a space.
func quote(s string) string {
	var b strings.Builder
	b.Grow(len(s) + 2)
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c > '~':
			b.WriteByte(' ')
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// writeError sends the JSON form of an error, as RFC 6749 §5.2 spells it.
func writeError(w http.ResponseWriter, status int, code, description string) {
	writeJSON(w, status, struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{code, description})
}

// writeJSON renders v before it sends anything. v must be a value of ours, which
// always has a JSON form.
func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"error":"server_error"}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	// RFC 6750 §5.3: nothing that depends on a token is for shared caches.
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(body)+1))
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the client is gone if this fails
}
