// Package storage says what an Ingam server keeps and what a store promises about it.
//
// A [Store] is a handful of small roles: [Clients], [Users], [Grants], [KeyRings], [Limits], [Entries] and [Transfer]. Their
// methods are atomic verbs, not create-read-update-delete: wherever a decision depends on what is stored, the reading, the
// deciding and the writing are one call, so that any number of goroutines and server processes agree on one outcome.
//
// The heart is the [Grant]: one sign-in of one user at one client, and the only unit of atomicity. Refresh tokens are
// not stored. They are generations of their grant, derived from it by the engine; [Grants.Rotate] moves the
// generation on and is the one place where "used once" is decided. A store therefore holds one small record for each
// sign-in, however often it is refreshed.
//
// What a room above keeps for itself is an [Entry]: a browser session, a consent, a pushed request, a message to be sent. The
// store knows whose it is and when it ends, compares its version and gives it away once; it does not look inside, so that
// a room that needs a new kind of record changes no store. The rooms see them through typed views: [Sessions], [Consents],
// [PushedRequests] and [Outbox].
//
// Where several nodes share a store, a node may remember what it has read. Only two methods answer from such a memory,
// [Grants.RecallGrant] and [Users.RecallUser], and only for callers that rotate afterwards: [Grants.Rotate] looks at the
// grant and at its user as they are, so an old memory can cost a second question and never decides anything.
//
// # What every store promises
//
//   - Safe for concurrent use. What a method returned or was given may be changed by the caller: stores keep bytes.
//   - Expired means not found, to the millisecond, whether or not it was swept yet.
//   - A method that returns an error has changed nothing, with one exception: where the error is a failure of the
//     store itself (anything but this package's sentinels) the outcome is unknown, and asking again settles it.
//   - When a method returned nil, its effect survives a crash of the process (not so in storage/memory, which is
//     for tests). The exceptions are Spend and Refund: a crash may forget what was spent in the last second, so that
//     counting guesses costs no sync of a disk.
//
// Ids and usernames are UTF-8 of 1 to 4,096 bytes. Creating a record under any other is refused as a failure; looking
// one up is ErrNotFound.
//
// The sentinels ([ErrNotFound] and its neighbours) are answers. Every other error is a failure of the store, and
// callers must answer it with 503, never with "not found": see [IsFailure].
//
// Implementations live in the folders below, one for each technology, and each passes the whole of
// storage/storagetest. This package imports the standard library only.
package storage
