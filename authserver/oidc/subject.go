package oidc

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"net/netip"
	"net/url"
	"strings"

	"github.com/ingam/ingam/storage"
)

// Purposes of derived secrets.
const (
	purposePairwise = "pairwise"
	purposeSID      = "sid"
	purposeLogout   = "logout"
)

// Deriver gives secrets of the server for a purpose; *keys.Ring is one.
type Deriver interface {
	// Derive answers at least one secret: the active one first, then the others, newest first.
	Derive(purpose string) [][]byte
}

// Subjects says under which names clients know users and sessions. Safe for concurrent use.
type Subjects struct{ Keys Deriver }

// subjectLength in characters of base32 is 130 bits.
const subjectLength = 26

// Subject answers the sub of a user for a client (OIDC Core §8): the id of the user, or for pairwise clients a name that
// clients of another sector do not know and that tells nothing about the user.
func (s Subjects) Subject(c storage.Client, userID string) string {
	if !c.Pairwise {
		return userID
	}
	// OIDC Core §8.1: calculated, never reassigned, not to be reversed.
	sum := mac(s.oldest(purposePairwise), Sector(c), userID)
	return "usr_" + strings.ToLower(base32.StdEncoding.EncodeToString(sum)[:subjectLength])
}

// SID answers the sid by which a client knows a browser session (OIDC Back-Channel Logout §2.1). Each client has its own, so
// that two of them cannot tell by it that they share a browser.
func (s Subjects) SID(sessionID, clientID string) string {
	return base64.RawURLEncoding.EncodeToString(mac(s.oldest(purposeSID), sessionID, clientID)[:16])
}

// oldest is the oldest live secret. Names must outlive a rotation: a client that gets another sub takes the person for
// somebody new. A new secret changes the first of the list and leaves the last alone, for as long as it is not forgotten.
func (s Subjects) oldest(purpose string) []byte {
	secrets := s.Keys.Derive(purpose)
	return secrets[len(secrets)-1]
}

// Sector is what pairwise names are made for (OIDC Core §8.1): the registered host, or the one host of all redirect URIs.
// Without one (several hosts, schemes of apps, loopback addresses, which all machines have) a client is a sector of its own.
func Sector(c storage.Client) string {
	if c.Sector != "" {
		return strings.ToLower(c.Sector)
	}
	host := ""
	for _, text := range c.RedirectURIs {
		u, err := url.Parse(text)
		if err != nil || u.Hostname() == "" || isLoopback(u.Hostname()) || host != "" && host != strings.ToLower(u.Hostname()) {
			host = ""
			break
		}
		host = strings.ToLower(u.Hostname())
	}
	if host == "" {
		return "client:" + c.ID // no host has a colon
	}
	return host
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// mac is HMAC-SHA256 over the parts, each with its length before it, so that no two lists of parts are the same bytes.
func mac(secret []byte, parts ...string) []byte {
	h := hmac.New(sha256.New, secret)
	var length [4]byte
	for _, part := range parts {
		binary.BigEndian.PutUint32(length[:], uint32(len(part)))
		h.Write(length[:])
		h.Write([]byte(part))
	}
	return h.Sum(nil)
}

// equalMAC compares in constant time.
func equalMAC(a, b []byte) bool { return hmac.Equal(a, b) }
