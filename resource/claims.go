package resource

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// maxTime is the last second of the year 9999 in Unix time. A later exp is no
// time but a mistake, and would overflow when leeway is added.
const maxTime = 253402300799

// claimRules is what the claims of a token are compared with.
type claimRules struct {
	issuer      string
	audience    []string
	leeway      time.Duration
	maxLifetime time.Duration
}

// parseClaims reads a verified payload into an AccessToken. Names are compared
// exactly: SUB is another claim than sub, and no concern of ours.
func parseClaims(payload string) (*AccessToken, time.Time, error) {
	raw, ok := decode(payload)
	if !ok {
		return nil, time.Time{}, errBase64
	}
	// RFC 7519 §7.2: the claims are UTF-8. A decoder that repairs them would
	// turn two subjects into one.
	if !utf8.Valid(raw) {
		return nil, time.Time{}, errUTF8
	}
	t := &AccessToken{raw: string(raw)}
	var buf [manyMembers]member
	members, fault := parseObject(t.raw, buf[:0])
	switch fault {
	case jsonMalformed:
		return nil, time.Time{}, errClaimsJSON
	case jsonRepeatedName:
		return nil, time.Time{}, errClaimRepeated
	case jsonOK:
	}
	var notBefore time.Time
	var scope string
	for _, m := range members {
		var ok bool
		switch m.name {
		case "iss":
			t.Issuer, ok = stringOf(m.raw)
		case "sub":
			t.Subject, ok = stringOf(m.raw)
		case "aud":
			t.Audience, ok = audienceOf(m.raw)
		case "client_id":
			t.ClientID, ok = stringOf(m.raw)
		case "username":
			t.Username, ok = stringOf(m.raw)
		case "jti":
			t.ID, ok = stringOf(m.raw)
		case "sid":
			t.SessionID, ok = stringOf(m.raw)
		case "acr":
			t.ACR, ok = stringOf(m.raw)
		case "amr":
			t.AMR, ok = stringsOf(m.raw)
		case "scope":
			scope, ok = stringOf(m.raw)
		case "exp":
			t.ExpiresAt, ok = timeOf(m.raw)
		case "iat":
			t.IssuedAt, ok = timeOf(m.raw)
		case "nbf":
			notBefore, ok = timeOf(m.raw)
		case "auth_time":
			t.AuthTime, ok = timeOf(m.raw)
		case "cnf":
			// RFC 7800 §3.1: the presenter has to prove possession of a key,
			// which a bearer does not.
			return nil, time.Time{}, errBound
		default:
			continue
		}
		if !ok {
			return nil, time.Time{}, errClaimType
		}
	}
	if t.Scopes, ok = splitScope(scope); !ok {
		return nil, time.Time{}, errScope
	}
	return t, notBefore, nil
}

// check compares the claims with the rules at the moment now.
func (r *claimRules) check(t *AccessToken, notBefore, now time.Time) error {
	// RFC 9068 §2.2: these seven are required.
	if t.Issuer == "" || t.ExpiresAt.IsZero() || len(t.Audience) == 0 || t.Subject == "" ||
		t.ClientID == "" || t.IssuedAt.IsZero() || t.ID == "" {
		return errClaimMissing
	}
	// RFC 9068 §4: iss matches exactly, without normalization.
	if t.Issuer != r.issuer {
		return errIssuer
	}
	// RFC 9068 §4: aud contains an identifier of this resource. That others are
	// in it too is the authorization server's choice.
	if !r.accepts(t.Audience) {
		return errAudience
	}
	// RFC 7519 §4.1.4: on or after exp the token is no longer accepted.
	if !now.Before(t.ExpiresAt.Add(r.leeway)) {
		return errExpired
	}
	// RFC 7519 §4.1.5.
	if now.Add(r.leeway).Before(notBefore) {
		return errNotYetValid
	}
	if now.Add(r.leeway).Before(t.IssuedAt) {
		return errIssuedLater
	}
	// A token for years, or one that ended before it began, is a mistake of the
	// issuer that we do not want to live with.
	if life := t.ExpiresAt.Sub(t.IssuedAt); life <= 0 || life > r.maxLifetime {
		return errLifetime
	}
	return nil
}

func (r *claimRules) accepts(audience []string) bool {
	for _, ours := range r.audience {
		for _, theirs := range audience {
			if ours == theirs {
				return true
			}
		}
	}
	return false
}

// stringOf returns the value of a JSON string. parseObject has checked it.
func stringOf(raw string) (string, bool) {
	if raw[0] != '"' {
		return "", false
	}
	return unquote(raw)
}

// stringsOf returns the values of a JSON array of strings.
func stringsOf(raw string) ([]string, bool) {
	if raw[0] != '[' {
		return nil, false
	}
	p := jsonParser{text: raw}
	list, ok := make([]string, 0, 2), true
	p.array(maxDepth, func(item string) {
		s, isString := stringOf(item)
		list, ok = append(list, s), ok && isString
	})
	return list, ok
}

// audienceOf returns the value of aud, an array of strings or, for a sole
// audience, a string (RFC 7519 §4.1.3).
func audienceOf(raw string) ([]string, bool) {
	if raw[0] == '[' {
		return stringsOf(raw)
	}
	s, ok := stringOf(raw)
	return []string{s}, ok
}

// timeOf returns the value of a NumericDate, a JSON number of seconds since 1970
// that may have a fraction (RFC 7519 §2). Zero is refused: it would read as absent.
func timeOf(raw string) (time.Time, bool) {
	if seconds, err := strconv.ParseInt(raw, 10, 64); err == nil {
		return time.Unix(seconds, 0), 0 < seconds && seconds <= maxTime
	}
	if c := raw[0]; c != '-' && (c < '0' || '9' < c) {
		return time.Time{}, false
	}
	// ParseFloat fails on 1e400. Fractions round down to a microsecond.
	seconds, err := strconv.ParseFloat(raw, 64)
	if err != nil || seconds < 1 || seconds > maxTime {
		return time.Time{}, false
	}
	return time.UnixMicro(int64(seconds * 1e6)), true
}

// splitScope splits a scope at its single spaces and checks each token against
// the grammar of RFC 6749 §3.3. The empty scope has no tokens.
func splitScope(scope string) ([]string, bool) {
	if scope == "" {
		return nil, true
	}
	list := strings.Split(scope, " ")
	for _, token := range list {
		if !validScope(token) {
			return nil, false
		}
	}
	return list, true
}

// validScope reports whether s is one scope-token of RFC 6749 §3.3.
func validScope(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return s != ""
}
