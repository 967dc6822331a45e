package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxBody      = 1 << 20
	defaultLimit = 100
	maxLimit     = 1000
	maxAfter     = 1024
)

// requireJSON insists on the one content type that a form of a web page cannot have.
func requireJSON(r *http.Request) error {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/json" {
		return &failure{
			status: http.StatusUnsupportedMediaType, code: CodeMediaType,
			description: "send Content-Type: application/json",
		}
	}
	return nil
}

// decode reads the body into v: one JSON value, no field that v does not have.
func decode(r *http.Request, v any) error { return Decode(r.Body, v) }

// decodeOptional is decode for a body that may be left out.
func decodeOptional(r *http.Request, v any) error {
	if err := Decode(r.Body, v); !errors.Is(err, errEmpty) {
		return err
	}
	return nil
}

var errEmpty = invalid("a JSON object is expected; there is nothing")

// Decode reads one JSON value into v and insists that v has a field for everything in it (threats G3). Its errors never
// repeat a value, which could be a password.
func Decode(from io.Reader, v any) error {
	data, err := io.ReadAll(from)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return &failure{
			status: http.StatusRequestEntityTooLarge, code: CodeTooLarge,
			description: fmt.Sprintf("the body is larger than %d bytes", tooLarge.Limit),
		}
	case err != nil:
		return &failure{status: http.StatusBadRequest, code: CodeInvalid, description: "the body broke off", cause: err}
	case len(bytes.TrimSpace(data)) == 0:
		return errEmpty
	case !utf8.Valid(data): // RFC 8259 §8.1; encoding/json would put U+FFFD into a password
		return invalid("this is not JSON in UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return invalid("%s", unreadable(err))
	}
	if _, err := d.Token(); err != io.EOF {
		return invalid("there is more after the JSON value")
	}
	return nil
}

// unreadable says what encoding/json found, without the values it quotes.
func unreadable(err error) string {
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		field := kind.Field
		if field == "" {
			field = "the whole"
		}
		got, _, _ := strings.Cut(kind.Value, " ") // it can be "number 5"
		return fmt.Sprintf("%s: %s is expected here, not %s", field, jsonKind(kind.Type.Kind().String()), jsonKind(got))
	}
	// encoding/json has no type for this one: its text is `json: unknown field "x"`.
	if _, field, ok := strings.Cut(err.Error(), "unknown field "); ok {
		return "unknown field " + field
	}
	return "this is not JSON"
}

// jsonKind says in words what Go or encoding/json calls a type.
func jsonKind(kind string) string {
	switch kind {
	case "slice", "array":
		return kindArray
	case "struct", "map", "object":
		return kindObject
	case "bool":
		return kindBool
	default:
		return "a " + kind
	}
}

// page reads after and limit. Positions are names in plain sight, not tokens to trust: a made-up one only starts the
// list elsewhere (threats G3).
func page(r *http.Request) (after string, limit int, err error) {
	limit = defaultLimit
	for name, values := range r.URL.Query() {
		switch {
		case len(values) != 1:
			return "", 0, invalid("%q is given more than once", name)
		case name == "after":
			after = values[0]
			if len(after) > maxAfter || !utf8.ValidString(after) || strings.ContainsFunc(after, unicode.IsControl) {
				return "", 0, invalid("after is not the name of a record")
			}
		case name == "limit":
			limit, err = strconv.Atoi(values[0])
			if err != nil || limit < 1 || limit > maxLimit {
				return "", 0, invalid("limit is a number from 1 to %d", maxLimit)
			}
		default:
			return "", 0, invalid("unknown query parameter %q; there are after and limit", name)
		}
	}
	return after, limit, nil
}
