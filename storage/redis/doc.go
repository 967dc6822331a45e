// Package redis is the store for many nodes: any number of server processes share one Redis and behave as one.
//
// One grant is one key. Everything that decides about a grant (redeem, revoke) is one Lua script on that key, so that
// Redis, which runs one script at a time, is where all nodes agree, and Redis Cluster never needs two slots at once. The
// same holds for each entry, each budget and each mark. Users and their names must change together; they share one slot by a hash
// tag, and so do clients and their list. keys.go has every key, its type and its end of life; the scripts lie in
// scripts, one file each.
//
// What belongs to somebody is found by an index: the entries of an owner, the grants of a user. One server changes record
// and index in one script. In a cluster the index lives in another slot and is written first, so that what exists is in it;
// what it has too much is skipped by who reads, and goes in time (index.go).
//
// # What is decided where
//
// The scripts use the clock of Redis (TIME), so that nodes whose clocks differ decide alike. Expiry is decided by the
// times inside the record; Redis' own expiry only tidies up afterwards.
//
// The driver never sends a script twice: no retries, and [once] keeps the cluster client from it too. A lost reply is
// an unknown outcome, which the caller sees as a failure. When the caller asks again with the same attempt id the script
// recognises it and gives the same answer. Entries have no such id of the caller's: whoever asks again after a lost reply may
// hear that the entry exists, has changed or is gone, by their own doing.
//
// A redemption also says until when its caller waits, by the clock of Redis. One that was held up on the way and arrives
// later changes nothing: by then its caller has asked another node, and it would look like a thief's (clock.go).
//
// What is not there is looked at twice: where the whole store is gone, because somebody has emptied Redis, the answer is a
// failure and not "not found", which would make clients throw away what a backup brings back.
//
// # What costs how many round trips
//
// A redemption is one: the script and a look at the user travel together. In a cluster it is two, for grant and user live
// on different nodes, and under Replicated WAIT is one more. To make a grant, to make, replace or take an entry, and to read
// a grant with its user are one each, and two in a cluster (three to replace); a list of entries or grants is two. Entries
// are never remembered. What never changes in a grant, and the user as
// last seen, are remembered in this process ([Store.RecallGrant], [Store.RecallUser]); Rotate says when that was not good
// enough. Clients are remembered for up to [storage.ClientFreshness] and read again in the background before that ends.
//
// # What can be lost
//
// Redis acknowledges before other machines have a write. Durability says what this store waits for; ../PROMISES.md says
// what follows from it, with the tests that measured it. A redemption with Rotation.Fence is refused where the primary is
// not the one under which the grant was born ("master_replid", which changes with every failover and restart): what that
// primary knows may be older than what another one has acknowledged. Refresh tokens need no fence. Their successor is
// derived, so that two primaries at once give out the same one, never a fork; and a redemption that was forgotten shows
// when the successor is presented (storage.Ahead). A slot that moves to another node of a cluster fences the codes in it.
package redis
