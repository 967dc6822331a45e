package login

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// policy is what one page may do beyond what all may (CSP Level 3).
type policy struct {
	form  string   // where the answer to a form may redirect to, or a form itself goes
	frame []string // origins of front-channel logout
	leave bool     // it is on its way to a client, with the answer in its address
}

// protect sets the headers that every answer of this package carries (rows A10, A11, A16).
func (p *Pages) protect(w http.ResponseWriter, allowed policy) {
	frame := "'none'"
	if len(allowed.frame) > 0 {
		frame = strings.Join(allowed.frame, " ")
	}
	h := w.Header()
	h.Set("Content-Security-Policy", strings.Join([]string{
		"default-src 'none'", "style-src 'self'", "script-src 'self'", "img-src 'self' data:",
		spaced("form-action 'self'", allowed.form), "frame-src " + frame, "frame-ancestors 'none'", "base-uri 'none'",
	}, "; "))
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	if allowed.leave {
		h.Set("Referrer-Policy", "no-referrer")
	}
	if allowed.form == "" && len(allowed.frame) == 0 && !allowed.leave {
		// A page on the way back to a client does without: an application that opened it as a popup waits to be called back.
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
	}
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
	if p.secure {
		// RFC 6797 §6.1. Other hosts of the domain are not ours to decide about.
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

func spaced(directive, source string) string {
	if source == "" {
		return directive
	}
	return directive + " " + source
}

// hostSource is what a host-source may look like (CSP Level 3 §2.3.1). Everything else that a URL can hold, a semicolon
// before all, would be read as part of the policy.
var (
	hostSource = regexp.MustCompile(`^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.?(:[0-9]{1,5})?$`)
	scheme     = regexp.MustCompile(`^[a-z][a-z0-9+.-]*$`)
)

// formSource answers the source expression for a validated redirect URI: its origin, or the scheme of an app (RFC 8252
// §7.1). The grammar has no IPv6 addresses: for those it is the scheme.
func formSource(address string) string {
	u, err := url.Parse(address)
	if err != nil || !scheme.MatchString(u.Scheme) || slices.Contains(unsafeSchemes, u.Scheme) {
		return ""
	}
	if u.Scheme != "https" && u.Scheme != "http" {
		return u.Scheme + ":"
	}
	switch {
	case hostSource.MatchString(u.Host):
		return u.Scheme + "://" + u.Host
	case strings.HasPrefix(u.Host, "["):
		return u.Scheme + ":"
	}
	return ""
}

// unsafeSchemes run or read something instead of going somewhere.
var unsafeSchemes = []string{"javascript", "data", "vbscript", "file", "blob", "about", "filesystem", "view-source"}

// isWeb tells whether an address is one of the web that a page may lead to.
func isWeb(address string) bool {
	u, err := url.Parse(address)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && hostSource.MatchString(u.Host)
}
