package credential

import (
	"net/http"
	"net/netip"
)

// ACRPassword is the authentication context class of a sign-in by password alone: one factor (OIDC Core §2, acr).
const ACRPassword = "1"

// RemoteAddress answers where a request comes from, for [Attempt] and for the audit. The server's middleware has put the
// real address into RemoteAddr.
func RemoteAddress(r *http.Request) netip.Addr {
	if ap, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		return ap.Addr().Unmap()
	}
	return netip.IPv4Unspecified() // a listener without addresses (a unix socket): everybody is one neighbour
}
