// Package bolt is the embedded store: one file, one process, no server beside it.
//
// The file is a go.etcd.io/bbolt database, a B+ tree that is copied on write: a transaction writes new pages, calls
// fsync, then flips one small meta page and calls fsync again. A crash at any moment leaves the state before or after
// the flip, so there is no log to replay and nothing to repair. Readers see a snapshot and never wait for the writer.
//
//	store, err := bolt.Open(ctx, filepath.Join(dataDir, "ingam.db"), bolt.Options{})
//	if err != nil { … }
//	defer store.Close()
//
// # Writing
//
// The fsync is the price of a write, and it is paid once for everybody who waits: one goroutine, the writer, takes
// whatever verbs are queued when it becomes free and runs them one after the other in a single transaction. There is
// no timer, so a lone write never waits for company. See writer.go, and the rule there: a verb decides, then writes.
//
// Everything that decides goes through the writer, also when it changes nothing in the end (a replayed refresh token,
// an empty budget). A reader could see a transaction whose fsync has not returned yet; the writer cannot, so it never
// confirms what a power cut may still take back. A batch in which nothing was written costs no fsync.
//
// # What is found by whom
//
// Grants are found by their user, and entries by their owner, through rows in buckets of their own that are written in
// the very transaction that writes the record: there is no moment at which one is there without the other. See grantsof.go
// and entries.go.
//
// # When the disk fails
//
// A full disk is an error for the caller and nothing more: reads go on, and so do writes once there is space again.
// After any other error of a commit, a failed fsync above all, nobody knows what is on the disk, and asking again may
// even report success for pages the kernel has thrown away. The store then takes no more writes and [Store.Ping]
// fails; the way out is a restart, which reads what is truly there.
//
// # Files
//
// The file is made complete under another name, synced and only then given its name, so that a crash leaves either no
// store or a whole one. It is readable by its owner only: Open takes rights away from a file that grants more. It
// makes the folder (0700) if there is none, but leaves the rights of an existing folder to whoever made it.
//
// A file of an older schema is brought up when it is opened, in one transaction: schema 2 has entries, and the grants of a
// user. Grants of schema 1 are read as they are. There is no way back: an older program refuses the file, because at a
// refresh it would drop what it does not know of a grant.
package bolt
