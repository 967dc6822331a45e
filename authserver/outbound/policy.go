package outbound

import (
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
)

// maxURL bounds an address.
const maxURL = 2048

// RefusedError says that the policy forbids a call, and by which rule. Nothing was sent there; of a redirect, nothing to
// where it leads.
type RefusedError struct {
	Host string // as the address names it; "" if it names none
	Rule string
}

// Error names host and rule.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("outbound: refused to call %q: %s", e.Host, e.Rule)
}

// policy decides what may be called.
type policy struct {
	allowed      []netip.Prefix
	loopbackHTTP bool
}

// checkURL checks what can be told from the address itself.
func (p policy) checkURL(address string) (*url.URL, error) {
	if len(address) > maxURL {
		return nil, &RefusedError{Rule: fmt.Sprintf("the address is longer than %d bytes", maxURL)}
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, &RefusedError{Rule: "the address is not a URL"}
	}
	refuse := func(rule string) (*url.URL, error) { return nil, &RefusedError{Host: u.Hostname(), Rule: rule} }
	switch {
	case u.Hostname() == "" || u.Opaque != "":
		return refuse("the address names no host; it must be like https://host/path")
	case u.User != nil:
		return refuse("the address has a user name in it")
	case u.Fragment != "":
		return refuse("the address has a fragment (#)")
	case u.Scheme == "https":
		return u, nil
	case u.Scheme == "http" && p.loopbackHTTP && loopbackName(u.Hostname()):
		return u, nil
	case u.Scheme == "http" && p.loopbackHTTP:
		return refuse("the address must be https; plain http is only for localhost, 127.0.0.1 and [::1]")
	}
	return refuse("the address must be https")
}

// loopbackName tells whether a host is this machine by its name (RFC 6761 §6.3) or its number.
func loopbackName(host string) bool {
	if address, err := netip.ParseAddr(host); err == nil {
		return address.Unmap().IsLoopback()
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// targetKey marks the context of a request with its dialTarget.
type targetKey struct{}

// dialTarget is what the dialer must know of the address that was asked for.
type dialTarget struct {
	host     string
	plain    bool // http
	loopback bool // named as this machine
}

// control is called by the dialer for each resolved address, after the look-up and before anything is sent.
func (p policy) control(ctx context.Context, _, address string, _ syscall.RawConn) error {
	target, _ := ctx.Value(targetKey{}).(dialTarget)
	resolved, err := netip.ParseAddrPort(address)
	if err != nil {
		return &RefusedError{Host: target.host, Rule: "it resolves to something that is not an IP address"}
	}
	if rule := p.checkAddress(resolved.Addr(), target); rule != "" {
		return &RefusedError{Host: target.host, Rule: rule}
	}
	return nil
}

// checkAddress answers why an address is refused, or "".
func (p policy) checkAddress(address netip.Addr, target dialTarget) string {
	// ::ffff:10.0.0.1 is 10.0.0.1 for the operating system, and a zone changes nothing about what an address is.
	address = address.Unmap().WithZone("")
	if p.loopbackHTTP && target.loopback && address.IsLoopback() {
		return ""
	}
	if target.plain {
		return fmt.Sprintf("it resolves to %s, and plain http is for this machine only", address)
	}
	for _, network := range p.allowed {
		if network.Contains(address) {
			return ""
		}
	}
	if kind := reserved(address); kind != "" {
		return fmt.Sprintf("it resolves to %s (%s), which is not in a network that is allowed", address, kind)
	}
	return ""
}

// special are the networks that are not the public internet (IANA's registries of special-purpose addresses, RFC 6890) or
// that wrap an IPv4 address, and the address of a cloud's metadata service that looks public. The narrower comes first.
var special = []struct {
	network netip.Prefix
	kind    string
}{
	{netip.MustParsePrefix("169.254.169.254/32"), "metadata service"},
	{netip.MustParsePrefix("168.63.129.16/32"), "metadata service"},
	{netip.MustParsePrefix("0.0.0.0/8"), "unspecified"},
	{netip.MustParsePrefix("10.0.0.0/8"), "private"},
	{netip.MustParsePrefix("100.64.0.0/10"), "shared by a carrier"},
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback"},
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local"},
	{netip.MustParsePrefix("172.16.0.0/12"), "private"},
	{netip.MustParsePrefix("192.0.0.0/24"), "reserved"},
	{netip.MustParsePrefix("192.0.2.0/24"), "documentation"},
	{netip.MustParsePrefix("192.88.99.0/24"), "6to4 relay"},
	{netip.MustParsePrefix("192.168.0.0/16"), "private"},
	{netip.MustParsePrefix("198.18.0.0/15"), "benchmarking"},
	{netip.MustParsePrefix("198.51.100.0/24"), "documentation"},
	{netip.MustParsePrefix("203.0.113.0/24"), "documentation"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved"},

	{netip.MustParsePrefix("::/128"), "unspecified"},
	{netip.MustParsePrefix("::1/128"), "loopback"},
	{netip.MustParsePrefix("::/96"), "IPv4 in IPv6"},
	{netip.MustParsePrefix("64:ff9b::/96"), "NAT64"},
	{netip.MustParsePrefix("64:ff9b:1::/48"), "NAT64"},
	{netip.MustParsePrefix("fd00:ec2::254/128"), "metadata service"},
	{netip.MustParsePrefix("fc00::/7"), "private"},
	{netip.MustParsePrefix("fe80::/10"), "link-local"},
	{netip.MustParsePrefix("fec0::/10"), "site-local"},
	{netip.MustParsePrefix("ff00::/8"), "multicast"},
	{netip.MustParsePrefix("2001::/23"), "reserved"}, // Teredo (2001::/32), ORCHID, benchmarking
	{netip.MustParsePrefix("2001:db8::/32"), "documentation"},
	{netip.MustParsePrefix("2002::/16"), "6to4"},
	{netip.MustParsePrefix("3fff::/20"), "documentation"},
}

// globalUnicast is all of IPv6 that IANA has given out for the internet.
var globalUnicast = netip.MustParsePrefix("2000::/3")

// reserved answers what kind of address it is that the public internet does not have, or "".
func reserved(address netip.Addr) string {
	for _, s := range special {
		if s.network.Contains(address) {
			return s.kind
		}
	}
	if address.Is6() && !globalUnicast.Contains(address) {
		return "not global unicast"
	}
	return ""
}
