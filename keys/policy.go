package keys

import (
	"cmp"
	"slices"
	"time"

	"github.com/ingam/ingam/storage"
)

// State is where a key is in its life; the package comment draws it.
type State string

// The states of a key, in order.
const (
	// StateNext: published, does not sign yet.
	StateNext State = "next"
	// StateActive: signs (a "sig" key), or is what new secrets are derived from (a "mac" key).
	StateActive State = "active"
	// StateRetired: does not sign any more, still published and accepted.
	StateRetired State = "retired"
	// StateForgotten: neither published nor accepted.
	StateForgotten State = "forgotten"
)

// plan is what a ring means at one moment. Keys are named by kid.
type plan struct {
	signing   string    // the one key that signs; "" if there is none
	published []string  // the "sig" keys in the JWKS, newest first
	secrets   []string  // the live "mac" keys: the active one, then the others, newest first
	until     time.Time // the plan holds before this moment; zero: for ever
}

// policy decides what the ring's keys are for at the time now. It is pure, so that nodes with one ring and one clock
// agree without talking, and rotation can be tested as arithmetic:
//
//   - active is the newest key of its use with ActivateAt ≤ now < RetireAt and now < ForgetAt;
//   - published (accepted) is every key with now < ForgetAt, from the moment it is in the ring.
//
// A key that was superseded goes on being published: only ForgetAt ends that.
func policy(keys []storage.SealedKey, now time.Time) plan {
	var p plan
	keys = slices.SortedFunc(slices.Values(keys), newestFirst)
	active := ""
	for _, k := range keys {
		for _, change := range []time.Time{k.ActivateAt, k.RetireAt, k.ForgetAt} {
			if change.After(now) && (p.until.IsZero() || change.Before(p.until)) {
				p.until = change
			}
		}
		if !acceptedAt(k, now) {
			continue
		}
		switch k.Use {
		case useSign:
			p.published = append(p.published, k.ID)
			if p.signing == "" && activeAt(k, now) {
				p.signing = k.ID
			}
		case useMAC:
			// A secret that is not active yet must be accepted already: another node's clock may be ahead.
			if active == "" && activeAt(k, now) {
				active = k.ID
				p.secrets = slices.Insert(p.secrets, 0, k.ID)
			} else {
				p.secrets = append(p.secrets, k.ID)
			}
		}
	}
	return p
}

// state names where k is under the plan p, which was made for the time now.
func (p plan) state(k storage.SealedKey, now time.Time) State {
	isActive := k.ID == p.signing
	if k.Use == useMAC {
		isActive = len(p.secrets) > 0 && k.ID == p.secrets[0] && activeAt(k, now)
	}
	switch {
	case !acceptedAt(k, now):
		return StateForgotten
	case isActive:
		return StateActive
	case now.Before(k.ActivateAt):
		return StateNext
	default:
		return StateRetired
	}
}

// acceptedAt: zero ForgetAt means never.
func acceptedAt(k storage.SealedKey, now time.Time) bool {
	return k.ForgetAt.IsZero() || now.Before(k.ForgetAt)
}

// activeAt tells whether k's turn has come and is not over. The zero ActivateAt lies before any now.
func activeAt(k storage.SealedKey, now time.Time) bool {
	return acceptedAt(k, now) && !now.Before(k.ActivateAt) && (k.RetireAt.IsZero() || now.Before(k.RetireAt))
}

// newestFirst orders by creation; the kid decides between equals, so that all nodes have one order.
func newestFirst(a, b storage.SealedKey) int {
	return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(a.ID, b.ID))
}
