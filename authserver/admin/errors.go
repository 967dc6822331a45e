package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/ingam/ingam/authserver/credential"
	"github.com/ingam/ingam/storage"
)

// The values of "error". They are part of the API: programs compare them, people read error_description.
const (
	CodeInvalid          = "invalid_request"
	CodeForbidden        = "forbidden"
	CodeNotFound         = "not_found"
	CodeMethodNotAllowed = "method_not_allowed"
	CodeExists           = "exists"
	CodeConflict         = "conflict"
	CodeReadOnly         = "read_only"
	CodeTooLarge         = "too_large"
	CodeMediaType        = "unsupported_media_type"
	CodeServerError      = "server_error"
	CodeUnavailable      = "temporarily_unavailable"
)

// failure is an error that knows its answer. cause, where there is one, is for the log only.
type failure struct {
	status      int
	code        string
	description string
	cause       error
}

func (f *failure) Error() string { return f.description }
func (f *failure) Unwrap() error { return f.cause }

func invalid(format string, args ...any) error {
	return &failure{status: http.StatusBadRequest, code: CodeInvalid, description: fmt.Sprintf(format, args...)}
}

// rejected is the answer to a record that breaks rules: all of them at once.
func rejected(problems []Problem) error {
	texts := make([]string, len(problems))
	for i, p := range problems {
		texts[i] = p.String()
	}
	return invalid("%s", strings.Join(texts, "; "))
}

// storeFailure is the one answer to a store that does not work. Its text goes to the log, not to the caller.
func storeFailure(err error) error {
	return &failure{
		status: http.StatusServiceUnavailable, code: CodeUnavailable, cause: err,
		description: "the store does not answer; the log of the server says why",
	}
}

// about turns what a store answered about a record ("user alice") into an answer of the API.
func about(what, source string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, storage.ErrReadOnly):
		if source == "" {
			source = "a configuration file"
		}
		return &failure{
			status: http.StatusConflict, code: CodeReadOnly,
			description: fmt.Sprintf("%s is defined in %s and is changed there", what, source),
		}
	case errors.Is(err, storage.ErrNotFound):
		return &failure{status: http.StatusNotFound, code: CodeNotFound, description: "there is no " + what}
	case errors.Is(err, storage.ErrExists):
		return &failure{status: http.StatusConflict, code: CodeExists, description: what + " exists already"}
	case errors.Is(err, storage.ErrConflict):
		return &failure{
			status: http.StatusConflict, code: CodeConflict,
			description: what + " is being changed by somebody else; try again",
		}
	default:
		return storeFailure(err)
	}
}

// fail writes the answer for err, and logs what the caller is not told.
func (a *api) fail(w http.ResponseWriter, r *http.Request, err error) {
	var f *failure
	switch {
	case errors.As(err, &f):
	case errors.Is(err, context.Canceled):
		// The caller hung up while its password was being hashed; the answer goes nowhere.
		f = &failure{status: http.StatusServiceUnavailable, code: CodeUnavailable, description: "given up"}
	case errors.Is(err, credential.ErrBusy):
		// threats L11: passwords are hashed a few at a time.
		w.Header().Set("Retry-After", "1")
		f = &failure{
			status: http.StatusServiceUnavailable, code: CodeUnavailable,
			description: "too many passwords are being checked just now; try again",
		}
	default:
		f = &failure{
			status: http.StatusInternalServerError, code: CodeServerError, cause: err,
			description: "the server failed; its log says why",
		}
	}
	if f.cause != nil {
		a.log.ErrorContext(r.Context(), "admin request failed", "method", r.Method, "route", r.Pattern, "error", f.cause)
	}
	// A failed write means that the caller has gone; nobody is left to be told.
	_ = answer(w, f.status, Error{Code: f.code, Description: f.description})
}

// answer writes v as JSON. Answers can hold a fresh secret, so none may be cached.
func answer(w http.ResponseWriter, status int, v any) error {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	// The status is out already: an error here can only be that the caller has gone.
	_ = e.Encode(v)
	return nil
}
