package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ingam/ingam/authserver/admin"
)

// clientFacts prints one client, what it has of everything.
func clientFacts(w io.Writer, c admin.Client) {
	fact(w, "client_id", c.ClientID)
	fact(w, "client_secret", c.ClientSecret)
	fact(w, "name", c.ClientName)
	fact(w, "auth method", c.TokenEndpointAuthMethod)
	fact(w, "grant types", strings.Join(c.GrantTypes, " "))
	fact(w, "scope", c.Scope)
	fact(w, "default scope", c.DefaultScope)
	facts(w, "redirect URI", c.RedirectURIs)
	facts(w, "audience", c.Audience)
	facts(w, "resource", c.Resources)
	fact(w, "refresh grace", c.RefreshGrace)
	fact(w, "keys", keyNames(c.JWKS))
	fact(w, "keys at", c.JWKSURI)
	fact(w, "response modes", strings.Join(c.ResponseModes, " "))
	fact(w, "requires", strings.Join(requirements(c.Metadata), ", "))
	fact(w, "request object alg", c.RequestObjectAlg)
	if c.DefaultMaxAge != nil {
		fact(w, "default max age", formatDuration(time.Duration(*c.DefaultMaxAge)*time.Second))
	}
	if c.FirstParty {
		fact(w, "first party", "people are not asked for consent")
	}
	if c.SessionBound {
		fact(w, "session bound", "sign-ins end with the browser session")
	}
	fact(w, "userinfo alg", c.UserInfoAlg)
	fact(w, "subject type", c.SubjectType)
	fact(w, "sector identifier", c.SectorIdentifier)
	facts(w, "after logout", c.PostLogoutRedirectURIs)
	fact(w, "back-channel logout", c.BackchannelLogoutURI)
	fact(w, "front-channel logout", c.FrontchannelLogoutURI)
	facts(w, "allowed origin", c.AllowedOrigins)
	fact(w, "home page", c.ClientURI)
	fact(w, "logo", c.LogoURI)
	fact(w, "accent", c.Accent)
	for _, s := range c.Secrets {
		text := "made " + when(s.CreatedAt)
		if !s.ExpiresAt.IsZero() {
			text += ", good until " + when(s.ExpiresAt)
		}
		fact(w, "secret", text)
	}
	fact(w, "created", when(c.CreatedAt))
	fact(w, "source", orDefault(c.Source, "store"))
}

// facts prints a list, a line for each.
func facts(w io.Writer, name string, values []string) {
	for _, v := range values {
		fact(w, name, v)
	}
}

// requirements are what requests of the client must have.
func requirements(m admin.Metadata) (names []string) {
	for _, r := range []struct {
		name string
		on   bool
	}{{"PKCE", m.RequirePKCE}, {"pushed requests", m.RequirePAR}, {"signed request objects", m.RequireSignedRequest}} {
		if r.on {
			names = append(names, r.name)
		}
	}
	return names
}

// keyNames tells the keys of a set apart; the whole of them is in the JSON.
func keyNames(jwks json.RawMessage) string {
	var set struct {
		Keys []struct {
			Kid string `json:"kid"`
			Kty string `json:"kty"`
		} `json:"keys"`
	}
	if len(jwks) == 0 || json.Unmarshal(jwks, &set) != nil {
		return ""
	}
	names := make([]string, len(set.Keys))
	for i, k := range set.Keys {
		names[i] = fmt.Sprintf("%s (%s)", orDefault(k.Kid, "no kid"), k.Kty)
	}
	return strings.Join(names, ", ")
}
