package admin

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"strings"
	"time"

	"github.com/ingam/ingam/storage"
)

// Values of token_endpoint_auth_method (RFC 7591 §2, OIDC Core §9).
const (
	authNone       = "none"
	authBasic      = "client_secret_basic"
	authPost       = "client_secret_post"
	authPrivateKey = "private_key_jwt"
)

var authMethods = []string{authNone, authBasic, authPost, authPrivateKey}

// Values of subject_type (OIDC Core §8).
const (
	subjectPublic   = "public"
	subjectPairwise = "pairwise"
)

// hasSecret tells whether a client is one that has a secret.
func hasSecret(c storage.Client) bool { return !c.Public && c.AuthMethod == "" }

// authMethodOf is the token_endpoint_auth_method of a client. How a client with a secret sends it is its own choice at
// each request, so that one name stands for both ways.
func authMethodOf(c storage.Client) string {
	switch {
	case c.Public:
		return authNone
	case c.AuthMethod != "":
		return c.AuthMethod
	}
	return authBasic
}

// SetAuthMethod makes c a client that authenticates with a token_endpoint_auth_method; "" is client_secret_basic, the
// default of RFC 7591 §2. It says what would be right where the name is not known, else "".
func SetAuthMethod(c *storage.Client, method string) string {
	switch method {
	case authNone:
		c.Public = true
	case authBasic, authPost, "":
	case authPrivateKey:
		c.AuthMethod = authPrivateKey
	default:
		return "is not one of " + strings.Join(authMethods, ", ")
	}
	return ""
}

// SetSubjectType makes the users' sub of c public or pairwise; it says what would be right where the name is not known.
func SetSubjectType(c *storage.Client, name string) string {
	switch name {
	case "", subjectPublic:
	case subjectPairwise:
		c.Pairwise = true
	default:
		return "is not one of " + subjectPublic + ", " + subjectPairwise
	}
	return ""
}

// prepare makes the client that m describes, with a new id where m has none, and lists what cannot be read.
func (m Metadata) prepare() (storage.Client, []Problem) {
	var k checker
	c := storage.Client{
		ID: m.ClientID, Name: m.ClientName, GrantTypes: m.GrantTypes, RedirectURIs: m.RedirectURIs,
		Scopes: strings.Fields(m.Scope), DefaultScopes: strings.Fields(m.DefaultScope), Audience: m.Audience,
		Resources: m.Resources, JWKS: compactJSON(m.JWKS), JWKSURI: m.JWKSURI,
		ResponseModes: m.ResponseModes, RequirePKCE: m.RequirePKCE, RequirePAR: m.RequirePAR,
		RequireSignedRequest: m.RequireSignedRequest, RequestObjectAlg: m.RequestObjectAlg, DefaultMaxAge: m.DefaultMaxAge,
		FirstParty: m.FirstParty, SessionBound: m.SessionBound, UserInfoAlg: m.UserInfoAlg, Sector: m.SectorIdentifier,
		PostLogoutRedirectURIs: m.PostLogoutRedirectURIs, BackchannelLogoutURI: m.BackchannelLogoutURI,
		FrontchannelLogoutURI: m.FrontchannelLogoutURI, AllowedOrigins: m.AllowedOrigins,
		URI: m.ClientURI, LogoURI: m.LogoURI, Accent: m.Accent,
	}
	if c.ID == "" {
		c.ID = "cl_" + strings.ToLower(rand.Text())
	}
	if wrong := SetAuthMethod(&c, m.TokenEndpointAuthMethod); wrong != "" {
		k.bad("token_endpoint_auth_method", "%q %s", m.TokenEndpointAuthMethod, wrong)
	}
	if wrong := SetSubjectType(&c, m.SubjectType); wrong != "" {
		k.bad("subject_type", "%q %s", m.SubjectType, wrong)
	}
	if m.RefreshGrace != "" {
		if d, err := time.ParseDuration(m.RefreshGrace); err != nil {
			k.bad("refresh_grace", "%q is not a duration, like 10s", m.RefreshGrace)
		} else {
			c.RefreshGrace = &d
		}
	}
	return c, k.problems
}

// Check lists everything that is wrong with m as a client, as the API would.
func (m Metadata) Check() []Problem {
	c, problems := m.prepare()
	if hasSecret(c) { // the API makes it
		_, kept := newSecret(time.Time{})
		c.Secrets = []storage.ClientSecret{kept}
	}
	return append(problems, CheckClient(c)...)
}

// compactJSON is a value without white space, nil for null. What is no JSON stays as it is, for CheckClient to refuse.
func compactJSON(raw json.RawMessage) json.RawMessage {
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil || b.Len() == 0 || b.String() == "null" {
		if err != nil {
			return raw
		}
		return nil
	}
	return b.Bytes()
}

// viewClient is the allow-list of what the API shows of a client.
func viewClient(c storage.Client, now time.Time) Client {
	v := Client{
		Metadata: Metadata{
			ClientID: c.ID, ClientName: c.Name, TokenEndpointAuthMethod: authMethodOf(c), GrantTypes: c.GrantTypes,
			Scope: strings.Join(c.Scopes, " "), DefaultScope: strings.Join(c.DefaultScopes, " "),
			RedirectURIs: c.RedirectURIs, Audience: c.Audience, Resources: c.Resources, JWKS: c.JWKS, JWKSURI: c.JWKSURI,
			ResponseModes: c.ResponseModes, RequirePKCE: c.RequirePKCE, RequirePAR: c.RequirePAR,
			RequireSignedRequest: c.RequireSignedRequest, RequestObjectAlg: c.RequestObjectAlg, DefaultMaxAge: c.DefaultMaxAge,
			FirstParty: c.FirstParty, SessionBound: c.SessionBound, UserInfoAlg: c.UserInfoAlg, SectorIdentifier: c.Sector,
			PostLogoutRedirectURIs: c.PostLogoutRedirectURIs, BackchannelLogoutURI: c.BackchannelLogoutURI,
			FrontchannelLogoutURI: c.FrontchannelLogoutURI, AllowedOrigins: c.AllowedOrigins,
			ClientURI: c.URI, LogoURI: c.LogoURI, Accent: c.Accent,
		},
		CreatedAt: c.CreatedAt, Version: c.Version, Source: c.Source,
	}
	if c.Pairwise {
		v.SubjectType = subjectPairwise
	}
	if c.RefreshGrace != nil {
		v.RefreshGrace = c.RefreshGrace.String()
	}
	for _, s := range liveSecrets(c.Secrets, now) {
		v.Secrets = append(v.Secrets, Secret{CreatedAt: s.CreatedAt, ExpiresAt: s.ExpiresAt})
	}
	return v
}
