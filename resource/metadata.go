package resource

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// metadataPath is where a resource without a path keeps its metadata (RFC 9728 §3).
const metadataPath = "/.well-known/oauth-protected-resource"

// Metadata describes a protected resource to clients (RFC 9728 §2).
type Metadata struct {
	// Resource is the resource identifier, the URL that clients compare.
	Resource string `json:"resource"`
	// AuthorizationServers lists the issuers whose tokens are accepted.
	AuthorizationServers []string `json:"authorization_servers,omitempty"`
	// ScopesSupported lists the scopes that requests here may need.
	ScopesSupported []string `json:"scopes_supported,omitempty"`
	// BearerMethodsSupported says how a token may be sent: here only "header".
	BearerMethodsSupported []string `json:"bearer_methods_supported"`
	// ResourceName is for people.
	ResourceName string `json:"resource_name,omitempty"`
	// ResourceDocumentation is a URL for developers.
	ResourceDocumentation string `json:"resource_documentation,omitempty"`
}

// MetadataHandler serves the metadata of the configured Resource, with the given
// scopes as scopes_supported. Mount it at the path that [MetadataPath]
// returns. It fails if the Verifier has no Resource.
func (v *Verifier) MetadataHandler(scopes ...string) (http.Handler, error) {
	if v == nil || v.resource == "" {
		return nil, fmt.Errorf("resource: metadata: %w", checkIdentifier(""))
	}
	return NewMetadataHandler(Metadata{
		Resource:             v.resource,
		AuthorizationServers: []string{v.rules.issuer},
		ScopesSupported:      scopes,
	})
}

// NewMetadataHandler serves m as JSON, rendered once. It fails if Resource is not a
// URL. BearerMethodsSupported defaults to ["header"], the only method that
// Require accepts.
func NewMetadataHandler(m Metadata) (http.Handler, error) {
	if err := checkIdentifier(m.Resource); err != nil {
		return nil, fmt.Errorf("resource: metadata: resource: %w", err)
	}
	if m.BearerMethodsSupported == nil {
		m.BearerMethodsSupported = []string{"header"}
	}
	body, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("resource: metadata: %w", err)
	}
	body = append(body, '\n')
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Cache-Control", "public, max-age=3600")
		h.Set("X-Content-Type-Options", "nosniff")
		// The document is public, and clients in browsers need it before they have
		// anything else.
		h.Set("Access-Control-Allow-Origin", "*")
		_, _ = w.Write(body)
	}), nil
}

// MetadataPath returns the path at which the metadata of a resource is served: the
// well-known part goes between host and path (RFC 9728 §3.1).
func MetadataPath(resource string) string {
	u, err := url.Parse(resource)
	if err != nil {
		return metadataPath
	}
	return metadataPath + strings.TrimSuffix(u.EscapedPath(), "/")
}

// metadataURL returns the address of a resource's metadata, for challenges.
func metadataURL(resource string) string {
	u, err := url.Parse(resource)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host + MetadataPath(resource)
}
