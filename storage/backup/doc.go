// Package backup writes and reads all that a store keeps as lines of JSON, and tells whether two stores keep the same.
//
// # The form
//
//	{"ingam_backup":2,"time":"2026-11-24T12:00:00Z","source":"bolt"}     the header
//	{"user":{…}}                                                         one record a line, in any order
//	{"end":{"counts":{…},"digest":"…","sha256":"…"}}                     the last line
//
// Form 2 came with entries. Form 1 is read as well; programs that know form 1 only refuse a newer one by name.
//
// A backup without its last line was cut off. The digest is that of [Tally]; sha256 is that of all bytes before the last
// line, so that nothing in a file can change without being seen. Neither is a signature: whoever can write the file can
// make another that fits. A backup holds hashes of passwords and sealed keys, so it belongs into a file that only its
// owner can read.
//
// # Comparing
//
// Stores yield their records in no order, so the [Digest] of a store does not depend on one: it is the sum of the
// SHA-256 of each record in a canonical form, modulo 2^256. [Compare] leaves out what ends while it looks.
package backup
