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

// Signer signs ID tokens; *keys.Ring is one.
type Signer interface {
	// Sign answers a compact JWS of payload with that typ.
	Sign(ctx context.Context, typ string, payload []byte) (string, error)
}

// IDTokens makes ID tokens (OIDC Core §2). Safe for concurrent use.
type IDTokens struct {
	Issuer   string
	Lifetime time.Duration
	Keys     Signer
}

// scopeClaims are the claims that each scope asks for (OIDC Core §5.4); groups is what most relying parties expect.
var scopeClaims = map[string][]string{
	"profile": {
		"name", "family_name", "given_name", "middle_name", "nickname", "preferred_username", "profile", "picture",
		"website", "gender", "birthdate", "zoneinfo", "locale", "updated_at",
	},
	"email":   {"email", "email_verified"},
	"address": {"address"},
	"phone":   {"phone_number", "phone_number_verified"},
	"groups":  {"groups"},
}

// claimsSupported lists the claims an ID token may have, for the metadata.
func claimsSupported() []string {
	claims := []string{"iss", "sub", "aud", "exp", "iat", "auth_time", "acr", "amr", "at_hash", "sid"}
	for _, scope := range slices.Sorted(maps.Keys(scopeClaims)) {
		claims = append(claims, scopeClaims[scope]...)
	}
	return claims
}

// IDToken answers a signed ID token about the user for the client and the scopes of g. accessToken is the one issued
// in the same response (at_hash, OIDC Core §3.1.3.6); now becomes iat, while auth_time stays that of the sign-in, also
// at a refresh (§12.2).
func (t IDTokens) IDToken(
	ctx context.Context, g storage.Grant, u storage.User, accessToken string, now time.Time,
) (string, error) {
	claims := UserClaims(u, g.Scopes)
	maps.Copy(claims, map[string]any{
		"iss":       t.Issuer,
		"sub":       u.ID,
		"aud":       g.ClientID,
		"exp":       now.Add(t.Lifetime).Unix(),
		"iat":       now.Unix(),
		"auth_time": g.AuthTime.Unix(),
		"acr":       g.ACR,
		"amr":       g.AMR,
		"at_hash":   accessTokenHash(accessToken),
		"sid":       g.ID,
	})
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("ID token: %w", err)
	}
	token, err := t.Keys.Sign(ctx, "JWT", payload)
	if err != nil {
		return "", fmt.Errorf("sign ID token: %w", err)
	}
	return token, nil
}

// UserClaims answers the facts about a user that the scopes ask for (OIDC Core §5.4).
func UserClaims(u storage.User, scopes []string) map[string]any {
	claims := make(map[string]any)
	for _, scope := range scopes {
		for _, name := range scopeClaims[scope] {
			if value, ok := u.Claims[name]; ok {
				claims[name] = value
			}
		}
	}
	if slices.Contains(scopes, "profile") && claims["preferred_username"] == nil {
		claims["preferred_username"] = u.Username
	}
	return claims
}

// accessTokenHash is at_hash for the algorithms with SHA-256 (RS256, PS256, ES256): the left half of the digest.
func accessTokenHash(accessToken string) string {
	digest := sha256.Sum256([]byte(accessToken))
	return base64.RawURLEncoding.EncodeToString(digest[:len(digest)/2])
}
