// Package credential decides whether a password is right, at a price the server can afford.
//
// Everything that checks a password (the sign-in page, the password grant, a change of password, the admin API) calls
// [Authenticator.Authenticate] and nothing else, so that no path has limits of its own. It asks three questions, and
// their order is the security of the package:
//
//  1. May this guess be made at all? A unit each of the budgets of the address, of the account at that address, and of
//     the account is taken before anything is compared, and given back if the password was right. Counting first means
//     that two hundred guesses sent at once are two hundred guesses, not one. Budgets refill with time, and one address
//     alone never gets all of an account's, so nobody outside can lock a person out for ever; and an address from which
//     the person has signed in before takes nothing from the account's, so that many attackers elsewhere who empty it
//     do not lock out the person at home. Attempts that share a budget take turns, so that any number of right passwords
//     at once never finds it empty.
//  2. Is there room to compute? A password hash is slow on purpose: argon2id takes 19 MiB and some tens of
//     milliseconds. The [Hasher] computes a few at a time and lets a few wait for a moment; the rest get [ErrBusy].
//     Whoever gives up waiting frees nothing: the place belongs to the computation until it is done.
//  3. Does it match? One computation is made for every answer. A user that does not exist, is disabled, has no
//     password or has another one costs the same and gets the same [ErrInvalidCredentials].
//
// # What is stored
//
// New hashes are argon2id (RFC 9106) in the PHC string format: $argon2id$v=19$m=19456,t=2,p=1$salt$tag. Strings of
// other systems can be imported: argon2id, bcrypt and PBKDF2 in the spellings listed at [CheckHash]. When a sign-in
// proves the password of such a string, or of one with other parameters than today's, it is hashed anew and replaced.
// An imported string that costs more or less than today's hash shows in the time of a refusal until then.
//
// # What is compared
//
// Usernames by their canonical spelling, see [CanonicalUsername]. Passwords byte for byte as they arrive: nothing is
// trimmed, cut, or normalized, because an imported hash knows only the bytes it was made of.
package credential
