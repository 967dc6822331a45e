package oidc

import (
	"encoding/json"
	"fmt"
	"slices"
)

// description is for people who read the metadata. The member is that of OpenID Federation §5.2.2: one of our own would be
// as good (RFC 8414 §3.2), but the conformance suite warns of those it does not know.
const description = "The password grant is served only to clients registered for it. It hands the user's password " +
	"to the client and rules out stronger sign-in; RFC 9700 section 2.4 says that it must not be used. Register new " +
	"clients for other grants."

// Metadata is the authorization server metadata of RFC 8414 §2, which is also the provider metadata of OIDC
// Discovery §3.
type Metadata struct {
	Issuer                string `json:"issuer"`
	AuthorizationEndpoint string `json:"authorization_endpoint"`
	TokenEndpoint         string `json:"token_endpoint"`
	UserInfoEndpoint      string `json:"userinfo_endpoint"`
	JWKSURI               string `json:"jwks_uri"`
	RevocationEndpoint    string `json:"revocation_endpoint"`
	IntrospectionEndpoint string `json:"introspection_endpoint"`
	// RFC 9126 §5
	PushedAuthorizationRequestEndpoint string `json:"pushed_authorization_request_endpoint"`
	// OIDC RP-Initiated Logout §2.1
	EndSessionEndpoint string `json:"end_session_endpoint"`

	ScopesSupported        []string `json:"scopes_supported"`
	ResponseTypesSupported []string `json:"response_types_supported"`
	ResponseModesSupported []string `json:"response_modes_supported"`
	GrantTypesSupported    []string `json:"grant_types_supported"`
	// RFC 7636: only S256.
	CodeChallengeMethodsSupported []string `json:"code_challenge_methods_supported"`
	// RFC 9207 §3
	IssParameterSupported bool `json:"authorization_response_iss_parameter_supported"`

	SubjectTypesSupported  []string `json:"subject_types_supported"`
	IDTokenSigningAlgs     []string `json:"id_token_signing_alg_values_supported"`
	UserInfoSigningAlgs    []string `json:"userinfo_signing_alg_values_supported"`
	ClaimTypesSupported    []string `json:"claim_types_supported"`
	ClaimsSupported        []string `json:"claims_supported"`
	ACRValuesSupported     []string `json:"acr_values_supported"`
	DisplayValuesSupported []string `json:"display_values_supported"`
	PromptValuesSupported  []string `json:"prompt_values_supported"`
	UILocalesSupported     []string `json:"ui_locales_supported"`

	TokenEndpointAuthMethods         []string `json:"token_endpoint_auth_methods_supported"`
	TokenEndpointAuthAlgs            []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	RevocationEndpointAuthMethods    []string `json:"revocation_endpoint_auth_methods_supported"`
	RevocationEndpointAuthAlgs       []string `json:"revocation_endpoint_auth_signing_alg_values_supported"`
	IntrospectionEndpointAuthMethods []string `json:"introspection_endpoint_auth_methods_supported"`
	IntrospectionEndpointAuthAlgs    []string `json:"introspection_endpoint_auth_signing_alg_values_supported"`

	ClaimsParameterSupported  bool     `json:"claims_parameter_supported"`
	RequestParameterSupported bool     `json:"request_parameter_supported"`
	RequestObjectSigningAlgs  []string `json:"request_object_signing_alg_values_supported"`
	// RequestURIParameterSupported is about request objects that the server would fetch, which it does not. The request_uri
	// of a pushed request is its own, and announced by the endpoint above. It has to be said: left out, it would mean true.
	RequestURIParameterSupported bool `json:"request_uri_parameter_supported"`

	BackchannelLogoutSupported         bool `json:"backchannel_logout_supported"`
	BackchannelLogoutSessionSupported  bool `json:"backchannel_logout_session_supported"`
	FrontchannelLogoutSupported        bool `json:"frontchannel_logout_supported"`
	FrontchannelLogoutSessionSupported bool `json:"frontchannel_logout_session_supported"`

	Description string `json:"description"`
}

// NewMetadata answers the rendered document for an issuer whose tokens are signed with the given algorithms.
func NewMetadata(issuer string, algorithms []string) ([]byte, error) {
	confidential := []string{"client_secret_basic", "client_secret_post", "private_key_jwt"}
	all := append(slices.Clone(confidential), "none")
	byClients := []string{"RS256", "PS256", "ES256", "EdDSA"}
	body, err := json.MarshalIndent(Metadata{
		Issuer:                             issuer,
		AuthorizationEndpoint:              issuer + "/oauth2/auth",
		TokenEndpoint:                      issuer + "/oauth2/token",
		UserInfoEndpoint:                   issuer + "/userinfo",
		JWKSURI:                            issuer + "/.well-known/jwks.json",
		RevocationEndpoint:                 issuer + "/oauth2/revoke",
		IntrospectionEndpoint:              issuer + "/oauth2/introspect",
		PushedAuthorizationRequestEndpoint: issuer + "/oauth2/par",
		EndSessionEndpoint:                 issuer + "/oauth2/logout",
		ScopesSupported:                    []string{"openid", "profile", "email", "address", "phone", "groups", "offline_access"},
		ResponseTypesSupported:             []string{"code"},
		ResponseModesSupported:             []string{"query", "form_post", "fragment"},
		GrantTypesSupported:                []string{"authorization_code", "refresh_token", "client_credentials", "password"},
		CodeChallengeMethodsSupported:      []string{"S256"},
		IssParameterSupported:              true,
		SubjectTypesSupported:              []string{"public", "pairwise"},
		IDTokenSigningAlgs:                 algorithms,
		UserInfoSigningAlgs:                []string{"RS256"},
		ClaimTypesSupported:                []string{"normal"},
		ClaimsSupported:                    claimsSupported(),
		ACRValuesSupported:                 []string{"1"},
		DisplayValuesSupported:             []string{"page"},
		PromptValuesSupported:              []string{"none", "login", "consent", "select_account"},
		UILocalesSupported:                 []string{"en", "ko"},
		TokenEndpointAuthMethods:           all,
		TokenEndpointAuthAlgs:              byClients,
		RevocationEndpointAuthMethods:      all,
		RevocationEndpointAuthAlgs:         byClients,
		IntrospectionEndpointAuthMethods:   confidential,
		IntrospectionEndpointAuthAlgs:      byClients,
		ClaimsParameterSupported:           true,
		RequestParameterSupported:          true,
		RequestObjectSigningAlgs:           byClients,
		BackchannelLogoutSupported:         true,
		BackchannelLogoutSessionSupported:  true,
		FrontchannelLogoutSupported:        true,
		FrontchannelLogoutSessionSupported: true,
		Description:                        description,
	}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	return body, nil
}
