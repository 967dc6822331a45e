// Package oauth is the OAuth 2.0 engine of the authorization server: the authorization, token, pushed request, revocation
// and introspection endpoints and POST /login. It is the only package that knows the library github.com/ory/fosite.
//
// # How an authorization request is answered
//
// [Engine.ServeAuthorize] reads the request (authorization.go: the client, then what a pushed request or a request object
// puts in the place of the parameters), validates it (validate.go: the redirect URI first, since until it is known to be
// right every error is a page), and decides (authorize.go): the person signs in, chooses, allows, or the client gets a code
// or an error. What people see is behind [Pages]. The address of the request is all the state there is; forms lead back to
// it with a proof of what was done, which counts once and for that request, session and browser.
//
// A code is generation 0 of the grant that is stored for it (code.go). A redemption by its client that fails
// burns it, whatever was wrong.
//
// # How a token request travels
//
// Every endpoint for programs begins with [readForm] (the token endpoint with [readTokenForm]), which refuses what RFC 6749
// forbids before anything is looked up: another method or content type, a body over 64 KiB, repeated parameters,
// credentials in the query. Then
// fosite parses and authenticates (our [Engine.authenticateClient]) and asks its one TokenEndpointHandler, our
// [router], which
//
//  1. lets the stock handler of that grant check its part,
//  2. grants scopes and audience,
//  3. lets it make the tokens: access token (RFC 9068), refresh token, ID token, and
//  4. commits last: one atomic verb of the store. A signer that fails therefore burns nothing.
//
// fosite's stock handlers also call a "storage" to create, read and delete token sessions. Ours keeps none of
// them: what a request needs travels in its [session], and what outlives it is one [storage.Grant].
//
// # Refresh tokens
//
// A refresh token is rt_<grant>.<generation>.<MAC>, derived and never stored; see [refreshTokens]. Rotation, the grace
// window and the end of a reused family are decided by the store in one step ([storage.Grants.Rotate]).
//
// # Errors
//
// Every failure leaves by [Engine.writeError], as the document of RFC 6749 §5.2. An [Error] pairs each code with its
// status once. A failure of the store is 503, never invalid_grant and never active:false: a client must not
// throw its tokens away because a disk was full.
//
// # Divergences
//
//   - fosite's authorization endpoint is not used, and its PKCE handler neither: the first decides otherwise than the
//     specifications at nearly every line, the second forgets the challenge before it has checked the verifier.
//   - RFC 9101 §5 lets only what is in a request object count; OIDC Core §6.1 lets parameters stand beside it. Clients that
//     are registered with require_signed_request_object get the first, others the second.
//   - The exp of a request object (RFC 7519 §4.1.4) bounds when the request comes. Who then signs in or consents has ten
//     minutes for that, see requestobject_seen.go.
//   - OIDC Core §3.1.2.1 has scopes that are not understood ignored at the authorization endpoint; the token endpoint
//     refuses them (RFC 6749 §5.2).
//   - RFC 6749 §3.2 lets a token endpoint ignore unknown parameters in its query; we do, but refuse known ones there.
//   - RFC 9700 §2.4 forbids the password grant. It is served only to clients that are registered for it, because moving
//     an existing application to a redirect-based sign-in takes time; new clients should not be registered for it.
//   - RFC 6749 §5.2 answers a client_id that is unknown with 401 also where the client did not use the Authorization
//     header; we add WWW-Authenticate: Basic in both cases.
package oauth
