package oauth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"unicode/utf8"
)

// ServeLogin answers POST /login with a JSON body {"username","password"}: the password grant for the one client
// named by Config.FirstPartyClient, in the form that a first-party front end finds handiest. Wrong credentials are
// 401; everything else is as at the token endpoint, guess limits included.
func (e *Engine) ServeLogin(w http.ResponseWriter, r *http.Request) {
	form, err := e.readLogin(w, r)
	if err != nil {
		e.writeError(w, r, err)
		return
	}
	c, err := e.firstParty(r.Context())
	if err != nil {
		e.writeError(w, r, err)
		return
	}
	r = r.WithContext(context.WithValue(r.Context(), firstPartyKey{}, c))
	r.PostForm, r.Form = form, form
	body, err := e.issue(r)
	if err != nil {
		answer := toError(err)
		if answer.Code == "invalid_grant" {
			// RFC 9110 §15.5.2 wants a challenge. Basic would open the browser's own dialog.
			answer.Status, answer.Challenge = http.StatusUnauthorized, bearerChallenge
		}
		e.writeError(w, r, answer)
		return
	}
	writeJSON(w, http.StatusOK, body)
}

// firstParty answers the client that POST /login signs in for.
func (e *Engine) firstParty(ctx context.Context) (*client, error) {
	off := &Error{
		Code: "invalid_request", Status: http.StatusNotFound,
		Description: "POST /login is off: no first_party_client is configured. Use POST /oauth2/token.",
	}
	if e.cfg.FirstPartyClient == "" {
		return nil, off
	}
	registered, err := e.store.Client(ctx, e.cfg.FirstPartyClient)
	if err != nil {
		return nil, ifNotFound(err, off)
	}
	return &client{registered}, nil
}

// readLogin reads the JSON body into the parameters of a password grant. It has the same gate as readForm.
func (e *Engine) readLogin(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	if err := refuseQuery(r.URL.RawQuery); err != nil {
		return nil, err
	}
	if err := requireContentType(r, "application/json"); err != nil {
		return nil, err
	}
	body, err := readBody(w, r)
	if err != nil {
		return nil, err
	}
	members, err := stringMembers(body)
	// RFC 8259 §8.1: JSON is UTF-8. The decoder would put U+FFFD in the place of what is not.
	if err != nil || !utf8.Valid(body) {
		return nil, invalidRequest(`The body must be one JSON object like {'username': '...', 'password': '...'}, ` +
			"with strings for values and each name once.")
	}
	form := url.Values{"grant_type": {grantPassword}, "client_id": {e.cfg.FirstPartyClient}}
	for _, name := range []string{"username", "password", "scope"} {
		value := members[name]
		if err := checkValues(name, []string{value}); err != nil {
			return nil, err
		}
		if value != "" {
			form.Set(name, value)
		}
	}
	return form, nil
}

// errMembers is any reason why stringMembers refuses.
var errMembers = errors.New("not an object of strings with distinct names")

// stringMembers decodes one JSON object strictly: a repeated name is as ambiguous as a repeated parameter, and is
// refused; encoding/json would take the last one. Members that are not strings are an error only under names we read.
func stringMembers(body []byte) (map[string]string, error) {
	dec := json.NewDecoder(bytes.NewReader(body))
	if tok, err := dec.Token(); err != nil || tok != json.Delim('{') {
		return nil, errMembers
	}
	members, seen := map[string]string{}, map[string]bool{}
	for dec.More() {
		tok, err := dec.Token()
		name, ok := tok.(string)
		if err != nil || !ok || seen[name] || len(seen) >= maxParameters {
			return nil, errMembers
		}
		seen[name] = true
		var value any
		if err := dec.Decode(&value); err != nil {
			return nil, errMembers
		}
		text, ok := value.(string)
		if !ok && (name == "username" || name == "password" || name == "scope") {
			return nil, errMembers
		}
		members[name] = text
	}
	if _, err := dec.Token(); err != nil {
		return nil, errMembers
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errMembers
	}
	return members, nil
}
