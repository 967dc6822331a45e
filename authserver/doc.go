// Package authserver is Ingam's authorization server as an [http.Handler].
//
// [New] takes a [Config] and the rooms it depends on, and wires the rest: the OAuth engine (folder oauth, the only one
// that knows fosite), metadata, ID tokens and logout (oidc), the pages and browser sessions (login), passwords
// (credential), the admin API (admin), the client for addresses that clients registered (outbound) and the audit trail
// (audit). The routes are on one screen, in server.go.
//
// A [Server] owns no listener, and starts no goroutine that outlives a request: [Server.Run] has to run beside it, or no
// client is ever told of a logout. It is immutable and safe for concurrent use; only its readiness can be turned off
// ([Server.Drain]) before a process stops.
//
// There are two faces: the public one, [Server.ServeHTTP], and the internal one, [Server.Internal], for probes and
// administration, which belongs on a listener that only the operator reaches.
package authserver
