package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ingam/ingam/authserver/admin"
)

// Values of token_endpoint_auth_method (RFC 7591 §2, OIDC Core §9).
const (
	authMethodNone   = "none"
	authMethodSecret = "client_secret_basic"
)

// clientFlags are the flags that describe a client. Each is one field of the metadata, so that a command can take over
// those that were given and leave the others as they are.
type clientFlags struct {
	kind, jwksFile, grace, maxAge string
	public                        bool
	scopes, defaults              []string
	m                             admin.Metadata
}

// addTo gives a command the flags. Lists that may hold commas (addresses) take one value each time.
func (c *clientFlags) addTo(f *pflag.FlagSet) {
	m := &c.m
	f.BoolVar(&c.public, "public", false, "a client without a secret: a program on people's own devices, or in a browser")
	f.StringVar(&m.TokenEndpointAuthMethod, "auth-method", "", "none, client_secret_basic, client_secret_post or private_key_jwt")
	f.StringVar(&m.ClientName, "name", "", "name for people (client_name)")
	f.StringSliceVar(&m.GrantTypes, "grant-type", nil, "password, refresh_token, client_credentials, authorization_code")
	f.StringSliceVar(&c.scopes, "scope", nil, "the scopes that it may ask for")
	f.StringSliceVar(&c.defaults, "default-scope", nil, "the scopes of a request without scope")
	f.StringArrayVar(&m.RedirectURIs, "redirect-uri", nil, "a redirect URI, any number of times; compared character by character")
	f.StringArrayVar(&m.Audience, "audience", nil, "a resource server that its tokens are for (aud), any number of times")
	f.StringArrayVar(&m.Resources, "resource", nil, "an audience that it is the resource server of (introspection), any number of times")
	f.StringVar(&c.grace, "refresh-grace", "", "how long a used refresh token gets the same successor again; default: the server's")

	f.StringVar(&c.jwksFile, "jwks-file", "", "file with the client's public keys as JSON (RFC 7517 section 5), - for standard input")
	f.StringVar(&m.JWKSURI, "jwks-uri", "", "address of the client's public keys, instead of --jwks-file")
	f.StringSliceVar(&m.ResponseModes, "response-mode", nil, "query, form_post, fragment; default: query and form_post")
	f.BoolVar(&m.RequirePKCE, "require-pkce", false, "refuse requests without PKCE, as always for public clients")
	f.BoolVar(&m.RequirePAR, "require-par", false, "refuse authorization requests that were not pushed (RFC 9126)")
	f.BoolVar(&m.RequireSignedRequest, "require-signed-request", false, "refuse requests without a signed request object (RFC 9101)")
	f.StringVar(&m.RequestObjectAlg, "request-object-alg", "", "the one algorithm of its request objects: RS256, PS256, ES256 or EdDSA")
	f.StringVar(&c.maxAge, "default-max-age", "", "people whose sign-in is older sign in again, like 12h")
	f.BoolVar(&m.FirstParty, "first-party", false, "your own application: people are not asked for consent")
	f.BoolVar(&m.SessionBound, "session-bound", false, "its sign-ins end with the browser session, but those with offline_access")
	f.StringVar(&m.UserInfoAlg, "userinfo-alg", "", "RS256 for signed answers of userinfo; default: plain JSON")
	f.StringVar(&m.SubjectType, "subject-type", "", "pairwise: people have another sub here than at other clients; default: public")
	f.StringVar(&m.SectorIdentifier, "sector-identifier", "", "host name that pairwise clients with the same sub share")
	f.StringArrayVar(&m.PostLogoutRedirectURIs, "post-logout-redirect-uri", nil, "where the browser may go after logout, any number of times")
	f.StringVar(&m.BackchannelLogoutURI, "backchannel-logout-uri", "", "where the server tells it about a logout")
	f.StringVar(&m.FrontchannelLogoutURI, "frontchannel-logout-uri", "", "what the browser loads at a logout")
	f.StringArrayVar(&m.AllowedOrigins, "allowed-origin", nil,
		"an origin that may call from a browser; those of a public client's redirect URIs may anyway")
	f.StringVar(&m.ClientURI, "client-uri", "", "home page, for the consent page")
	f.StringVar(&m.LogoURI, "logo-uri", "", "logo, for the pages of its sign-ins")
	f.StringVar(&m.Accent, "accent", "", "colour of buttons on these pages, like #0b57d0")
}

// clientKinds fill in what is safe for a kind of program; flags that are given come after.
var clientKinds = map[string]admin.Metadata{
	"spa":     signInKind(authMethodNone),
	"mobile":  signInKind(authMethodNone),
	"cli":     signInKind(authMethodNone),
	"web":     signInKind(authMethodSecret),
	"service": {TokenEndpointAuthMethod: authMethodSecret, GrantTypes: []string{"client_credentials"}},
}

// kindNames are the values of --kind in the order of the help.
var kindNames = []string{"spa", "web", "mobile", "cli", "service"}

// signInKind is a program that signs people in.
func signInKind(method string) admin.Metadata {
	return admin.Metadata{
		TokenEndpointAuthMethod: method,
		GrantTypes:              []string{"authorization_code", "refresh_token"},
		Scope:                   "openid profile email offline_access",
		DefaultScope:            "openid profile email",
	}
}

// addKindTo gives a command the flag --kind.
func (c *clientFlags) addKindTo(f *pflag.FlagSet) {
	f.StringVar(&c.kind, "kind", "", "what it is, for safe defaults: spa (in a browser), web (on a server), mobile, cli, "+
		"service (acts for itself)")
}

// start is the metadata that a new client begins with.
func (c *clientFlags) start(f *pflag.FlagSet) (admin.Metadata, error) {
	if c.kind == "" {
		return admin.Metadata{TokenEndpointAuthMethod: authMethodSecret}, nil
	}
	m, known := clientKinds[c.kind]
	if !known {
		return m, usagef("--kind %q is not one of %s%s", c.kind, strings.Join(kindNames, ", "), didYouMean(c.kind, kindNames))
	}
	if c.kind == "cli" && !f.Changed("redirect-uri") {
		// RFC 8252 §7.3: the program listens on any port that is free; the port of a loopback address is not compared.
		m.RedirectURIs = []string{"http://127.0.0.1/callback"}
	}
	return m, nil
}

// apply puts the flags that were given over m. A flag with nothing in it takes the field away. The error names everything
// that is wrong with the flags and with the client that they make, so that one round of editing repairs a command line.
func (c *clientFlags) apply(cmd *cobra.Command, stdin io.Reader, m *admin.Metadata) error {
	f := cmd.Flags()
	var wrong []admin.Problem
	switch {
	case f.Changed("public") && f.Changed("auth-method"):
		wrong = append(wrong, admin.Problem{Field: "token_endpoint_auth_method", Message: "and --public say the same thing; keep one"})
	case f.Changed("public"):
		m.TokenEndpointAuthMethod = authMethodSecret
		if c.public {
			m.TokenEndpointAuthMethod = authMethodNone
		}
	}
	if f.Changed("scope") {
		m.Scope = strings.Join(c.scopes, " ")
	}
	if f.Changed("default-scope") {
		m.DefaultScope = strings.Join(c.defaults, " ")
	}
	c.applyPlain(f, m)
	c.applyLists(f, m)
	wrong = append(wrong, c.applyTimes(f, m)...)
	wrong = append(wrong, c.applyKeys(f, stdin, m)...)
	return inFlags(wrong, m.Check())
}

// applyKeys takes over the keys. They are in one place: the new one replaces the other.
func (c *clientFlags) applyKeys(f *pflag.FlagSet, stdin io.Reader, m *admin.Metadata) (wrong []admin.Problem) {
	file, uri := f.Changed("jwks-file"), f.Changed("jwks-uri")
	switch {
	case file && uri && c.jwksFile != "" && c.m.JWKSURI != "":
		return []admin.Problem{{Field: "jwks_uri", Message: "and jwks are both given; keep one"}}
	case file:
		var why string
		if m.JWKS, why = readKeySet(c.jwksFile, stdin); why != "" {
			wrong = []admin.Problem{{Field: "jwks", Message: why}}
		}
		if !uri && c.jwksFile != "" {
			m.JWKSURI = ""
		}
	case uri && m.JWKSURI != "":
		m.JWKS = nil
	}
	return wrong
}

// applyPlain takes over single values.
func (c *clientFlags) applyPlain(f *pflag.FlagSet, m *admin.Metadata) {
	for name, p := range map[string]struct{ to, from *string }{
		"auth-method":             {&m.TokenEndpointAuthMethod, &c.m.TokenEndpointAuthMethod},
		"name":                    {&m.ClientName, &c.m.ClientName},
		"jwks-uri":                {&m.JWKSURI, &c.m.JWKSURI},
		"request-object-alg":      {&m.RequestObjectAlg, &c.m.RequestObjectAlg},
		"userinfo-alg":            {&m.UserInfoAlg, &c.m.UserInfoAlg},
		"subject-type":            {&m.SubjectType, &c.m.SubjectType},
		"sector-identifier":       {&m.SectorIdentifier, &c.m.SectorIdentifier},
		"backchannel-logout-uri":  {&m.BackchannelLogoutURI, &c.m.BackchannelLogoutURI},
		"frontchannel-logout-uri": {&m.FrontchannelLogoutURI, &c.m.FrontchannelLogoutURI},
		"client-uri":              {&m.ClientURI, &c.m.ClientURI},
		"logo-uri":                {&m.LogoURI, &c.m.LogoURI},
		"accent":                  {&m.Accent, &c.m.Accent},
	} {
		if f.Changed(name) {
			*p.to = *p.from
		}
	}
	for name, p := range map[string]struct{ to, from *bool }{
		"require-pkce":           {&m.RequirePKCE, &c.m.RequirePKCE},
		"require-par":            {&m.RequirePAR, &c.m.RequirePAR},
		"require-signed-request": {&m.RequireSignedRequest, &c.m.RequireSignedRequest},
		"first-party":            {&m.FirstParty, &c.m.FirstParty},
		"session-bound":          {&m.SessionBound, &c.m.SessionBound},
	} {
		if f.Changed(name) {
			*p.to = *p.from
		}
	}
}

// applyLists takes over lists; a single empty value empties one.
func (c *clientFlags) applyLists(f *pflag.FlagSet, m *admin.Metadata) {
	for name, p := range map[string]struct{ to, from *[]string }{
		"grant-type":               {&m.GrantTypes, &c.m.GrantTypes},
		"redirect-uri":             {&m.RedirectURIs, &c.m.RedirectURIs},
		"audience":                 {&m.Audience, &c.m.Audience},
		"resource":                 {&m.Resources, &c.m.Resources},
		"response-mode":            {&m.ResponseModes, &c.m.ResponseModes},
		"post-logout-redirect-uri": {&m.PostLogoutRedirectURIs, &c.m.PostLogoutRedirectURIs},
		"allowed-origin":           {&m.AllowedOrigins, &c.m.AllowedOrigins},
	} {
		if !f.Changed(name) {
			continue
		}
		if *p.to = *p.from; slices.Equal(*p.from, []string{""}) {
			*p.to = nil
		}
	}
}

// applyTimes takes over durations.
func (c *clientFlags) applyTimes(f *pflag.FlagSet, m *admin.Metadata) (wrong []admin.Problem) {
	no := func(field, text, like string) {
		wrong = append(wrong, admin.Problem{Field: field, Message: fmt.Sprintf("%q is not a duration, like %s", text, like)})
	}
	if f.Changed("refresh-grace") {
		if m.RefreshGrace = ""; c.grace != "" {
			if d, ok := parseDuration(c.grace); ok {
				m.RefreshGrace = d.String()
			} else {
				no("refresh_grace", c.grace, "10s")
			}
		}
	}
	if f.Changed("default-max-age") {
		if m.DefaultMaxAge = nil; c.maxAge != "" {
			if d, ok := parseDuration(c.maxAge); ok {
				m.DefaultMaxAge = new(int64(d.Seconds()))
			} else {
				no("default_max_age", c.maxAge, "12h")
			}
		}
	}
	return wrong
}

// maxKeySet is more than the server takes.
const maxKeySet = 1 << 20

// readKeySet reads a key set, or tells why not; "" takes the keys away. What is no JSON is not shown: it may be a private key.
func readKeySet(path string, stdin io.Reader) (keys json.RawMessage, wrong string) {
	if path == "" {
		return nil, ""
	}
	from, name := stdin, "standard input"
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, fmt.Sprintf("%s cannot be read: %s", path, plain(err))
		}
		defer func() { _ = file.Close() }() // only read
		from, name = file, path
	}
	data, err := io.ReadAll(io.LimitReader(from, maxKeySet))
	if err != nil {
		return nil, fmt.Sprintf("%s cannot be read: %s", name, plain(err))
	}
	if !json.Valid(data) {
		return nil, name + ` is not JSON; a key set looks like {"keys":[…]} (RFC 7517 section 5)`
	}
	return data, ""
}
