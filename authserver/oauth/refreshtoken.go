package oauth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"

	"github.com/ory/fosite"
	fositeoauth2 "github.com/ory/fosite/handler/oauth2"
)

// refreshTokens makes and reads refresh tokens:
//
//	rt_<grant id>.<generation>.<MAC>
//
// The MAC has two halves of 128 bits, both under a secret of the server. The first covers grant and generation and is
// checked before any I/O: a forged token costs an attacker a request and us two hashes. The second covers the
// nonce of the grant's record as well, so that neither the server's secret alone nor the store alone forges a token.
//
// It is fosite's RefreshTokenStrategy. Safe for concurrent use.
type refreshTokens struct {
	// secrets answers the server's MAC secrets, newest first.
	secrets func() [][]byte
}

var _ fositeoauth2.RefreshTokenStrategy = (*refreshTokens)(nil)

const (
	refreshPrefix = "rt_"
	macHalf       = 16
)

// refreshToken is a parsed token whose first half of the MAC was right.
type refreshToken struct {
	grantID    string
	generation uint64
	secret     []byte
	tail       []byte // the half that is checked against the grant's nonce
}

// derive answers the refresh token of a generation.
func derive(secret []byte, grantID string, generation uint64, nonce []byte) string {
	return refreshPrefix + deriveBare(secret, grantID, generation, nonce)
}

// deriveBare is a token without its prefix.
func deriveBare(secret []byte, grantID string, generation uint64, nonce []byte) string {
	mac := slices.Concat(head(secret, grantID, generation), tail(secret, grantID, generation, nonce))
	return grantID + "." + strconv.FormatUint(generation, 10) + "." + base64.RawURLEncoding.EncodeToString(mac)
}

// head is the half of the MAC that needs no record.
func head(secret []byte, grantID string, generation uint64) []byte {
	return truncatedMAC(secret, "head", grantID, generation, nil)
}

// tail is the half that covers the grant's nonce.
func tail(secret []byte, grantID string, generation uint64, nonce []byte) []byte {
	return truncatedMAC(secret, "tail", grantID, generation, nonce)
}

func truncatedMAC(secret []byte, half, grantID string, generation uint64, nonce []byte) []byte {
	h := hmac.New(sha256.New, secret)
	var number [8]byte
	binary.BigEndian.PutUint64(number[:], generation)
	h.Write([]byte(half)) // fixed length, as is the number: the input reads in one way only
	h.Write(number[:])
	binary.BigEndian.PutUint64(number[:], uint64(len(grantID)))
	h.Write(number[:])
	h.Write([]byte(grantID))
	h.Write(nonce)
	return h.Sum(nil)[:macHalf]
}

// parse reads a token and checks the first half of its MAC. ok is false for anything that this server did not make;
// it touches no store. Every spelling but the one that derive makes is refused.
func (s *refreshTokens) parse(token string) (t refreshToken, ok bool) {
	return parseDerived(token, refreshPrefix, s.secrets())
}

// parseDerived reads what deriveBare made with one of the secrets, behind a prefix.
func parseDerived(token, prefix string, secrets [][]byte) (t refreshToken, ok bool) {
	rest, ok := strings.CutPrefix(token, prefix)
	if !ok || len(token) > 256 {
		return t, false
	}
	grantID, rest, ok := strings.Cut(rest, ".")
	number, encoded, ok2 := strings.Cut(rest, ".")
	if !ok || !ok2 || grantID == "" {
		return t, false
	}
	generation, err := strconv.ParseUint(number, 10, 64)
	if err != nil || strconv.FormatUint(generation, 10) != number {
		return t, false
	}
	mac, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	// The decoder skips line breaks; encoding again is the test that does not.
	if err != nil || len(mac) != 2*macHalf || base64.RawURLEncoding.EncodeToString(mac) != encoded {
		return t, false
	}
	for _, secret := range secrets {
		if subtle.ConstantTimeCompare(mac[:macHalf], head(secret, grantID, generation)) == 1 {
			return refreshToken{grantID: grantID, generation: generation, secret: secret, tail: mac[macHalf:]}, true
		}
	}
	return t, false
}

// belongsTo checks the second half of the MAC against the nonce in the grant's record.
func (t refreshToken) belongsTo(nonce []byte) bool {
	return subtle.ConstantTimeCompare(t.tail, tail(t.secret, t.grantID, t.generation, nonce)) == 1
}

// RefreshTokenSignature answers the token itself: the store adapter parses it, nothing is kept under it.
func (s *refreshTokens) RefreshTokenSignature(_ context.Context, token string) string { return token }

// GenerateRefreshToken answers the successor of the presented generation (for a new sign-in: generation 1), or ""
// for a client that is not registered for refreshing, which fosite then leaves out.
func (s *refreshTokens) GenerateRefreshToken(_ context.Context, request fosite.Requester) (string, string, error) {
	sess := request.GetSession().(*session)
	if !slices.Contains(sess.client.GrantTypes, grantRefreshToken) {
		return "", "", nil
	}
	secret := sess.secret
	if secret == nil {
		secret = s.secrets()[0]
	}
	token := derive(secret, sess.grant.ID, sess.presented+1, sess.grant.Nonce)
	return token, token, nil
}

// ValidateRefreshToken has nothing left to do: GetRefreshTokenSession has checked everything.
func (s *refreshTokens) ValidateRefreshToken(context.Context, fosite.Requester, string) error {
	return nil
}
