package main

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ingam/ingam/authserver"
	"github.com/ingam/ingam/authserver/admin"
	"github.com/ingam/ingam/authserver/outbound"
)

// sessionSettings are how long a browser stays signed in.
func (c *config) sessionSettings() []setting {
	return []setting{
		{
			key: "session.idle", target: &c.Session.Idle, def: "24h", least: time.Second, most: 365 * day,
			help: "a browser that signs in nowhere for so long is signed out",
		},
		{
			key: "session.absolute", target: &c.Session.Absolute, def: "7d", least: time.Second, most: 365 * day,
			help: "a browser is signed out after so long, whatever happens, unless its user chose to stay signed in: see session.remember",
		},
		{
			key: "session.remember", target: &c.Session.Remember, def: "30d", least: time.Second, most: 365 * day,
			help: "a browser whose user chose to stay signed in is signed out if it signs in nowhere for so long, and after three times that; " +
				"a third of session.absolute, or less, lets nobody stay longer than others",
		},
	}
}

// checkLifetimes refuses an end that never comes, because another comes before it. A default may be one: who sets the
// absolute end alone has said enough.
func (c *config) checkLifetimes(before problems, bad func(key, value, message string)) {
	for _, l := range []struct {
		key, last string
		idle, end time.Duration
	}{
		{"session.idle", "session.absolute", c.Session.Idle, c.Session.Absolute},
		{"tokens.refresh_idle", "tokens.refresh_absolute", c.Tokens.RefreshIdle, c.Tokens.RefreshAbsolute},
	} {
		if _, set := c.origins[l.key]; set && l.idle > l.end && len(before.about(l.key))+len(before.about(l.last)) == 0 {
			bad(l.key, formatDuration(l.idle), fmt.Sprintf("is longer than %s (%s, %s), which would always come first; make one of them fit",
				l.last, formatDuration(l.end), c.origin(l.last)))
		}
	}
}

// brandingSettings are how the pages for people look.
func (c *config) brandingSettings() []setting {
	return []setting{
		{
			key: "branding.name", target: &c.Branding.Name, check: checkBrandName,
			help: "name of your organization or service on the pages for people; empty means the host of the issuer",
		},
		{
			key: "branding.logo_file", target: &c.Branding.LogoFile, path: true,
			help: "logo on these pages: an SVG, PNG, JPEG, GIF or WebP of at most 256 KiB",
		},
		{
			key: "branding.accent", target: &c.Branding.Accent, check: admin.CheckAccent,
			help: "colour of buttons and links on these pages, like \"#0b57d0\", in quotes; empty means the built-in one",
		},
	}
}

// outboundSettings bound the calls that the server makes to clients: their keys (jwks_uri) and logout.
func (c *config) outboundSettings() []setting {
	return []setting{
		{
			key: "outbound.ca_file", target: &c.Outbound.CAFile, path: true,
			help: "certificates (PEM) to trust beside those of the system when the server calls clients (jwks_uri, back-channel logout)",
		},
		{
			key: "outbound.allowed_networks", target: &c.Outbound.AllowedNetworks,
			help: "private addresses or networks that these calls may reach; without any, only public addresses",
		},
	}
}

func checkBrandName(text string) string {
	if !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) || utf8.RuneCountInString(text) > 100 {
		return "is not a name of one line and at most 100 characters"
	}
	return ""
}

// maxLogo keeps pages light.
const maxLogo = 256 << 10

// logoTypes are pictures that a page may show; scripts in an SVG do not run there.
var logoTypes = []string{"image/svg+xml", "image/png", "image/jpeg", "image/gif", "image/webp"}

// readLogo reads a picture and finds out what it is.
func readLogo(path string) (data []byte, mediaType string, err error) {
	if path == "" {
		return nil, "", nil
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, "", fmt.Errorf("cannot be read: %s", plain(err))
	case info.Size() > maxLogo:
		return nil, "", fmt.Errorf("has %d bytes; at most %d", info.Size(), maxLogo)
	}
	if data, err = os.ReadFile(path); err != nil {
		return nil, "", fmt.Errorf("cannot be read: %s", plain(err))
	}
	mediaType = http.DetectContentType(data)
	if strings.EqualFold(filepath.Ext(path), ".svg") && utf8.Valid(data) && strings.Contains(string(data), "<svg") {
		mediaType = logoTypes[0]
	}
	if !slices.Contains(logoTypes, mediaType) {
		return nil, "", fmt.Errorf("is not a picture in SVG (.svg), PNG, JPEG, GIF or WebP")
	}
	return data, mediaType, nil
}

// checkPages tells what is wrong with the files that these settings name.
func (c *config) checkPages(bad func(key, value, message string)) {
	if _, _, err := readLogo(c.Branding.LogoFile); err != nil {
		bad("branding.logo_file", c.Branding.LogoFile, err.Error())
	}
	if path := c.Outbound.CAFile; path != "" {
		switch text, err := os.ReadFile(path); {
		case err != nil:
			bad("outbound.ca_file", path, "cannot be read: "+plain(err))
		case !x509.NewCertPool().AppendCertsFromPEM(text):
			bad("outbound.ca_file", path, "holds no certificate in PEM")
		}
	}
}

// branding is the part of the configuration that pages take.
func (c *config) branding() (authserver.Branding, error) {
	logo, mediaType, err := readLogo(c.Branding.LogoFile)
	if err != nil {
		return authserver.Branding{}, usagef("branding.logo_file %q %w", c.Branding.LogoFile, err)
	}
	return authserver.Branding{Name: c.Branding.Name, Logo: logo, LogoType: mediaType, Accent: c.Branding.Accent}, nil
}

// outbound makes the client for calls to clients. Only a server of this machine calls others on it without TLS.
func (c *config) outbound() (*outbound.Client, error) {
	issuer, err := url.Parse(c.Issuer)
	local := err == nil && issuer.Scheme == "http" && isLoopbackHost(issuer.Hostname())
	client, err := outbound.New(outbound.Config{
		AllowLoopbackHTTP: local, AllowedNetworks: c.Outbound.AllowedNetworks, CAFile: c.Outbound.CAFile,
	})
	if err != nil {
		return nil, usagef("outbound: %w", err)
	}
	return client, nil
}
