package credential

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"time"

	"github.com/ingam/ingam/storage"
)

// Rate is how often something may be tried: Burst times at once, then once more each Every. A rate of which one field
// is not positive means the default: no limit can be switched off by leaving it out.
type Rate struct {
	Burst int
	Every time.Duration
}

// GuessLimits are the budgets that one attempt to sign in is taken from. The zero value has the defaults.
//
// They count attempts, not failures: an attempt is counted before it is known how it ends, and given back when the
// password was right. So as many people as Address.Burst can sign in from one address at the same moment.
type GuessLimits struct {
	// Address is for all attempts from one address, whomever they are for: an IPv4 address, or the /64 of an IPv6
	// address. It stops one password being tried on many users. Default: 30, then one each 10 seconds.
	Address Rate
	// Device is for all attempts on one username from one subscriber, whether there is such a user or not: an IPv4 address,
	// or an IPv6 /56. It never has more than half of Account, nor refills faster than half as fast, whatever it says here, so
	// that one subscriber alone never empties that. Default: 10, then one each 2 minutes.
	Device Rate
	// Account is for all attempts on one username from wherever, but for devices from which the user has signed in within
	// the last 30 days (it can be up to 60: see devicePeriod). It stops many addresses trying one user. Default: 20, then
	// one each minute.
	Account Rate
	// Sustained is taken besides Account, and half of it, half as fast, besides Device: it is what makes the delay grow
	// for somebody who never stops. Default: 100 (NIST SP 800-63B-4 §3.2.2), then one each 15 minutes.
	Sustained Rate
}

func (r Rate) or(fallback Rate) Rate {
	if r.Burst <= 0 || r.Every <= 0 {
		return fallback
	}
	return r
}

func (g GuessLimits) withDefaults() GuessLimits {
	account := g.Account.or(Rate{20, time.Minute})
	return GuessLimits{
		Address:   g.Address.or(Rate{30, 10 * time.Second}),
		Device:    g.Device.or(Rate{10, 2 * time.Minute}).within(account.halved()),
		Account:   account,
		Sustained: g.Sustained.or(Rate{100, 15 * time.Minute}),
	}
}

// within is the smaller and the slower of two rates.
func (r Rate) within(other Rate) Rate {
	return Rate{min(r.Burst, other.Burst), max(r.Every, other.Every)}
}

// budgets are what one attempt takes, in that order: the address comes first, so that an address with nothing left
// can neither use up anybody's budget nor fill the store with usernames; and the device before the account, so that whoever
// is refused there takes nothing from other people.
func (g GuessLimits) budgets(address netip.Addr, account, device string, known bool) []storage.Budget {
	g = g.withDefaults()
	list := []storage.Budget{
		g.Address.budget("address/" + AddressPrefix(address)),
		g.Device.budget(device), g.Sustained.halved().budget("sustained/" + device),
	}
	if !known {
		list = append(list, g.Account.budget(account), g.Sustained.budget("sustained/"+account))
	}
	return list
}

func (r Rate) budget(key string) storage.Budget {
	return storage.Budget{Key: "guess/" + key, Burst: r.Burst, Every: r.Every}
}

// halved is half as much, half as fast.
func (r Rate) halved() Rate { return Rate{max(1, r.Burst/2), 2 * r.Every} }

// afterSuccess gives the address its unit back and empties the count of failures against the rest. What another
// address took is untouched if the sign-in came from a known device: it is not in the list.
func afterSuccess(spent []storage.Budget) []storage.Refund {
	refunds := []storage.Refund{{Budget: spent[0], Units: 1}}
	for _, b := range spent[1:] {
		refunds = append(refunds, storage.Refund{Budget: b, Units: b.Burst})
	}
	return refunds
}

// afterNothing gives back what an attempt took from a user though no password was compared. The address does not get
// its unit back: it is why the server was busy.
func afterNothing(spent []storage.Budget) []storage.Refund {
	var refunds []storage.Refund
	for _, b := range spent[1:] {
		refunds = append(refunds, storage.Refund{Budget: b, Units: 1})
	}
	return refunds
}

// accountKey is the one key of a username in whatever spelling. The store learns no names from it that are not users:
// people type passwords into the wrong field.
func accountKey(typed, canonical string) string {
	if canonical == "" {
		return "account/" + digestOf("no username", typed)
	}
	return "account/" + digestOf("username", canonical)
}

// deviceKey stands for a user at an address. owner is the user's id, which survives a new username, or the account
// key where there is no user.
func deviceKey(owner string, address netip.Addr) string {
	return "device/" + digestOf("device", owner, prefix(address, siteBits))
}

// digestOf is SHA-256 over the parts with their lengths, so that no two lists of parts are alike.
func digestOf(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		_, _ = fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// One network of IPv6 is a /64 (RFC 4291 §2.5.4). A home gets more than one of them, a /56 mostly (RFC 6177 §2).
const (
	networkBits = 64
	siteBits    = 56
)

// AddressPrefix is what one machine can be expected to hold: an IPv4 address, also one mapped into IPv6 (RFC 4291
// §2.5.5.2), or an IPv6 /64. Those without an address are taken for one.
func AddressPrefix(a netip.Addr) string { return prefix(a, networkBits) }

// prefix cuts an address of IPv6 to so many bits.
func prefix(a netip.Addr, bits int) string {
	if !a.IsValid() {
		return "none"
	}
	a = a.Unmap()
	if a.Is4() {
		return a.String()
	}
	return netip.PrefixFrom(a, bits).Masked().String() // which has no zone
}
