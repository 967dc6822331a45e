package oauth

import (
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/ory/fosite"

	"github.com/ingam/ingam/storage"
)

// Error is an error answer of RFC 6749 §5.2: code and status belong together, the description is for the developer
// of the client, the cause is for our log only.
type Error struct {
	Code        string
	Description string
	Status      int
	// RetryAfter, if positive, becomes the Retry-After header (RFC 9110 §10.2.3).
	RetryAfter time.Duration
	// Challenge is the WWW-Authenticate header of a 401 (RFC 9110 §11.6.1).
	Challenge string
	cause     error
}

// Error gives code, description and cause, for logs.
func (e *Error) Error() string {
	text := e.Code + ": " + e.Description
	if e.cause != nil {
		text += ": " + e.cause.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.cause }

func (e *Error) because(cause error) *Error {
	e.cause = cause
	return e
}

const (
	basicChallenge  = `Basic realm="ingam", charset="UTF-8"`
	bearerChallenge = `Bearer realm="ingam"`
)

// The vocabulary: RFC 6749 §5.2 unless said otherwise. Each code owns its status.

func invalidRequest(description string) *Error {
	return &Error{Code: "invalid_request", Description: description, Status: http.StatusBadRequest}
}

// errInvalidClient has one text for every reason, so that it does not tell which client ids exist.
func errInvalidClient() *Error {
	return &Error{
		Code: "invalid_client", Status: http.StatusUnauthorized, Challenge: basicChallenge,
		Description: "Client authentication failed: unknown client_id, wrong client_secret, or a method this client is " +
			"not registered for.",
	}
}

func invalidGrant(description string) *Error {
	return &Error{Code: "invalid_grant", Description: description, Status: http.StatusBadRequest}
}

func unauthorizedClient(grantType string) *Error {
	return &Error{
		Code: "unauthorized_client", Status: http.StatusBadRequest,
		Description: "This client is not registered for the grant type '" + grantType + "'.",
	}
}

func unsupportedGrantType() *Error {
	return &Error{
		Code: "unsupported_grant_type", Status: http.StatusBadRequest,
		Description: "The grant_type is not one of: " + strings.Join(grantTypes(), ", ") + ".",
	}
}

func invalidScope(description string) *Error {
	return &Error{Code: "invalid_scope", Description: description, Status: http.StatusBadRequest}
}

// invalidTarget is RFC 8707 §2.
func invalidTarget(description string) *Error {
	return &Error{Code: "invalid_target", Description: description, Status: http.StatusBadRequest}
}

// unavailable says that we could not find out; whether something happened is unknown, and trying again is right.
func unavailable(cause error, retryAfter time.Duration) *Error {
	return &Error{
		Code: "temporarily_unavailable", Status: http.StatusServiceUnavailable, RetryAfter: retryAfter, cause: cause,
		Description: "The server cannot answer right now. Try again in a moment.",
	}
}

// tooManyRequests has the code that RFC 6749 §4.1.2.1 has for overload; 429 is RFC 6585 §4.
func tooManyRequests(retryAfter time.Duration) *Error {
	return &Error{
		Code: "temporarily_unavailable", Status: http.StatusTooManyRequests, RetryAfter: retryAfter,
		Description: "Too many sign-in attempts. Wait as long as the Retry-After header says.",
	}
}

// ServerError is for what nobody foresaw; the cause, which may be nil, is for the log.
func ServerError(cause error) *Error {
	return &Error{
		Code: "server_error", Status: http.StatusInternalServerError, cause: cause,
		Description: "Something went wrong here. The server's log has the details under this request's id.",
	}
}

// storeError turns the error of a store into an answer: its sentinels never come here, so it is a failure.
func storeError(err error) *Error { return unavailable(err, time.Second) }

// toError finds the answer for any error, whatever fosite wrapped around it.
func toError(err error) *Error {
	var own *Error
	if errors.As(err, &own) {
		return own
	}
	if rfc := (*fosite.RFC6749Error)(nil); errors.As(err, &rfc) {
		switch rfc.ErrorField {
		case "invalid_request":
			return invalidRequest("The request is malformed.").because(err)
		case "invalid_scope":
			return invalidScope("The scope is not one this client is registered for.").because(err)
		case "invalid_grant":
			return invalidGrant("The credential is wrong, expired, revoked, or belongs to another client.").because(err)
		case "invalid_client":
			return errInvalidClient()
		}
	}
	return ServerError(err)
}

// writeError answers with the error document (RFC 6749 §5.2) and logs what is worth a look: our own failures.
func (e *Engine) writeError(w http.ResponseWriter, r *http.Request, err error) {
	answer := toError(err)
	e.logFailure(r, answer)
	WriteError(w, answer)
}

func (e *Engine) logFailure(r *http.Request, answer *Error) {
	if answer.Status < 500 {
		return
	}
	level := slog.LevelError
	if answer.Status == http.StatusServiceUnavailable {
		level = slog.LevelWarn
	}
	e.log.Log(r.Context(), level, "request failed", "path", r.URL.Path, "error", answer.Error())
}

// WriteError writes the document of RFC 6749 §5.2 for e. Other rooms use it for what they refuse before the engine
// is asked, so that there is one form of error on all endpoints.
func WriteError(w http.ResponseWriter, e *Error) {
	body, err := json.Marshal(struct {
		Code        string `json:"error"`
		Description string `json:"error_description,omitempty"`
	}{e.Code, printable(e.Description)})
	if err != nil {
		body = []byte(`{"error":"server_error"}`)
	}
	h := w.Header()
	if e.Challenge != "" {
		h.Set("WWW-Authenticate", e.Challenge)
	}
	if e.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds()))))
	}
	writeJSON(w, e.Status, body)
}

// writeJSON sends a prepared document that must not be cached (RFC 6749 §5.1), with an end of line for people with curl.
func writeJSON(w http.ResponseWriter, status int, body []byte) {
	body = append(body, '\n')
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client has gone; nobody is left to tell
}

// printable keeps to the characters that error_description may have (RFC 6749 §5.2): %x20-21 / %x23-5B / %x5D-7E.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '"':
			return '\''
		case r == '\\':
			return '/'
		case r < 0x20 || r > 0x7e:
			return '?'
		}
		return r
	}, s)
}

// ifNotFound gives the answer for "not found" in place of the store's, and 503 for every failure. The answer may be
// nil: then not finding anything is no error.
func ifNotFound(err, answer error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, storage.ErrNotFound):
		return answer
	}
	return storeError(err)
}
