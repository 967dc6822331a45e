package oauth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/ingam/ingam/storage"
)

const (
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" // RFC 7523 §2.2
	maxAssertion  = 8 << 10
	// maxAssertionLife bounds how far away exp may be, and so for how long a jti has to be remembered (threats C6).
	maxAssertionLife = 5 * time.Minute
	maxJTI           = 128
	// clockSkew is how far the clock of a client may be from ours.
	clockSkew = 60 * time.Second
)

// assertionCredentials reads the parameters of RFC 7521 §4.2. RFC 6749 §2.3: no second method may stand beside them.
func assertionCredentials(r *http.Request, form url.Values) (credentials, error) {
	shown := credentials{id: form.Get("client_id"), assertion: form.Get("client_assertion")}
	switch kind := form.Get("client_assertion_type"); {
	case len(r.Header.Values("Authorization")) > 0:
		return credentials{}, invalidRequest("Two client authentication methods at once: the Authorization header and " +
			"client_assertion (RFC 6749 section 2.3).")
	case form.Has("client_secret"):
		return credentials{}, invalidRequest("Two client authentication methods at once: client_secret and client_assertion " +
			"(RFC 6749 section 2.3).")
	case shown.assertion == "" || kind == "":
		return credentials{}, invalidRequest("client_assertion and client_assertion_type belong together (RFC 7521 section 4.2); " +
			"one of them is missing.")
	case kind != assertionType:
		e := errInvalidClient()
		e.Description = "The client_assertion_type must be " + assertionType + " (RFC 7523 section 2.2)."
		return credentials{}, e
	}
	// RFC 7521 §4.2: client_id is not needed, for the subject of the assertion names the client.
	if shown.id == "" {
		id, err := assertedClient(shown.assertion)
		if err != nil {
			e := errInvalidClient()
			e.Description = "The client_assertion names no client: " + err.Error() + "."
			return credentials{}, e
		}
		shown.id = id
	}
	return shown, nil
}

// assertedClient answers the client an assertion speaks of. Nothing is verified yet.
func assertedClient(assertion string) (string, error) {
	parts := strings.Split(assertion, ".")
	if len(parts) != 3 || len(assertion) > maxAssertion {
		return "", errors.New("it is not a JWS in compact form (RFC 7515 section 7.1)")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", errors.New("its payload is not base64url")
	}
	claims, err := readClaims(payload)
	if err != nil {
		return "", err
	}
	id, err := claims.text("sub")
	if err == nil && (id == "" || len(id) > maxLength["client_id"] || !cleanText(id)) {
		err = errors.New("its sub is missing or no client id")
	}
	return id, err
}

// verifyAssertion checks that the client's key has signed the assertion, for us, now, and that it is used for the first
// time (RFC 7523 §3, with the audience of RFC 7523bis). No client learns by it what another one has registered: only who
// has the key is told what is wrong with the rest.
func (e *Engine) verifyAssertion(ctx context.Context, registered storage.Client, assertion string, now time.Time) error {
	if len(assertion) > maxAssertion {
		return errInvalidClient().because(fmt.Errorf("the assertion is longer than %d bytes", maxAssertion))
	}
	payload, err := e.clients.open(ctx, registered, assertion, clientAlgorithms, "client-authentication+jwt")
	if err != nil {
		return errInvalidClient().because(fmt.Errorf("client assertion: %w", err))
	}
	jti, exp, err := checkAssertion(payload, e.cfg.Issuer, registered.ID, now)
	if err != nil {
		return wrongAssertion(err)
	}
	// Last, so that only a good assertion uses its jti up; in one step, so that of many nodes one serves it (threats C5). It
	// is remembered for longer than it is good for, since the clocks of nodes differ too.
	first, err := e.store.Remember(ctx, assertionMark(registered.ID, jti), exp.Add(2*clockSkew))
	if err != nil {
		return storeError(err)
	}
	if !first {
		return wrongAssertion(errors.New("it was used before: each needs a jti of its own"))
	}
	return nil
}

// wrongAssertion tells the owner of the key what is wrong.
func wrongAssertion(why error) error {
	e := errInvalidClient()
	e.Description = "The signature of the client_assertion is right, but " + why.Error() + " (RFC 7523 section 3)."
	return e.because(fmt.Errorf("client assertion: %w", why))
}

// assertionMark is the name under which a jti is remembered. Two clients may use the same one.
func assertionMark(clientID, jti string) string {
	digest := sha256.Sum256([]byte(strconv.Itoa(len(clientID)) + ":" + clientID + jti))
	return "assertion:" + hex.EncodeToString(digest[:])
}

// checkAssertion checks the claims (RFC 7523 §3).
func checkAssertion(payload []byte, issuer, clientID string, now time.Time) (jti string, exp time.Time, err error) {
	claims, err := readClaims(payload)
	if err != nil {
		return "", time.Time{}, err
	}
	// RFC 7523 §3, 1 and 2.B: both are the client.
	for _, name := range []string{"iss", "sub"} {
		if id, err := claims.text(name); err != nil || id != clientID {
			return "", time.Time{}, fmt.Errorf("its %s is not the client_id", name)
		}
	}
	// RFC 7523bis §4: one audience, and it is us. Of several, another could have got the assertion first and passed it on to
	// us (threats C7).
	audience, err := claims.list("aud")
	if err != nil || len(audience) != 1 || audience[0] != issuer && audience[0] != issuer+"/oauth2/token" {
		return "", time.Time{}, fmt.Errorf("its aud is not %s alone", issuer)
	}
	exp, err = claims.time("exp")
	switch {
	case err != nil:
		return "", time.Time{}, err
	case exp.IsZero():
		return "", time.Time{}, errors.New("it has no exp")
	case exp.After(now.Add(maxAssertionLife + clockSkew)):
		return "", time.Time{}, fmt.Errorf("its exp is more than %d minutes away", int(maxAssertionLife.Minutes()))
	}
	if err := claims.current(now); err != nil {
		return "", time.Time{}, err
	}
	jti, err = claims.text("jti")
	if err != nil || jti == "" || len(jti) > maxJTI {
		return "", time.Time{}, fmt.Errorf("its jti is not a text of 1 to %d bytes", maxJTI)
	}
	return jti, exp, nil
}
