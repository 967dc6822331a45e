package oauth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// seenParam is what the address of a request with a request object gets when the object has been found good. An object may
// be good for seconds only (exp), and a person takes longer than that to sign in and to read what they are asked. So it is
// judged as it was when it came, as a pushed request is, for as long as one of those waits for the person.
const seenParam = "ingam_seen"

// seenFirst answers as of when the request object of a request is judged, and what goes into its address: what was in it if
// that is right, or that it came now.
func (e *Engine) seenFirst(a *authorization, given string, now time.Time) (asOf time.Time, seen string) {
	stamp, encoded, _ := strings.Cut(given, ".")
	mac, err := base64.RawURLEncoding.DecodeString(encoded)
	nanoseconds, err2 := strconv.ParseInt(stamp, 10, 64)
	for _, secret := range e.keys.Derive("request object") {
		if err != nil || err2 != nil || !hmac.Equal(mac, seenMAC(secret, a.query, stamp)) {
			continue
		}
		first := time.Unix(0, nanoseconds)
		if now.Before(first.Add(consentLifetime)) {
			return first, given
		}
		return now, given // what was proved for this address stays good
	}
	stamp = strconv.FormatInt(now.UnixNano(), 10)
	return now, stamp + "." + base64.RawURLEncoding.EncodeToString(seenMAC(e.keys.Derive("request object")[0], a.query, stamp))
}

// seenMAC binds a time to a request. The query has the client and the object in it.
func seenMAC(secret []byte, query url.Values, stamp string) []byte {
	h := hmac.New(sha256.New, secret)
	_, _ = h.Write([]byte(stamp + "." + query.Encode())) // never fails
	return h.Sum(nil)
}
