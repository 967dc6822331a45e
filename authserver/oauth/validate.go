package oauth

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// defaultResponseModes are those of a client that is not registered for others.
var defaultResponseModes = []string{"query", "form_post"}

// validate checks the parameters of an authorization request and fills in what they mean. The redirect URI comes first:
// until it is known to be right every error is for a page (RFC 6749 §4.1.2.1, threats A1, A3).
func (e *Engine) validate(ctx context.Context, a *authorization) error {
	p := a.params
	uri := p.Get("redirect_uri")
	switch {
	case uri == "":
		return &pageError{refusal(a, "redirect_uri", "", "The parameter redirect_uri is required.")}
	case len(p["redirect_uri"]) > 1 || !registeredRedirect(a.client.RedirectURIs, uri):
		return &pageError{refusal(a, "redirect_uri", uri, "This redirect_uri is not registered for the client. It must be the same, "+
			"character by character; whoever runs the application can change it or have it registered.")}
	}
	a.redirectURI = uri
	for _, check := range []func(*authorization) error{checkForm, checkMode, checkResponse, checkPKCE, checkPrompt, e.checkTarget} {
		if err := check(a); err != nil {
			return err
		}
	}
	if token := p.Get("id_token_hint"); token != "" {
		sub, err := e.hint(token, a.client)
		if err != nil {
			return err
		}
		a.hintSubject = sub
	}
	return ctx.Err()
}

func refusal(a *authorization, parameter, value, description string) Refusal {
	r := refusePage(parameter, value, description).Refusal
	r.Client = a.client.Client
	return r
}

// checkForm refuses what no parameter may have.
func checkForm(a *authorization) error {
	count := 0
	for name, values := range a.params {
		count += len(values)
		shown := printable(name)
		if len(shown) > 40 {
			shown = shown[:40] + "..."
		}
		if len(values) > 1 && !repeatable[name] {
			// RFC 6749 §3.1: "MUST NOT be included more than once".
			return invalidRequest("The parameter '" + shown + "' is repeated; send it once (RFC 6749 section 3.1).")
		}
		for _, value := range values {
			if !cleanText(value) {
				return invalidRequest("The parameter '" + shown + "' has control characters or invalid UTF-8.")
			}
		}
		if !repeatable[name] && values[0] == "" {
			a.params.Del(name) // RFC 6749 §3.1: as if it were omitted
		}
	}
	switch {
	case count > maxParameters:
		return invalidRequest(fmt.Sprintf("The request has more than %d parameters.", maxParameters))
	case len(a.params.Get("state")) > maxState:
		a.params.Del("state")
		return invalidRequest(fmt.Sprintf("The state is longer than %d bytes.", maxState))
	case !isText(a.params.Get("state")):
		return invalidRequest("The state has control characters, or is not UTF-8 (RFC 6749 appendix A.5).")
	case len(a.params.Get("nonce")) > maxNonce:
		return invalidRequest(fmt.Sprintf("The nonce is longer than %d bytes.", maxNonce))
	case a.params.Has("registration"):
		return authorizationError("registration_not_supported", "The parameter registration is not supported (OIDC Core section 7.2.1).")
	}
	return nil
}

// checkMode finds the response mode; an answer about a wrong one goes by the default.
func checkMode(a *authorization) error {
	allowed := a.client.ResponseModes
	if len(allowed) == 0 {
		allowed = defaultResponseModes
	}
	a.mode = "query"
	mode := a.params.Get("response_mode")
	switch {
	case mode == "" && !slices.Contains(allowed, a.mode):
		// OAuth 2.0 Multiple Response Types §2.1: the default is query, which this client does not want codes in.
		return invalidRequest("The response_mode is required: this client is not registered for query, the default.")
	case mode == "":
	case !slices.Contains([]string{"query", "form_post", "fragment"}, mode):
		return invalidRequest("The response_mode is not one of query, form_post, fragment.")
	case !slices.Contains(allowed, mode):
		return invalidRequest("This client is not registered for the response_mode " + mode + ".")
	case mode == "form_post" && !strings.HasPrefix(a.redirectURI, "https:") && !strings.HasPrefix(a.redirectURI, "http:"):
		return invalidRequest("The response_mode form_post needs a redirect_uri with https or http: a page posts nothing to an app. Use query.")
	default:
		a.mode = mode
	}
	return nil
}

// checkResponse checks what is asked for: a code, of a client that may have one.
func checkResponse(a *authorization) error {
	switch kind := a.params.Get("response_type"); {
	case kind == "":
		return invalidRequest("The parameter response_type is required; it must be 'code' (RFC 6749 section 4.1.1).")
	case kind != "code":
		return authorizationError("unsupported_response_type", "The only response_type here is 'code'.")
	case !slices.Contains(a.client.GrantTypes, grantAuthorizationCode):
		return unauthorizedClient(grantAuthorizationCode)
	}
	return nil
}

// checkPKCE checks the code challenge (RFC 7636 §4.3, RFC 9700 §2.1.1, threats A4).
func checkPKCE(a *authorization) error {
	challenge, method := a.params.Get("code_challenge"), a.params.Get("code_challenge_method")
	digest, err := base64.RawURLEncoding.Strict().DecodeString(challenge)
	switch {
	case challenge == "" && method != "":
		return invalidRequest("A code_challenge_method came without code_challenge.")
	case challenge == "" && (a.client.Public || a.client.RequirePKCE):
		return invalidRequest("The parameter code_challenge is required of this client, with code_challenge_method=S256 " +
			"(RFC 7636 section 4.4.1).")
	case challenge != "" && method != "S256":
		return invalidRequest("The code_challenge_method must be S256; plain, which is also the default, is refused (RFC 9700 section 2.1.1).")
	case challenge != "" && (err != nil || len(digest) != 32 || len(challenge) != 43):
		return invalidRequest("The code_challenge is not the base64url of a SHA-256: 43 characters (RFC 7636 section 4.2).")
	}
	a.challenge = challenge
	return nil
}

// prompt values, OIDC Core §3.1.2.1.
var promptValues = []string{"none", "login", "consent", "select_account"}

// checkPrompt reads what decides whether a person is asked something.
func checkPrompt(a *authorization) error {
	a.promptValues = strings.Fields(a.params.Get("prompt"))
	for _, value := range a.promptValues {
		if !slices.Contains(promptValues, value) {
			return invalidRequest("The prompt has a value that is not one of " + strings.Join(promptValues, ", ") + ".")
		}
	}
	if a.prompts("none") && len(a.promptValues) > 1 {
		return invalidRequest("The prompt 'none' goes with no other value (OIDC Core section 3.1.2.1).")
	}
	a.maxAge = a.client.DefaultMaxAge
	if text := a.params.Get("max_age"); text != "" {
		seconds, err := strconv.ParseInt(text, 10, 64)
		if err != nil || seconds < 0 {
			return invalidRequest("The max_age is not a number of seconds from 0.")
		}
		a.maxAge = &seconds
	}
	return nil
}

// checkTarget finds scopes, claims and audience.
func (e *Engine) checkTarget(a *authorization) error {
	requested, err := parseScope(a.params.Get("scope"))
	if err != nil {
		return err
	}
	// OIDC Core §3.1.2.1: "Scope values used that are not understood by an implementation SHOULD be ignored". The answer of
	// the token endpoint says which are granted (RFC 6749 §5.1).
	a.scopes = intersect(requested, a.client.Scopes)
	switch {
	case len(requested) == 0:
		a.scopes = slices.Clone(a.client.DefaultScopes)
	case len(a.scopes) == 0:
		return invalidScope("This client is registered for none of the requested scopes.")
	}
	if !slices.Contains(a.client.GrantTypes, grantRefreshToken) || !slices.Contains(a.scopes, scopeOpenID) {
		// OIDC Core §11: it asks for refresh tokens.
		a.scopes = slices.DeleteFunc(a.scopes, func(s string) bool { return s == scopeOfflineAccess })
	}
	a.claims, err = parseClaims(a.params.Get("claims"), func(name string) bool { return mayAsk(a.client.Scopes, name) })
	if err != nil {
		return invalidRequest("The parameter claims is " + err.Error() + ".")
	}
	if a.audience, err = audienceWithin(a.params, e.audienceOf(a.client)); err != nil {
		return err
	}
	return nil
}

// audienceWithin answers which of the allowed audiences a request names (RFC 8707 §2), or all.
func audienceWithin(form url.Values, allowed []string) ([]string, error) {
	aud, refused := within(requestedAudience(form), allowed, allowed)
	if refused != "" {
		return nil, invalidTarget("The resource is not one this client may get tokens for (RFC 8707 section 2).")
	}
	return aud, nil
}

// claimScopes says under which scope a claim is had (OIDC Core §5.4). A client that is not registered for the scope does
// not get the claim by asking for it alone (threats A18). Package oidc has the same table the other way round.
var claimScopes = map[string]string{
	"name": scopeProfile, "family_name": scopeProfile, "given_name": scopeProfile, "middle_name": scopeProfile,
	"nickname": scopeProfile, "preferred_username": scopeProfile, "profile": scopeProfile, "picture": scopeProfile,
	"website": scopeProfile, "gender": scopeProfile, "birthdate": scopeProfile, "zoneinfo": scopeProfile,
	"locale": scopeProfile, "updated_at": scopeProfile,
	"email": "email", "email_verified": "email", "address": "address",
	"phone_number": "phone", "phone_number_verified": "phone", "groups": "groups",
}

const scopeProfile = "profile"

// mayAsk tells whether a claim that is asked for by name is understood (OIDC Core §5.5: others are ignored) and the client
// may have it.
func mayAsk(scopes []string, claim string) bool {
	name, tag, tagged := strings.Cut(claim, "#")
	scope, understood := claimScopes[name]
	return understood && (!tagged || isLanguageTag(tag)) && slices.Contains(scopes, scope)
}

// isLanguageTag tells whether s may stand behind the # of a claim (OIDC Core §5.2, RFC 5646 §2.1): letters and digits in
// parts of one to eight, with hyphens between them.
func isLanguageTag(s string) bool {
	for part := range strings.SplitSeq(s, "-") {
		odd := func(r rune) bool { return r == '.' || r == '_' || r == '~' || !unreserved(r) }
		if part == "" || len(part) > 8 || strings.ContainsFunc(part, odd) {
			return false
		}
	}
	return true
}
