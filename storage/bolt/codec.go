package bolt

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/ingam/ingam/storage"
)

// Clients, users and keys rest as JSON, which every tool can read. Grants are decoded and encoded for each refresh of
// each session, in the one goroutine that writes, so they have a compact form of their own: the fields in the order
// below, numbers as varints, strings and lists with their length in front.
//
// The first byte is the version of this form. To add a field, append it at the end and read it only when bytes are
// left; an old record then has the zero value. To change anything else, take the next version and read both.
const grantForm = 1

func encodeGrant(g storage.Grant) []byte {
	b := make([]byte, 0, 256)
	b = append(b, grantForm)
	b = appendString(b, g.ID)
	b = appendString(b, g.ClientID)
	b = appendString(b, g.UserID)
	b = binary.AppendUvarint(b, g.UserEpoch)
	b = appendStrings(b, g.Scopes)
	b = appendStrings(b, g.Audience)
	b = appendString(b, string(g.Nonce))
	b = appendTime(b, g.AuthTime)
	b = appendStrings(b, g.AMR)
	b = appendString(b, g.ACR)
	b = binary.AppendUvarint(b, g.Generation)
	b = appendTime(b, g.RotatedAt)
	b = appendString(b, g.Attempt)
	b = appendTime(b, g.BornAt)
	b = appendTime(b, g.IdleExpiresAt)
	b = appendTime(b, g.ExpiresAt)
	var revoked uint64
	if g.Revoked {
		revoked = 1
	}
	b = binary.AppendUvarint(b, revoked)
	b = appendString(b, g.RevokedReason)

	b = appendString(b, g.SessionID)
	var bound uint64
	if g.SessionBound {
		bound = 1
	}
	b = binary.AppendUvarint(b, bound)
	b = appendString(b, g.RedirectURI)
	b = appendString(b, g.CodeChallenge)
	b = appendString(b, g.RequestNonce)
	b = appendStrings(b, g.UserInfoClaims)
	b = appendStrings(b, g.IDTokenClaims)
	var consented uint64
	if g.Consented {
		consented = 1
	}
	return binary.AppendUvarint(b, consented)
}

func decodeGrant(b []byte) (storage.Grant, error) {
	if len(b) == 0 || b[0] != grantForm {
		return storage.Grant{}, errors.New("bolt: decode grant: unknown form")
	}
	// One copy out of the database's memory; every string of the grant is a part of it.
	d := decoder{rest: string(b[1:])}
	g := storage.Grant{
		ID:            d.string(),
		ClientID:      d.string(),
		UserID:        d.string(),
		UserEpoch:     d.uvarint(),
		Scopes:        d.strings(),
		Audience:      d.strings(),
		Nonce:         []byte(d.string()),
		AuthTime:      d.time(),
		AMR:           d.strings(),
		ACR:           d.string(),
		Generation:    d.uvarint(),
		RotatedAt:     d.time(),
		Attempt:       d.string(),
		BornAt:        d.time(),
		IdleExpiresAt: d.time(),
		ExpiresAt:     d.time(),
		Revoked:       d.uvarint() == 1,
		RevokedReason: d.string(),
	}
	if d.rest != "" { // schema 1 had no more
		g.SessionID, g.SessionBound = d.string(), d.uvarint() == 1
		g.RedirectURI, g.CodeChallenge, g.RequestNonce = d.string(), d.string(), d.string()
		g.UserInfoClaims, g.IDTokenClaims = d.strings(), d.strings()
	}
	if d.rest != "" { // schema 2 began without it
		g.Consented = d.uvarint() == 1
	}
	if d.broken {
		return storage.Grant{}, errors.New("bolt: decode grant: cut short")
	}
	return g, nil
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// appendStrings keeps nil and empty apart, as JSON does.
func appendStrings(b []byte, list []string) []byte {
	if list == nil {
		return append(b, 0)
	}
	b = binary.AppendUvarint(b, uint64(len(list))+1)
	for _, s := range list {
		b = appendString(b, s)
	}
	return b
}

// appendTime keeps the instant, not the zone: all times come back in UTC.
func appendTime(b []byte, t time.Time) []byte {
	b = binary.AppendVarint(b, t.Unix())
	return binary.AppendUvarint(b, uint64(t.Nanosecond()))
}

func encodeTime(t time.Time) []byte { return appendTime(nil, t) }

func decodeTime(b []byte) (time.Time, error) {
	d := decoder{rest: string(b)}
	t := d.time()
	if d.broken {
		return time.Time{}, errors.New("bolt: decode time: cut short")
	}
	return t, nil
}

// decoder reads fields off the front of rest. After the first one that is not whole everything is zero.
type decoder struct {
	rest   string
	broken bool
}

func (d *decoder) uvarint() uint64 {
	var v uint64
	for i := 0; i < len(d.rest) && i < binary.MaxVarintLen64; i++ {
		c := d.rest[i]
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			d.rest = d.rest[i+1:]
			return v
		}
	}
	d.rest, d.broken = "", true
	return 0
}

func (d *decoder) string() string {
	n := d.uvarint()
	if n > uint64(len(d.rest)) {
		d.rest, d.broken = "", true
		return ""
	}
	s := d.rest[:n]
	d.rest = d.rest[n:]
	return s
}

func (d *decoder) strings() []string {
	n := d.uvarint()
	// Each string has at least one byte, so a length beyond that is nonsense that must not be allocated.
	if n == 0 || n-1 > uint64(len(d.rest)) {
		d.broken = d.broken || n != 0
		return nil
	}
	list := make([]string, n-1)
	for i := range list {
		list[i] = d.string()
	}
	return list
}

func (d *decoder) time() time.Time {
	u := d.uvarint()
	seconds := int64(u>>1) ^ -int64(u&1) // zigzag, as binary.AppendVarint writes it
	return time.Unix(seconds, int64(d.uvarint())).UTC()
}
