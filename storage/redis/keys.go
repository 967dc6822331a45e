package redis

import (
	"encoding/hex"
	"strings"

	"github.com/ingam/ingam/storage/internal/record"
)

// schema is the version of the layout below. Raise it when an older program would misread the data, and teach
// upgrade the way up.
//
//	1  the first one
//	2  entries, and the indexes; a program of schema 1 would leave both out of a copy, and know nothing of the session that
//	   ends a grant
const schema = 2

// names makes every key of the store. All begin with the prefix of the configuration.
//
//	meta               HASH    schema, store (random id), created, importing (1 while an         no end
//	                           import has not come to its end)
//	ring               HASH    version, record (JSON of storage.KeyRing), attempt                no end
//	{clients}:id:ID    HASH    version, record (JSON of storage.Client), attempt                 no end
//	{clients}:list     ZSET    the ids, all with score 0: in order of bytes                      no end
//	{users}:id:ID      HASH    version, record (JSON of storage.User), username, epoch,          no end
//	                           disabled (0|1), attempt
//	{users}:name:NAME  STRING  the id                                                            no end
//	{users}:list       ZSET    the usernames, all with score 0: in order of bytes                no end
//	grant:ID           HASH    record (JSON of storage.Grant as it was born), generation,        a minute after its own
//	                           rotated, attempt, idle, ends, revoked (the reason), fence,
//	                           creation; times in µs since 1970
//	budget:HASH        STRING  when it is full again, in µs since 1970                           a second after that
//	mark:HASH          STRING  its end in µs since 1970, a space, the attempt that made it       a second after that
//	entry:KIND:ID      HASH    record (JSON of storage.Entry; owner and version are those of     a minute after its own,
//	                           the fields), owner, version, end (µs since 1970, +inf for never),  if it has one
//	                           attempt
//	owned:KIND:OWNER   ZSET    of each entry of the owner "ID ATTEMPT", scored by its end        a minute after the last of
//	                           (µs since 1970, +inf for never)                                   them
//	grants-of:USER     ZSET    of each grant of the user "ID ATTEMPT", scored by its absolute    a minute after the last of
//	                           end (µs since 1970)                                               them
//
// The last two are indexes (index.go). A colon in a KIND is written %3A, and % is %25, so that no two entries share a key.
//
// HASH is the SHA-256 of the key of a budget or a mark in hexadecimal: what strangers send, a password typed into the
// wrong field perhaps, never reaches Redis, and no key is endless. A record's ID and NAME are as they are, any text.
type names struct{ prefix string }

func (n names) meta() string                { return n.prefix + "meta" }
func (n names) ring() string                { return n.prefix + "ring" }
func (n names) client(id string) string     { return n.prefix + "{clients}:id:" + id }
func (n names) clientList() string          { return n.prefix + "{clients}:list" }
func (n names) user(id string) string       { return n.prefix + "{users}:id:" + id }
func (n names) username(name string) string { return n.prefix + "{users}:name:" + name }
func (n names) userList() string            { return n.prefix + "{users}:list" }
func (n names) grant(id string) string      { return n.prefix + "grant:" + id }
func (n names) budget(key string) string    { return n.budgetHash(hashed(key)) }
func (n names) mark(key string) string      { return n.markHash(hashed(key)) }

func (n names) entry(kind, id string) string {
	return n.prefix + "entry:" + escapeKind(kind) + ":" + id
}

func (n names) owned(kind, owner string) string {
	return n.prefix + "owned:" + escapeKind(kind) + ":" + owner
}
func (n names) grantsOf(user string) string { return n.prefix + "grants-of:" + user }

// escapeKind keeps a colon for where the kind ends.
func escapeKind(kind string) string { return kindEscaper.Replace(kind) }

var kindEscaper = strings.NewReplacer("%", "%25", ":", "%3A")

func (n names) budgetHash(hash []byte) string { return n.prefix + "budget:" + hex.EncodeToString(hash) }

func (n names) markHash(hash []byte) string { return n.prefix + "mark:" + hex.EncodeToString(hash) }

func hashed(key string) []byte {
	hash := record.HashKey(key)
	return hash[:]
}
