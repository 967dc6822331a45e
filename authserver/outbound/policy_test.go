package outbound

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

// G5
func TestOnlyAddressesOfThePublicInternetAreCalled(t *testing.T) {
	for text, want := range map[string]string{
		"93.184.215.14": "", "9.255.255.255": "", "11.0.0.0": "", "100.63.255.255": "", "100.128.0.0": "", "126.255.255.255": "", "128.0.0.0": "",
		"169.253.255.255": "", "169.255.0.0": "", "172.15.255.255": "", "172.32.0.0": "", "192.167.255.255": "", "192.169.0.0": "",
		"168.63.129.15": "", "223.255.255.255": "", "2606:4700::1": "", "2001:200::1": "", "2003::1": "", "2000::": "", "::ffff:93.184.215.14": "",

		"127.0.0.1": "loopback", "127.255.255.255": "loopback", "::1": "loopback", "::ffff:127.0.0.1": "loopback",
		"0.0.0.0": "unspecified", "0.1.2.3": "unspecified", "::": "unspecified", "::ffff:0.0.0.0": "unspecified",
		"10.0.0.1": "private", "172.16.0.1": "private", "172.31.255.255": "private", "192.168.1.1": "private", "::ffff:192.168.1.1": "private",
		"fc00::1": "private", "fdff::1": "private",
		"100.64.0.1": "shared by a carrier", "100.127.255.255": "shared by a carrier", "100.100.100.200": "shared by a carrier",
		"169.254.169.254": "metadata service", "::ffff:169.254.169.254": "metadata service", "168.63.129.16": "metadata service",
		"fd00:ec2::254": "metadata service", "169.254.0.1": "link-local", "fe80::1": "link-local", "fe80::1%eth0": "link-local", "febf::1": "link-local",
		"fec0::1": "site-local", "224.0.0.1": "multicast", "239.1.1.1": "multicast", "ff02::1": "multicast",
		"240.0.0.1": "reserved", "255.255.255.255": "reserved", "192.0.0.192": "reserved",
		"192.0.2.1": "documentation", "198.51.100.1": "documentation", "203.0.113.1": "documentation", "2001:db8::1": "documentation", "3fff::1": "documentation",
		"198.18.0.1": "benchmarking", "198.19.255.255": "benchmarking", "192.88.99.1": "6to4 relay",
		"::127.0.0.1": "IPv4 in IPv6", "64:ff9b::7f00:1": "NAT64", "64:ff9b:1::7f00:1": "NAT64", "2002:7f00:1::": "6to4", "2001::1": "reserved",
		"100::1": "not global unicast", "4000::1": "not global unicast", "::ffff:0:127.0.0.1": "not global unicast",
	} {
		address := netip.MustParseAddr(text)
		got := policy{}.checkAddress(address, dialTarget{host: "h"})
		if want == "" && got != "" || want != "" && !strings.Contains(got, "("+want+")") {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
		if got := (policy{loopbackHTTP: true}).checkAddress(address, dialTarget{host: "h"}); (got == "") != (want == "") {
			t.Errorf("%s, called by a name that is not the loopback's, in development: %q", text, got)
		}
	}
}

// G5
func TestANetworkThatIsAllowedIsReachedAndItsNeighbourIsNot(t *testing.T) {
	p := policy{allowed: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd12::/16"), netip.MustParsePrefix("fe80::/10")}}
	for text, want := range map[string]bool{
		"10.1.0.1": true, "10.1.255.255": true, "::ffff:10.1.0.1": true, "fd12::1": true, "fe80::1%eth0": true, "93.184.215.14": true,
		"10.2.0.0": false, "10.0.255.255": false, "fd13::1": false, "127.0.0.1": false, "::1": false,
	} {
		if got := p.checkAddress(netip.MustParseAddr(text), dialTarget{}); (got == "") != want {
			t.Errorf("%s: %q", text, got)
		}
	}
	// Plain http stays on this machine, whatever else is allowed.
	p.loopbackHTTP = true
	local := dialTarget{host: "localhost", plain: true, loopback: true}
	for text, want := range map[string]bool{"127.0.0.1": true, "::1": true, "10.1.0.1": false, "93.184.215.14": false} {
		if got := p.checkAddress(netip.MustParseAddr(text), local); (got == "") != want {
			t.Errorf("http://localhost at %s: %q", text, got)
		}
	}
}

// G5
func TestAnAddressThatIsNotPlainHTTPSIsRefusedBeforeAnythingIsSent(t *testing.T) {
	for text, want := range map[string]string{
		"https://example.com/jwks?x=1": "", "https://example.com:8443/": "", "HTTPS://example.com/": "", "https://127.0.0.1/": "", // refused when it is dialled
		"http://example.com/": "must be https", "ftp://example.com/": "must be https", "file:///etc/passwd": "names no host", "//example.com/": "must be https",
		"https:example.com": "names no host", "https:///path": "names no host", "https://:443/": "names no host", "": "names no host", "example.com": "names no host",
		"https://user@example.com/": "user name", "https://user:pass@example.com/": "user name", "https://@example.com/": "user name",
		"https://example.com/#f": "fragment", "https://exa mple.com/": "not a URL", "https://example.com/%zz": "not a URL", "https://[::1/": "not a URL",
		"https://example.com/" + strings.Repeat("a", maxURL): "longer than",
		"http://localhost/": "must be https", "http://127.0.0.1/": "must be https",
	} {
		_, err := policy{}.checkURL(text)
		wantRule(t, text, err, want)
	}
	for text, want := range map[string]string{
		"http://localhost:8080/": "", "http://LOCALHOST/": "", "http://localhost./": "", "http://app.localhost/": "", "http://127.0.0.1:1/": "", "http://127.9.9.9/": "",
		"http://[::1]:1/": "", "http://[::ffff:127.0.0.1]/": "", "https://example.com/": "",
		"http://example.com/": "must be https", "http://localhost.example.com/": "must be https", "http://notlocalhost/": "must be https",
		"http://10.0.0.1/": "must be https", "http://128.0.0.1/": "must be https", "http://127.1/": "must be https", "http://user@localhost/": "user name",
	} {
		_, err := policy{loopbackHTTP: true}.checkURL(text)
		wantRule(t, text, err, want)
	}
}

func wantRule(t testing.TB, what string, err error, rule string) {
	t.Helper()
	refused := (*RefusedError)(nil)
	switch isRefused := errors.As(err, &refused); {
	case rule == "" && err != nil:
		t.Errorf("%s: %v", what, err)
	case rule != "" && !isRefused:
		t.Errorf("%s: got %v, want a *RefusedError", what, err)
	case rule != "" && !strings.Contains(refused.Rule, rule):
		t.Errorf("%s: refused by %q, want %q", what, refused.Rule, rule)
	}
}
