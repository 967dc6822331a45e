package authserver_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/ingam/ingam/authserver"
)

func trusting(prefixes ...string) option {
	return func(c *authserver.Config, _ *authserver.Dependencies) {
		for _, p := range prefixes {
			c.TrustedProxies = append(c.TrustedProxies, netip.MustParsePrefix(p))
		}
	}
}

// logged answers the address under which the server logged its last request.
func (r *rig) logged() string {
	r.t.Helper()
	lines := strings.Split(strings.TrimSpace(r.logs.String()), "\n")
	var line struct{ Remote string }
	must(r.t, json.Unmarshal([]byte(lines[len(lines)-1]), &line))
	if ap, err := netip.ParseAddrPort(line.Remote); err == nil {
		return ap.Addr().String()
	}
	return line.Remote
}

// L9
func TestForwardedAddressesCountOnlyAsFarAsTrustedProxiesVouchForThem(t *testing.T) {
	r := newRig(t, trusting("10.0.0.0/8", "2001:db8:aaaa::/48", "127.0.0.1/32"))
	for name, c := range map[string]struct {
		peer      string
		forwarded []string
		want      string
	}{
		"no proxy":                     {"192.0.2.1:4711", nil, "192.0.2.1"},
		"a stranger who claims":        {"192.0.2.1:4711", []string{"203.0.113.5"}, "192.0.2.1"},
		"a stranger who claims ours":   {"192.0.2.1:4711", []string{"10.0.0.1"}, "192.0.2.1"},
		"one proxy":                    {"10.0.0.1:4711", []string{"203.0.113.5"}, "203.0.113.5"},
		"one proxy, spoofed left":      {"10.0.0.1:4711", []string{"198.51.100.1, 203.0.113.5"}, "203.0.113.5"},
		"two proxies":                  {"10.0.0.1:4711", []string{"203.0.113.5, 10.0.0.2"}, "203.0.113.5"},
		"two proxies, spoofed left":    {"10.0.0.1:4711", []string{"10.9.9.9, 203.0.113.5,10.0.0.2"}, "203.0.113.5"},
		"two headers":                  {"10.0.0.1:4711", []string{"198.51.100.1", "203.0.113.5"}, "203.0.113.5"},
		"two headers, inner proxy":     {"10.0.0.1:4711", []string{"198.51.100.1, 203.0.113.5", "10.0.0.2"}, "203.0.113.5"},
		"all trusted":                  {"10.0.0.1:4711", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		"no header":                    {"10.0.0.1:4711", nil, "10.0.0.1"},
		"empty header":                 {"10.0.0.1:4711", []string{""}, "10.0.0.1"},
		"nonsense":                     {"10.0.0.1:4711", []string{"203.0.113.5, unknown"}, "10.0.0.1"},
		"nonsense behind a proxy":      {"10.0.0.1:4711", []string{"localhost, 10.0.0.2"}, "10.0.0.2"},
		"IPv6":                         {"[2001:db8:aaaa::1]:4711", []string{"2001:db8:bbbb::7"}, "2001:db8:bbbb::7"},
		"IPv6 stranger":                {"[2001:db8:cccc::1]:4711", []string{"2001:db8:bbbb::7"}, "2001:db8:cccc::1"},
		"mapped peer":                  {"[::ffff:10.0.0.1]:4711", []string{"203.0.113.5"}, "203.0.113.5"},
		"mapped client":                {"10.0.0.1:4711", []string{"::ffff:203.0.113.5"}, "203.0.113.5"},
		"mapped proxy in the list":     {"10.0.0.1:4711", []string{"203.0.113.5, ::ffff:10.0.0.2"}, "203.0.113.5"},
		"a zone is no other address":   {"10.0.0.1:4711", []string{"fe80::1%eth0"}, "fe80::1"},
		"a loopback claim of stranger": {"192.0.2.1:4711", []string{"127.0.0.1"}, "192.0.2.1"},
	} {
		req := from(c.peer, get("/.well-known/jwks.json"))
		for _, f := range c.forwarded {
			req.Header.Add("X-Forwarded-For", f)
		}
		r.do(req)
		if got := r.logged(); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// L9: other headers are not believed from anybody.
func TestOtherHeadersThatNameAnAddressAreIgnored(t *testing.T) {
	r := newRig(t, trusting("10.0.0.0/8"))
	for _, header := range []string{"Forwarded", "X-Real-Ip", "True-Client-Ip", "Cf-Connecting-Ip", "X-Client-Ip", "X-Forwarded", "Via"} {
		req := from("10.0.0.1:1", get("/.well-known/jwks.json"))
		req.Header.Set(header, "203.0.113.5")
		r.do(req)
		if got := r.logged(); got != "10.0.0.1" {
			t.Errorf("%s was believed: %s", header, got)
		}
	}
}

// L9, L4: the limit of an address cannot be dodged by claiming to be another, nor by moving within an IPv6 /64.
func TestTheLimitOfAnAddressCannotBeDodged(t *testing.T) {
	next := func(claim, peer func(n int) string) func(t testing.TB, r *rig) {
		return func(t testing.TB, r *rig) {
			let := 0
			for n := range 60 {
				req := from(peer(n), form("/oauth2/token", "grant_type", "password", "client_id", "cli", "username", fmt.Sprint("u", n), "password", "x"))
				if c := claim(n); c != "" {
					req.Header.Set("X-Forwarded-For", c)
				}
				if r.do(req).StatusCode != http.StatusTooManyRequests {
					let++
				}
			}
			if let != 30 {
				t.Errorf("%d guesses were let through, want 30", let)
			}
		}
	}
	always := func(s string) func(int) string { return func(int) string { return s } }
	bubble(t, next(func(n int) string { return fmt.Sprintf("203.0.113.%d", n) }, always("192.0.2.1:1")), trusting("10.0.0.0/8"))
	bubble(t, next(func(n int) string { return fmt.Sprintf("203.0.113.%d, 198.51.100.7", n) }, always("10.0.0.1:1")), trusting("10.0.0.0/8"))
	bubble(t, next(always(""), func(n int) string { return fmt.Sprintf("[2001:db8:1:2:%x::%x]:1", n, n) }))
	bubble(t, next(always(""), func(n int) string { return fmt.Sprintf("192.0.2.1:%d", 1000+n) }))
}
