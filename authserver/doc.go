// Package authserver is Ingam's authorization server as an [http.Handler].
//
// [New] takes a [Config] and the rooms it depends on, and wires the rest: the OAuth engine (folder oauth, the only one
// that knows fosite), metadata and ID tokens (oidc), passwords (credential), the admin API (admin) and the audit
// trail (audit). The routes are on one screen, in server.go.
//
// A [Server] owns no listener and no goroutine. It is immutable and safe for concurrent use; only its readiness can be
// turned off ([Server.Drain]) before a process stops.
//
// There are two faces: the public one, [Server.ServeHTTP], and the internal one, [Server.Internal], for probes and
// administration, which belongs on a listener that only the operator reaches.
package authserver
