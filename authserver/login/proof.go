package login

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/ingam/ingam/storage"
)

// ProofParameter is what a form's redirect adds to the authorization request.
const ProofParameter = "ingam_proof"

// proofLifetime is how long the way from the form back to the authorization endpoint may take.
const proofLifetime = 10 * time.Minute

// What a proof is of.
const (
	proofIn     = "in"     // signed in for this request
	proofChosen = "chosen" // chose the account for this request
)

// Proven tells what the person has done since the request came, as far as the proof shows it. It binds to the session
// as it was right after that act, and to the request: neither another browser's nor another request's counts (row A17).
func (p *Pages) Proven(s storage.Session, continueURL, proof string) Proven {
	kind, rest, _ := strings.Cut(proof, ".")
	expiry, rest, _ := strings.Cut(rest, ".")
	nonce, encoded, _ := strings.Cut(rest, ".")
	if kind != proofIn && kind != proofChosen || s.ID == "" {
		return Proven{}
	}
	seconds, err := strconv.ParseInt(expiry, 10, 64)
	if err != nil {
		return Proven{}
	}
	until := time.Unix(seconds, 0)
	given, err := encoding.DecodeString(encoded)
	if err != nil || !macFits(p.keys.Derive("sign-in proof"), given, proofParts(kind, s, continueURL, expiry, nonce)...) {
		return Proven{}
	}
	if !time.Now().Before(until) {
		return Proven{}
	}
	sum := sha256.Sum256([]byte(proof))
	return Proven{
		SignedIn: kind == proofIn, Chosen: true,
		Mark: "sign-in proof:" + hex.EncodeToString(sum[:]), Until: until,
	}
}

// prove makes the proof of an act that happened now. It has a nonce: two acts of the same second, like a button that is
// clicked twice, are two, and each counts once.
func (p *Pages) prove(kind string, s storage.Session, continueURL string) string {
	expiry := strconv.FormatInt(time.Now().Add(proofLifetime).Unix(), 10)
	nonce := rand.Text()
	sum := mac(p.keys.Derive("sign-in proof")[0], proofParts(kind, s, continueURL, expiry, nonce)...)
	return kind + "." + expiry + "." + nonce + "." + encoding.EncodeToString(sum)
}

func proofParts(kind string, s storage.Session, continueURL, expiry, nonce string) []string {
	request := sha256.Sum256([]byte(withoutParameter(continueURL, ProofParameter)))
	return []string{kind, s.ID, string(s.SecretHash), string(request[:]), expiry, nonce}
}

// account is where a person goes who comes from nowhere.
const account = "/account"

// authorize begins every other address that a form may lead to.
const authorize = "/oauth2/auth?"

// safeContinue answers where a form leads: the authorization request it names, or the account page. Nothing else is an
// address here, whatever a stranger has put into the field (row A3).
func safeContinue(given string) string {
	if !strings.HasPrefix(given, authorize) {
		return account
	}
	for _, c := range []byte(given) {
		// RFC 3986 §2: an address is printable ASCII. A fragment would swallow what is added.
		if c <= ' ' || c >= 0x7f || c == '\\' || c == '#' {
			return account
		}
	}
	return given
}

// requestOf is safeContinue without a proof of before: what happens next is proved anew.
func requestOf(given string) string { return withoutParameter(safeContinue(given), ProofParameter) }

// withoutParameter cuts a parameter out of path and query, and leaves every other byte as it is.
func withoutParameter(address, name string) string {
	path, query, found := strings.Cut(address, "?")
	if !found {
		return address
	}
	kept := make([]string, 0, 16)
	for part := range strings.SplitSeq(query, "&") {
		key, _, _ := strings.Cut(part, "=")
		if plain, err := url.QueryUnescape(key); err == nil && plain == name {
			continue
		}
		kept = append(kept, part)
	}
	return path + "?" + strings.Join(kept, "&")
}

// goOn sends the browser back to the request, with the proof of what was done, or to the account page.
func (p *Pages) goOn(w http.ResponseWriter, kind string, s storage.Session, continueURL string) {
	if strings.HasPrefix(continueURL, authorize) {
		continueURL += "&" + ProofParameter + "=" + p.prove(kind, s, continueURL)
	}
	p.redirect(w, continueURL)
}

// redirect goes to an address of this server. RFC 9700 §4.12: 303, so that no form is sent twice.
func (p *Pages) redirect(w http.ResponseWriter, address string) {
	p.protect(w, policy{})
	// Browsers heed this in a redirect as well (HTML Living Standard §7.1.3), and the way may lead on in an app's popup.
	w.Header().Del("Cross-Origin-Opener-Policy")
	w.Header().Set("Location", p.base+address)
	w.WriteHeader(http.StatusSeeOther)
}
