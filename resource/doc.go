// Package resource lets a Go API accept the access tokens of an OAuth 2.0
// authorization server: JWTs as RFC 9068 profiles them, presented as RFC 6750
// bearer tokens.
//
// # The path most readers need
//
// Make one [Verifier] when the program starts, wrap the handlers that need a
// token, and read the token from the request's context:
//
//	verifier, err := resource.New(resource.Config{
//		Issuer:   "https://id.example.com",
//		Audience: []string{"https://api.example.com"},
//	})
//	...
//	defer verifier.Close()
//	http.Handle("GET /notes", verifier.Require("notes.read")(notes))
//
// Inside the handler, [TokenFromContext] returns the [AccessToken]. Use
// Issuer and Subject together as the key of a person: a subject alone means
// nothing outside its issuer.
//
// # Who is calling
//
// A token speaks for a person or for a client. Our authorization server gives
// the tokens of the client_credentials grant a sub equal to their client_id,
// and takes user ids from another namespace, so that no client can be
// registered under the id of a person (RFC 9700 §4.15). [AccessToken.IsClient]
// tells them apart. A resource server that looks users up by sub and serves
// several issuers has to ask it first.
//
// # What is checked
//
// The cheap checks come first and the signature in the middle, so that garbage
// costs microseconds: size, compact form, canonical base64url, the names in the
// header, alg against the configured list, typ, kid; then the signature; then
// UTF-8, the claims that RFC 9068 §2.2 requires, iss, aud and the times. What
// the token says about how to verify itself (jwk, jku, x5u, crit …) is refused
// rather than ignored, and so are repeated names and repeated headers: two
// readers of one token must never read two different things.
//
// # Two ways to fail
//
// An error of [Verifier.Verify] wraps [ErrInvalidToken] when the token is bad:
// 401, and the client needs another token. It wraps [ErrKeysUnavailable] when
// this server has no keys to judge by: 503, and the client should come back
// with the same token. [Verifier.Require] answers both as RFC 6750 §3 says.
//
// # Keys
//
// [RemoteKeySet] keeps the issuer's JWK set in memory and refreshes it in the
// background, so that no request normally waits for the network. An
// unknown kid asks for a refresh at most once in thirty seconds, whoever sends
// it; a bad signature under a known kid never does. When the issuer is away,
// the last good set serves for up to a day. A token once verified is remembered
// until it expires or its key leaves the set, which makes the second look at it
// some forty times cheaper than the first.
//
// # What it does not do
//
// It does not ask the authorization server about each token: a revoked token
// is accepted until it expires, so keep access tokens short-lived. It does not
// accept tokens in a query or a form, nor tokens bound to a key (cnf) that the
// caller has not proved to hold. It speaks neither introspection (RFC 7662) nor
// DPoP (RFC 9449).
package resource
