package oidc

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ingam/ingam/storage"
)

// endSessionLimits are the parameters of OIDC RP-Initiated Logout §2 and how many bytes each may have. Others are ignored.
// Together they stay far below what a browser takes for an address.
var endSessionLimits = map[string]int{
	"id_token_hint":            8192,
	"logout_hint":              1024,
	"client_id":                255,
	"post_logout_redirect_uri": 2048,
	"state":                    2048,
	"ui_locales":               512,
}

// maxEndSession bounds the whole request.
const maxEndSession = 64 << 10

func wrongMethod() Refusal {
	return Refusal{Status: http.StatusMethodNotAllowed, Code: "invalid_request", Description: "This address takes GET and POST."}
}

func storeRefusal() Refusal {
	return Refusal{
		Status: http.StatusServiceUnavailable, Code: "temporarily_unavailable", RetryAfter: time.Second,
		Description: "The server cannot answer right now. Try again in a moment.",
	}
}

func badParameter(name, value, description string) *Refusal {
	return &Refusal{
		Status: http.StatusBadRequest, Code: "invalid_request", Description: description, Parameter: name, Value: value,
	}
}

// endSessionParams reads the parameters of a logout request: of the query of a GET or the form of a POST.
func endSessionParams(w http.ResponseWriter, r *http.Request) (map[string]string, *Refusal) {
	text := r.URL.RawQuery
	switch r.Method {
	case http.MethodGet:
	case http.MethodPost:
		media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil || media != "application/x-www-form-urlencoded" {
			return nil, &Refusal{
				Status: http.StatusUnsupportedMediaType, Code: "invalid_request",
				Description: "A logout request by POST is a form (application/x-www-form-urlencoded).",
			}
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxEndSession))
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return nil, &Refusal{
				Status: http.StatusRequestEntityTooLarge, Code: "invalid_request",
				Description: fmt.Sprintf("The request is longer than %d bytes.", maxEndSession),
			}
		}
		if err != nil {
			return nil, badParameter("", "", "The request broke off.")
		}
		text = string(body)
	default: // HEAD as well: looking must not sign anybody out
		w.Header().Set("Allow", "GET, POST") // RFC 9110 §15.5.6
		refusal := wrongMethod()
		return nil, &refusal
	}
	if len(text) > maxEndSession {
		return nil, badParameter("", "", fmt.Sprintf("The request is longer than %d bytes.", maxEndSession))
	}
	form, err := url.ParseQuery(text)
	if err != nil {
		return nil, badParameter("", "", "The parameters of the request are not encoded as those of a form.")
	}
	return strictParams(form)
}

// strictParams takes each known parameter at most once, as text of a sensible length. Without a value it is as if left out.
func strictParams(form url.Values) (map[string]string, *Refusal) {
	params := make(map[string]string)
	for name, limit := range endSessionLimits {
		values := form[name]
		if len(values) > 1 {
			return nil, badParameter(name, "", "The parameter is there more than once.")
		}
		if len(values) == 0 || values[0] == "" {
			continue
		}
		switch value := values[0]; {
		case len(value) > limit:
			return nil, badParameter(name, "", fmt.Sprintf("The parameter is longer than %d bytes.", limit))
		case !utf8.ValidString(value):
			return nil, badParameter(name, "", "The parameter is not text in UTF-8.")
		default:
			params[name] = value
		}
	}
	return params, nil
}

// hint is what an ID token says that a client shows.
type hint struct {
	Issuer    string `json:"iss"`
	Subject   string `json:"sub"`
	Audience  string `json:"aud"`
	SID       string `json:"sid"`
	ExpiresAt int64  `json:"exp"`
}

// readHint answers what an ID token of ours says (OIDC RP-Initiated Logout §4): also one that has expired, and one by a key
// that is retired. Access tokens and logout tokens have another typ, signed userinfo has no exp.
func (l *Logout) readHint(token string) (hint, error) {
	payload, err := l.Keys.Verify(token, typJWT)
	if err != nil {
		return hint{}, err
	}
	var h hint
	if err := json.Unmarshal(payload, &h); err != nil {
		return hint{}, err
	}
	if h.Issuer != l.Issuer || h.Subject == "" || h.Audience == "" || h.ExpiresAt == 0 {
		return hint{}, errors.New("it is not an ID token of this server")
	}
	return h, nil
}

// understand checks a request and answers what it comes to. A hint that is not ours proves nothing, so nothing of the
// request is followed: not even the client is named to the person who is asked.
func (l *Logout) understand(ctx context.Context, params map[string]string) (ticket, *Refusal) {
	t := ticket{Expires: time.Now().Add(ticketLifetime).Unix(), Locales: strings.Fields(params["ui_locales"])}
	clientID := params["client_id"]
	if token := params["id_token_hint"]; token != "" {
		h, err := l.readHint(token)
		if err != nil {
			l.log().InfoContext(ctx, "logout request with an id_token_hint that is not ours", "reason", err)
			return t, nil
		}
		// OIDC RP-Initiated Logout §2: when both are present, the OP must verify that they match.
		if clientID != "" && clientID != h.Audience {
			return t, badParameter("id_token_hint", "", "The client_id is not the client that the id_token_hint was issued to.")
		}
		clientID, t.Subject, t.SID = h.Audience, h.Subject, h.SID
	}
	if clientID == "" {
		return t, nil // §3: nobody to check an address against, so there is no redirect
	}
	c, err := l.Store.Client(ctx, clientID)
	switch {
	case storage.IsFailure(err):
		l.log().ErrorContext(ctx, "logout failed", "error", err)
		refusal := storeRefusal()
		return t, &refusal
	case err != nil && t.Subject != "": // the client was removed; its old tokens prove nothing any more
		return ticket{Expires: t.Expires, Locales: t.Locales}, nil
	case err != nil:
		return t, badParameter("client_id", clientID, "There is no client with this client_id.")
	}
	t.ClientID = c.ID
	if uri := params["post_logout_redirect_uri"]; uri != "" {
		// §3: exactly one that is registered, compared character by character.
		if !slices.Contains(c.PostLogoutRedirectURIs, uri) {
			refusal := badParameter("post_logout_redirect_uri", uri,
				"The post_logout_redirect_uri is not registered for this client, character by character.")
			refusal.Client = c
			return t, refusal
		}
		t.RedirectURI, t.State = uri, params["state"]
	}
	return t, nil
}

// ticketLifetime is how long a question may stay open.
const ticketLifetime = 10 * time.Minute

// ticket is a logout request that was checked. It travels through the browser under a MAC, so that nothing has to be stored.
type ticket struct {
	ClientID    string `json:"c,omitempty"`
	RedirectURI string `json:"r,omitempty"`
	State       string `json:"s,omitempty"`
	// Subject and SID are those of a valid hint; a form has none.
	Subject string `json:"sub,omitempty"`
	SID     string `json:"sid,omitempty"`
	// SessionID is the session that a form is about; only a form has one.
	SessionID string   `json:"session,omitempty"`
	Locales   []string `json:"l,omitempty"`
	Expires   int64    `json:"exp"`
}

func (t ticket) expiry() time.Time { return time.Unix(t.Expires, 0) }

// target is where to go afterwards, with the state as the only addition (OIDC RP-Initiated Logout §3); "" is nowhere.
func (t ticket) target() string {
	if t.RedirectURI == "" || t.State == "" {
		return t.RedirectURI
	}
	return withQuery(t.RedirectURI, "state", t.State)
}

// seal makes the text of a ticket.
func (l *Logout) seal(t ticket) string {
	payload, _ := json.Marshal(t) // strings and a number always have a JSON form
	text := base64.RawURLEncoding.EncodeToString(payload)
	return text + "." + base64.RawURLEncoding.EncodeToString(mac(l.Keys.Derive(purposeLogout)[0], text))
}

// open is the way back. Whether the ticket has expired is for the caller to say.
func (l *Logout) open(sealed string) (ticket, bool) {
	text, sum, _ := strings.Cut(sealed, ".")
	given, err := base64.RawURLEncoding.DecodeString(sum)
	if err != nil || !slices.ContainsFunc(l.Keys.Derive(purposeLogout), func(secret []byte) bool {
		return equalMAC(mac(secret, text), given)
	}) {
		return ticket{}, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return ticket{}, false
	}
	var t ticket
	if err := json.Unmarshal(payload, &t); err != nil {
		return ticket{}, false
	}
	return t, true
}
