// Package oidc is what OpenID Connect adds to the engine: the metadata documents by which clients configure
// themselves, the published keys, the content of ID tokens, userinfo, and logout.
//
// Metadata and keys are documents that change rarely and are asked for often, so they are rendered once and served as
// bytes. Only what works is announced: a client that reads the metadata never meets a 404.
//
// # Logout
//
// A session ends in one place, [Logout.End]: whoever has to hear of it is written into the outbox of the store first, then
// the session goes. [Courier] takes the messages from there to the clients, also after a restart and also when another
// node wrote them. What the browser has to load itself (front-channel frames) is returned to the page that is shown.
package oidc
