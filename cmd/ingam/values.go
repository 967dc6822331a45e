package main

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ingam/ingam/authserver"
	"github.com/ingam/ingam/keys"
)

// set parses a value and stores it. What it returns says what would be right, "" when the value is.
func (s setting) set(text string) string {
	switch t := s.target.(type) {
	case *[]string:
		return s.setList(splitList(text))
	case *[]netip.Prefix:
		return s.setList(splitList(text))
	case *string: // an empty one means that the setting is not used, which is nothing to check

		if s.oneOf != nil && !slices.Contains(s.oneOf, text) {
			return "is not one of " + strings.Join(s.oneOf, ", ") + didYouMean(text, s.oneOf)
		}
		if s.check != nil && text != "" {
			if wrong := s.check(text); wrong != "" {
				return wrong
			}
		}
		*t = text
	case *bool:
		switch text {
		case "true", "false":
			*t = text == "true"
		default:
			return "is neither true nor false"
		}
	case *int:
		n, err := strconv.Atoi(text)
		if err != nil || n < s.least.(int) || n > s.most.(int) {
			return fmt.Sprintf("is not a whole number from %d to %d", s.least, s.most)
		}
		*t = n
	case *time.Duration:
		d, ok := parseDuration(text)
		if !ok {
			return "is not a duration; write it like 90s, 5m, 12h or 30d"
		}
		if least, most := s.least.(time.Duration), s.most.(time.Duration); d < least || d > most {
			return fmt.Sprintf("is not between %s and %s", formatDuration(least), formatDuration(most))
		}
		*t = d
	default:
		panic("settings: " + s.key + " has a target of a type that is not known")
	}
	return ""
}

// isList tells whether the setting holds several values.
func (s setting) isList() bool {
	switch s.target.(type) {
	case *[]string, *[]netip.Prefix:
		return true
	}
	return false
}

// setList stores the elements of a list.
func (s setting) setList(items []string) string {
	if t, ok := s.target.(*[]netip.Prefix); ok {
		var prefixes []netip.Prefix
		for _, item := range items {
			p, err := parsePrefix(item)
			if err != nil {
				return "is not an address or a network like 10.0.0.0/8"
			}
			prefixes = append(prefixes, p)
		}
		*t = prefixes
		return ""
	}
	for _, item := range items {
		if s.check != nil {
			if wrong := s.check(item); wrong != "" {
				return wrong
			}
		}
	}
	*s.target.(*[]string) = items
	return ""
}

// show is the value in the spelling of the environment; secrets are not shown.
func (s setting) show() string {
	if s.secret {
		if *s.target.(*string) == "" {
			return ""
		}
		return "(secret)"
	}
	switch t := s.target.(type) {
	case *[]string:
		return strings.Join(*t, ",")
	case *[]netip.Prefix:
		texts := make([]string, len(*t))
		for i, p := range *t {
			texts[i] = p.String()
		}
		return strings.Join(texts, ",")
	case *time.Duration:
		return formatDuration(*t)
	case *string:
		return *t
	case *int:
		return strconv.Itoa(*t)
	default:
		return fmt.Sprint(*s.target.(*bool))
	}
}

// shown is a wrong value for a message, "" where it may be a secret.
func (s setting) shown(text string) string {
	if s.secret || s.veiled {
		return ""
	}
	return text
}

// splitList takes a list as flags and the environment spell it: separated by commas.
func splitList(text string) []string {
	var items []string
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

// parseDuration is time.ParseDuration with days: 30d, 1d12h.
func parseDuration(text string) (time.Duration, bool) {
	var days time.Duration
	if before, rest, found := strings.Cut(text, "d"); found {
		n, err := strconv.ParseUint(before, 10, 16)
		if err != nil {
			return 0, false
		}
		if days = time.Duration(n) * day; rest == "" {
			return days, true
		}
		text = rest
	}
	d, err := time.ParseDuration(text)
	return days + d, err == nil && d >= 0
}

// formatDuration writes a duration as short as parseDuration reads it.
func formatDuration(d time.Duration) string {
	if d >= day && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// parsePrefix reads a network, or an address as a network of one.
func parsePrefix(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	return netip.ParsePrefix(text)
}

// The checks of single settings. Each says what would be right, or "".

func checkIssuer(text string) string {
	if err := authserver.CheckIssuer(text); err != nil {
		return strings.TrimPrefix(err.Error(), strconv.Quote(text)+" ")
	}
	return ""
}

func checkListen(text string) string {
	_, port, err := net.SplitHostPort(text)
	if n, badPort := strconv.ParseUint(port, 10, 16); err != nil || badPort != nil || n > 65535 {
		return "is not an address to listen on; write :8080 or 127.0.0.1:8080"
	}
	return ""
}

func checkOrigin(text string) string {
	// Browsers send scheme, host and port and nothing after (RFC 6454 §6.2), and origins are compared as text.
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme+"://"+u.Host != text {
		return "is not an origin; write it like https://app.example.com, without a path or a slash at the end"
	}
	return ""
}

// checkMasterKey and checkAdminToken see secrets: what they say must not repeat them.
func checkMasterKey(text string) string {
	if _, err := keys.ParseMasterKey(text); err != nil {
		return "is not a master key (32 bytes in base64 or hexadecimal); 'ingam keys new-master-key' makes one"
	}
	return ""
}

func checkAdminToken(text string) string {
	if len(text) < 32 {
		return "is too short to be safe from guessing; use 32 characters or more, like the output of 'openssl rand -hex 32'"
	}
	return ""
}

// isLoopbackHost tells whether a host name or address means this machine only.
func isLoopbackHost(host string) bool {
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// resolvePath makes a path of a file relative to that file's folder.
func resolvePath(path, file string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(file), path)
}
