// Package oidc is what OpenID Connect adds to the engine: the metadata documents by which clients configure
// themselves, the published keys, and the content of ID tokens.
//
// Metadata and keys are documents that change rarely and are asked for often, so they are rendered once and served as
// bytes. Only what works is announced: a client that reads the metadata never meets a 404.
package oidc
