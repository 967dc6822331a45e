package resource

import "errors"

var (
	// ErrInvalidToken is wrapped by every error that is the token's fault.
	// The answer is 401 with error="invalid_token" (RFC 6750 §3.1).
	ErrInvalidToken = errors.New("invalid token")

	// ErrKeysUnavailable is wrapped by every error that is ours: there are no
	// keys to judge the token by. The answer is 503, since another token would
	// fare no better.
	ErrKeysUnavailable = errors.New("signing keys unavailable")

	// ErrUnknownKey is what a [KeySet] returns when it has keys and none of
	// them is the one asked for. Verify turns it into an invalid token.
	ErrUnknownKey = errors.New("unknown signing key")
)

// InvalidTokenError says why a token was refused. It wraps [ErrInvalidToken].
type InvalidTokenError struct {
	// Reason is an English fragment from a closed list. It holds nothing of the
	// token, so that it may be shown to the client and used as a metric label.
	Reason string
}

// Error returns "invalid token: " and the reason.
func (e *InvalidTokenError) Error() string { return ErrInvalidToken.Error() + ": " + e.Reason }

// Unwrap returns [ErrInvalidToken].
func (e *InvalidTokenError) Unwrap() error { return ErrInvalidToken }

// The closed list of reasons. Only characters that RFC 6750 §3 allows in
// error_description appear in them: no quotes and no backslash.
var (
	errTooLong        = reason("the token is longer than 8 KiB")
	errNotCompact     = reason("the token is not a signed JWT in compact form")
	errBase64         = reason("a part of the token is not canonical base64url")
	errHeaderJSON     = reason("the header is not a JSON object of strings")
	errHeaderRepeated = reason("the header repeats a name")
	errHeaderName     = reason("the header has a name other than alg, typ and kid")
	errAlgorithm      = reason("the alg is not accepted here")
	errType           = reason("the typ is not at+jwt")
	errKeyID          = reason("the kid is missing or malformed")
	errUnknownKey     = reason("no published key has this kid")
	errKeyMismatch    = reason("the key is not for this alg")
	errSignature      = reason("the signature does not verify")
	errUTF8           = reason("the claims are not valid UTF-8")
	errClaimsJSON     = reason("the claims are not a JSON object")
	errClaimRepeated  = reason("the claims repeat a name")
	errClaimType      = reason("a claim has the wrong type")
	errClaimMissing   = reason("a required claim is missing or empty")
	errBound          = reason("the token is bound to a key and not a bearer token")
	errIssuer         = reason("the token is from another issuer")
	errAudience       = reason("the token is for another audience")
	errExpired        = reason("the token has expired")
	errNotYetValid    = reason("the token is not valid yet")
	errIssuedLater    = reason("the token was issued in the future")
	errLifetime       = reason("the lifetime of the token is not plausible")
	errScope          = reason("the scope is malformed")
)

func reason(text string) *InvalidTokenError { return &InvalidTokenError{Reason: text} }
