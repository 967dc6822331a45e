package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/ingam/ingam/storage"
)

// maxUserInfoBody is far more than an access token.
const maxUserInfoBody = 64 << 10

// Tokens knows access tokens; *oauth.Engine does.
type Tokens interface {
	// Identify answers the grant, the user, the client and the scopes of an access token that is good now, storage.ErrNotFound
	// for any other, and every other error when it could not find out.
	Identify(ctx context.Context, token string) (storage.Grant, storage.User, storage.Client, []string, error)
}

// UserInfo is the userinfo endpoint (OIDC Core §5.3). Safe for concurrent use.
type UserInfo struct {
	Issuer   string
	Tokens   Tokens
	Keys     Signer
	Subjects Subjects
	// Log receives failures; nil discards.
	Log *slog.Logger
}

// bearerRefusal is a refusal of RFC 6750 §3. code is "" where no token was shown: then nothing is wrong but that.
type bearerRefusal struct {
	status            int
	code, description string
	scope             string
}

func malformed(description string) *bearerRefusal {
	return &bearerRefusal{status: http.StatusBadRequest, code: "invalid_request", description: description}
}

// ServeUserInfo answers GET and POST /userinfo.
func (i UserInfo) ServeUserInfo(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store") // also of refusals
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodPost {
		w.Header().Set("Allow", "GET, HEAD, POST") // RFC 9110 §15.5.6
		writeBearerError(w, http.StatusMethodNotAllowed, "method_not_allowed", "This address takes GET and POST.")
		return
	}
	token, refusal := bearerToken(w, r)
	if refusal != nil {
		i.refuse(w, refusal)
		return
	}
	g, u, c, scopes, err := i.Tokens.Identify(r.Context(), token)
	switch {
	case storage.IsFailure(err):
		i.unavailable(w, r, err)
	case err != nil, g.UserID == "" && slices.Contains(scopes, "openid"):
		i.refuse(w, &bearerRefusal{
			status: http.StatusUnauthorized, code: "invalid_token",
			description: "The access token is not one of this server, has expired, or was revoked.",
		})
	// OIDC Core §5.3.1: the token comes from an OpenID Connect request.
	case !slices.Contains(scopes, "openid"):
		i.refuse(w, &bearerRefusal{
			status: http.StatusForbidden, code: "insufficient_scope", scope: "openid",
			description: "Userinfo is for tokens with the scope openid.",
		})
	default:
		i.answer(w, r, g, u, c, scopes)
	}
}

// answer tells what the scopes and the claims parameter have asked for.
func (i UserInfo) answer(
	w http.ResponseWriter, r *http.Request, g storage.Grant, u storage.User, c storage.Client, scopes []string,
) {
	claims := UserClaims(u, scopes)
	for name, value := range askedClaims(u, c, g.UserInfoClaims) {
		claims[name] = value
	}
	// OIDC Core §5.3.2: sub always, and the same as in the ID token.
	claims["sub"] = i.Subjects.Subject(c, u.ID)
	var body []byte
	contentType := "application/json"
	var err error
	if c.UserInfoAlg != "" {
		// OIDC Core §5.3.2: signed answers have iss and aud.
		claims["iss"], claims["aud"] = i.Issuer, c.ID
		var token string
		token, err = signJSON(r.Context(), i.Keys, typJWT, claims)
		body, contentType = []byte(token), "application/jwt"
	} else {
		body, err = json.Marshal(claims)
	}
	if err != nil {
		i.unavailable(w, r, err)
		return
	}
	writeBody(w, r, http.StatusOK, contentType, body)
}

// bearerToken finds the access token of a request (RFC 6750 §2). A client must use one way only.
func bearerToken(w http.ResponseWriter, r *http.Request) (string, *bearerRefusal) {
	// RFC 9700 §4.3.2: a token in an address ends up in logs and histories. (What cannot be parsed may hold one as well.)
	if query, err := url.ParseQuery(r.URL.RawQuery); err != nil || query.Has("access_token") {
		return "", malformed("Send the access token in the Authorization header or in the body, never in the address.")
	}
	var found []string
	headers := r.Header.Values("Authorization")
	if len(headers) > 1 {
		return "", malformed("There are several Authorization headers; send one.")
	}
	if len(headers) == 1 {
		// RFC 9110 §11.1: the scheme is compared without case. Another scheme shows no token.
		if scheme, token, _ := strings.Cut(headers[0], " "); strings.EqualFold(scheme, "Bearer") {
			found = append(found, strings.Trim(token, " "))
		}
	}
	if r.Method == http.MethodPost {
		inBody, refusal := tokensOfForm(w, r)
		if refusal != nil {
			return "", refusal
		}
		found = append(found, inBody...)
	}
	switch {
	case len(found) == 0:
		return "", &bearerRefusal{
			status: http.StatusUnauthorized, description: "Send an access token in the Authorization header, with the scheme Bearer.",
		}
	case len(found) > 1:
		return "", malformed("The access token is there more than once; send it in one way only (RFC 6750 section 2).")
	case !isB64Token(found[0]):
		return "", malformed("The access token is empty or has characters that no token has (RFC 6750 section 2.1).")
	}
	return found[0], nil
}

// tokensOfForm answers the access tokens of a form in the body (RFC 6750 §2.2). Another kind of body has none.
func tokensOfForm(w http.ResponseWriter, r *http.Request) ([]string, *bearerRefusal) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" {
		return nil, nil
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxUserInfoBody))
	if err != nil {
		return nil, malformed("The body is too large or broke off.")
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, malformed("The body is not a form.")
	}
	return form["access_token"], nil
}

// isB64Token checks the characters of RFC 6750 §2.1.
func isB64Token(token string) bool {
	rest := strings.TrimRight(token, "=")
	return rest != "" && !strings.ContainsFunc(rest, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("-._~+/", c)
	})
}

// refuse writes the challenge of RFC 6750 §3 and the same as JSON.
func (UserInfo) refuse(w http.ResponseWriter, refusal *bearerRefusal) {
	challenge := `Bearer realm="userinfo"`
	code := refusal.code
	if code == "" {
		code = "unauthorized" // in the body only: the challenge of a request without a token has no error (RFC 6750 §3.1)
	} else {
		challenge += `, error="` + code + `", error_description="` + refusal.description + `"`
	}
	if refusal.scope != "" {
		challenge += `, scope="` + refusal.scope + `"`
	}
	w.Header().Set("WWW-Authenticate", challenge)
	writeBearerError(w, refusal.status, code, refusal.description)
}

// unavailable says that the token could not be judged or the answer not be made. There is no challenge: another token
// would not help.
func (i UserInfo) unavailable(w http.ResponseWriter, r *http.Request, err error) {
	if i.Log != nil && !errors.Is(err, context.Canceled) {
		i.Log.ErrorContext(r.Context(), "userinfo failed", "error", err)
	}
	w.Header().Set("Retry-After", "1")
	writeBearerError(w, http.StatusServiceUnavailable, "temporarily_unavailable", "The server cannot answer right now. Try again in a moment.")
}

// writeBearerError sends the JSON form of an error. Both texts are ours.
func writeBearerError(w http.ResponseWriter, status int, code, description string) {
	body, _ := json.Marshal(map[string]string{"error": code, "error_description": description}) // two strings always have a JSON form
	writeBody(w, nil, status, "application/json", body)
}

// writeBody sends a whole answer; r may be nil.
func writeBody(w http.ResponseWriter, r *http.Request, status int, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r == nil || r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client has gone; nobody is left to tell
	}
}
