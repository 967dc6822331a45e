package oidc

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/ingam/ingam/storage"
)

// typJWT is the typ of ID tokens and of signed userinfo.
const typJWT = "JWT"

// Signer signs tokens; *keys.Ring is one.
type Signer interface {
	// Sign answers a compact JWS of payload with that typ.
	Sign(ctx context.Context, typ string, payload []byte) (string, error)
}

// IDTokens makes ID tokens (OIDC Core §2). Safe for concurrent use.
type IDTokens struct {
	Issuer   string
	Lifetime time.Duration
	Keys     Signer
	Subjects Subjects
}

// IDToken answers a signed ID token about the user u for the client c, as far as g goes. accessToken is the one issued in
// the same response (at_hash, OIDC Core §3.1.3.6); nonce is that of the authorization request, "" for none (§3.1.2.1); now
// becomes iat, while auth_time stays that of the sign-in, also at a refresh (§12.2).
//
// Where there is a userinfo endpoint to ask, it tells what the scopes ask for, and the token has only what was asked for it
// by name (§5.4, §5.5). Password grants have had it in the token from the beginning and keep it there.
func (t IDTokens) IDToken(
	ctx context.Context, g storage.Grant, u storage.User, c storage.Client, nonce, accessToken string, now time.Time,
) (string, error) {
	var claims map[string]any
	if g.RedirectURI != "" {
		claims = askedClaims(u, c, g.IDTokenClaims)
	} else {
		claims = UserClaims(u, g.Scopes)
	}
	sid := g.ID
	if g.SessionID != "" {
		sid = t.Subjects.SID(g.SessionID, g.ClientID)
	}
	maps.Copy(claims, map[string]any{
		"iss":       t.Issuer,
		"sub":       t.Subjects.Subject(c, u.ID),
		"aud":       g.ClientID,
		"exp":       now.Add(t.Lifetime).Unix(),
		"iat":       now.Unix(),
		"auth_time": g.AuthTime.Unix(),
		"at_hash":   accessTokenHash(accessToken),
		"sid":       sid,
	})
	if g.ACR != "" {
		claims["acr"] = g.ACR
	}
	if len(g.AMR) > 0 {
		claims["amr"] = g.AMR
	}
	if nonce != "" {
		claims["nonce"] = nonce
	}
	token, err := signJSON(ctx, t.Keys, typJWT, claims)
	if err != nil {
		return "", fmt.Errorf("ID token: %w", err)
	}
	return token, nil
}

// signJSON signs claims.
func signJSON(ctx context.Context, keys Signer, typ string, claims map[string]any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	return keys.Sign(ctx, typ, payload)
}

// accessTokenHash is at_hash for the algorithms with SHA-256 (RS256, PS256, ES256): the left half of the digest.
func accessTokenHash(accessToken string) string {
	digest := sha256.Sum256([]byte(accessToken))
	return base64.RawURLEncoding.EncodeToString(digest[:len(digest)/2])
}

// claimsSupported lists the claims that tokens and userinfo may have, for the metadata.
func claimsSupported() []string {
	claims := []string{"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "at_hash", "sid"}
	for _, scope := range slices.Sorted(maps.Keys(scopeClaims)) {
		claims = append(claims, scopeClaims[scope]...)
	}
	return claims
}
