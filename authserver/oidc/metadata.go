package oidc

import (
	"encoding/json"
	"fmt"
)

// passwordGrantNote is told to people who read the metadata; programs ignore unknown members (RFC 8414 §3.2).
const passwordGrantNote = "The password grant is served only to clients registered for it. It hands the user's password " +
	"to the client and rules out stronger sign-in; RFC 9700 section 2.4 says that it must not be used. Register new " +
	"clients for other grants."

// Metadata is the authorization server metadata of RFC 8414 §2, which is also the provider metadata of OIDC
// Discovery §3.
type Metadata struct {
	Issuer                string   `json:"issuer"`
	TokenEndpoint         string   `json:"token_endpoint"`
	JWKSURI               string   `json:"jwks_uri"`
	RevocationEndpoint    string   `json:"revocation_endpoint"`
	IntrospectionEndpoint string   `json:"introspection_endpoint"`
	ScopesSupported       []string `json:"scopes_supported"`
	// ResponseTypesSupported is required and empty: there is no authorization endpoint.
	ResponseTypesSupported           []string `json:"response_types_supported"`
	GrantTypesSupported              []string `json:"grant_types_supported"`
	SubjectTypesSupported            []string `json:"subject_types_supported"`
	IDTokenSigningAlgs               []string `json:"id_token_signing_alg_values_supported"`
	TokenEndpointAuthMethods         []string `json:"token_endpoint_auth_methods_supported"`
	RevocationEndpointAuthMethods    []string `json:"revocation_endpoint_auth_methods_supported"`
	IntrospectionEndpointAuthMethods []string `json:"introspection_endpoint_auth_methods_supported"`
	ClaimsSupported                  []string `json:"claims_supported"`
	ACRValuesSupported               []string `json:"acr_values_supported"`
	RequestParameterSupported        bool     `json:"request_parameter_supported"`
	RequestURIParameterSupported     bool     `json:"request_uri_parameter_supported"`
	ClaimsParameterSupported         bool     `json:"claims_parameter_supported"`
	PasswordGrantNote                string   `json:"ingam_password_grant"`
}

// NewMetadata answers the rendered document for an issuer whose tokens are signed with the given algorithms.
func NewMetadata(issuer string, algorithms []string) ([]byte, error) {
	confidential := []string{"client_secret_basic", "client_secret_post"}
	body, err := json.MarshalIndent(Metadata{
		Issuer:                           issuer,
		TokenEndpoint:                    issuer + "/oauth2/token",
		JWKSURI:                          issuer + "/.well-known/jwks.json",
		RevocationEndpoint:               issuer + "/oauth2/revoke",
		IntrospectionEndpoint:            issuer + "/oauth2/introspect",
		ScopesSupported:                  []string{"openid", "profile", "email", "address", "phone", "groups"},
		ResponseTypesSupported:           []string{},
		GrantTypesSupported:              []string{"password", "refresh_token", "client_credentials"},
		SubjectTypesSupported:            []string{"public"},
		IDTokenSigningAlgs:               algorithms,
		TokenEndpointAuthMethods:         append(confidential[:2:2], "none"),
		RevocationEndpointAuthMethods:    append(confidential[:2:2], "none"),
		IntrospectionEndpointAuthMethods: confidential,
		ClaimsSupported:                  claimsSupported(),
		ACRValuesSupported:               []string{"1"},
		PasswordGrantNote:                passwordGrantNote,
	}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	return body, nil
}
