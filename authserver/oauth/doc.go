// Package oauth is the OAuth 2.0 engine of the authorization server: the token, revocation and introspection
// endpoints and POST /login. It is the only package that knows the library github.com/ory/fosite.
//
// # How a token request travels
//
// Every endpoint begins with [readForm], which refuses what RFC 6749 forbids before anything is looked up: another
// method or content type, a body over 64 KiB, repeated parameters, credentials in the query. Then
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
//   - RFC 6749 §3.2 lets a token endpoint ignore unknown parameters in its query; we do, but refuse known ones there.
//   - RFC 9700 §2.4 forbids the password grant. It is served only to clients that are registered for it, because moving
//     an existing application to a redirect-based sign-in takes time; new clients should not be registered for it.
//   - RFC 6749 §5.2 answers a client_id that is unknown with 401 also where the client did not use the Authorization
//     header; we add WWW-Authenticate: Basic in both cases.
package oauth
