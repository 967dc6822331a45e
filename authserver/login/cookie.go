package login

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"strings"
	"time"
)

// The names of the cookies. With https they have the prefix __Host-, which browsers grant only to a cookie of exactly
// this host (RFC 6265bis §4.1.3.2).
const (
	sessionCookie  = "ingam"
	browserCookie  = "ingam-browser"
	languageCookie = "ingam-language"
)

// secretBytes is 256 bits (row L2).
const secretBytes = 32

var encoding = base64.RawURLEncoding.Strict()

func (p *Pages) cookieName(name string) string {
	if p.secure {
		return "__Host-" + name
	}
	return name
}

// setCookie sets one of our cookies. Zero maxAge lets it end with the browser, a negative one deletes it.
//
// SameSite is Lax and not Strict: the way back from a client's page to the authorization endpoint must find the session.
func (p *Pages) setCookie(w http.ResponseWriter, name, value string, maxAge time.Duration) {
	seconds := int(maxAge / time.Second)
	if maxAge < 0 {
		seconds = -1
	}
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // Secure is set wherever the issuer is https; http is for a developer's machine
		Name: p.cookieName(name), Value: value, Path: "/", MaxAge: seconds,
		Secure: p.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// readCookie answers a cookie's value. The same name twice is somebody else's doing, and counts as none.
func (p *Pages) readCookie(r *http.Request, name string) string {
	found := r.CookiesNamed(p.cookieName(name))
	if len(found) != 1 {
		return ""
	}
	return found[0].Value
}

// parseSessionCookie splits "<session id>.<secret>".
func parseSessionCookie(value string) (id string, secret []byte, ok bool) {
	id, encoded, found := strings.Cut(value, ".")
	if !found || !isSessionID(id) {
		return "", nil, false
	}
	secret, err := encoding.DecodeString(encoded)
	return id, secret, err == nil && len(secret) == secretBytes
}

// isSessionID tells whether a stranger's text can be the id of a session: letters, digits, "-" and "_". The store is asked
// about nothing else.
func isSessionID(id string) bool {
	for _, c := range []byte(id) {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '-' && c != '_' {
			return false
		}
	}
	return id != "" && len(id) <= 128
}

// newSecret answers a session's secret for the cookie, and its hash for the store.
func newSecret() (encoded string, hash []byte) {
	secret := make([]byte, secretBytes)
	_, _ = rand.Read(secret)
	return encoding.EncodeToString(secret), hashSecret(secret)
}

func hashSecret(secret []byte) []byte {
	sum := sha256.Sum256(secret)
	return sum[:]
}

// csrfToken answers the anti-forgery token of this browser, and gives the browser a cookie if it has none.
func (p *Pages) csrfToken(w http.ResponseWriter, r *http.Request) string {
	browser := p.readCookie(r, browserCookie)
	if raw, err := encoding.DecodeString(browser); err != nil || len(raw) != 16 {
		fresh := make([]byte, 16)
		_, _ = rand.Read(fresh)
		browser = encoding.EncodeToString(fresh)
		p.setCookie(w, browserCookie, browser, 0)
	}
	return encoding.EncodeToString(mac(p.keys.Derive("csrf")[0], browser))
}

// csrfFits compares the token of a form with the browser's cookie.
func (p *Pages) csrfFits(r *http.Request, token string) bool {
	browser := p.readCookie(r, browserCookie)
	given, err := encoding.DecodeString(token)
	return err == nil && browser != "" && macFits(p.keys.Derive("csrf"), given, browser)
}

// mac is over parts, each with its length, so that no two lists of parts give the same bytes.
func mac(key []byte, parts ...string) []byte {
	h := hmac.New(sha256.New, key)
	var length [8]byte
	for _, part := range parts {
		for i := range length {
			length[i] = byte(uint64(len(part)) >> (8 * i))
		}
		h.Write(length[:])
		h.Write([]byte(part))
	}
	return h.Sum(nil)
}

func macFits(keys [][]byte, given []byte, parts ...string) bool {
	fits := 0
	for _, key := range keys {
		fits |= subtle.ConstantTimeCompare(given, mac(key, parts...))
	}
	return fits == 1
}
