package oauth

import (
	"bytes"
	"context"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/go-jose/go-jose/v4/json"

	"github.com/ingam/ingam/storage"
)

// maxRequestObject bounds a request object before anything looks into it.
const maxRequestObject = 32 << 10

// How the claims of a request object become parameters (RFC 9101 §4, OIDC Core §6.1). All others are strings.
var (
	// objectRegistered are claims about the object itself (RFC 7519 §4.1), which are no parameters.
	objectRegistered = []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti"}
	// objectStrings are the parameters of an authorization request that must be strings.
	objectStrings = []string{
		"response_type", "client_id", "redirect_uri", "scope", "state", "nonce", "response_mode", "display", "prompt", "ui_locales",
		"claims_locales", "id_token_hint", "login_hint", "acr_values", "code_challenge", "code_challenge_method",
	}
	objectNumbers = []string{"max_age"}
	objectJSON    = []string{"claims", "registration", "authorization_details"}
	objectLists   = []string{"resource", "audience"}
)

// invalidRequestObject is RFC 9101 §6.
func invalidRequestObject(why error) *Error {
	return &Error{
		Code: "invalid_request_object", Status: http.StatusBadRequest, cause: why,
		Description: "The request object is refused: " + why.Error() + " (RFC 9101 section 6).",
	}
}

// readRequestObject verifies a request object (RFC 9101 §6, OIDC Core §6.3.2) and answers the parameters in it. Unsigned and
// encrypted ones are refused. now is when it must be good.
func (e *Engine) readRequestObject(ctx context.Context, c storage.Client, object string, now time.Time) (url.Values, error) {
	if len(object) > maxRequestObject {
		return nil, invalidRequestObject(fmt.Errorf("it is longer than %d bytes", maxRequestObject))
	}
	algs := clientAlgorithms
	if c.RequestObjectAlg != "" {
		// Registered for one: no other, and none that we do not serve at all.
		algs = slices.DeleteFunc(slices.Clone(clientAlgorithms), func(alg string) bool { return alg != c.RequestObjectAlg })
		if len(algs) == 0 {
			return nil, invalidRequestObject(errors.New("the client is registered for an alg that is not served"))
		}
	}
	payload, err := e.clients.open(ctx, c, object, algs, "oauth-authz-req+jwt")
	if errors.Is(err, errKeysUnknown) {
		return nil, invalidRequestObject(errKeysUnknown).because(err)
	}
	if err != nil {
		return nil, invalidRequestObject(err)
	}
	claims, err := readClaims(payload)
	if err == nil {
		err = checkRequestObject(claims, e.cfg.Issuer, c.ID, now)
	}
	var params url.Values
	if err == nil {
		params, err = claims.params()
	}
	if err != nil {
		return nil, invalidRequestObject(err)
	}
	return params, nil
}

// checkRequestObject checks who made the object, for whom, and when.
func checkRequestObject(claims jwtClaims, issuer, clientID string, now time.Time) error {
	// RFC 9101 §4: iss is the client and aud the issuer.
	if iss, err := claims.text("iss"); err != nil || iss != clientID {
		return errors.New("its iss is not the client_id")
	}
	if audience, err := claims.list("aud"); err != nil || !slices.Contains(audience, issuer) {
		return fmt.Errorf("its aud does not have %s", issuer)
	}
	// RFC 9101 §5: client_id in it is the one beside it.
	if id, err := claims.text("client_id"); err != nil || claims["client_id"] != nil && id != clientID {
		return errors.New("its client_id is not that of the client that signed it")
	}
	// RFC 9101 §10.8: an object with sub would be good as a client assertion.
	if sub, err := claims.text("sub"); err != nil || sub == clientID {
		return errors.New("its sub is the client_id, as in a client assertion; leave sub out")
	}
	// RFC 9101 §4: no object inside an object.
	for _, name := range []string{"request", "request_uri"} {
		if _, has := claims[name]; has {
			return fmt.Errorf("it has a %s in it", name)
		}
	}
	return claims.current(now)
}

// params turns claims into parameters. An empty or null one is as if it were not there (RFC 6749 §3.1), and so is an unknown
// one that is not a string.
func (c jwtClaims) params() (url.Values, error) {
	params := url.Values{}
	for name, raw := range c {
		if slices.Contains(objectRegistered, name) || string(raw) == "null" {
			continue
		}
		values, err := c.param(name)
		if err != nil {
			return nil, err
		}
		for _, value := range values {
			if !cleanText(value) {
				return nil, fmt.Errorf("its %s has control characters", shortName(name))
			}
			if value != "" {
				params.Add(name, value)
			}
		}
	}
	return params, nil
}

// param answers the values of one parameter.
func (c jwtClaims) param(name string) ([]string, error) {
	switch {
	case slices.Contains(objectLists, name):
		return c.list(name)
	case slices.Contains(objectNumbers, name):
		value, err := c.number(name)
		return []string{value}, err
	case slices.Contains(objectJSON, name):
		value, err := c.document(name)
		return []string{value}, err
	}
	value, err := c.text(name)
	if err != nil && !slices.Contains(objectStrings, name) {
		return nil, nil // unknown: ignored
	}
	return []string{value}, err
}

// number answers a whole number in decimal digits, also where the claim is a string.
func (c jwtClaims) number(name string) (string, error) {
	if value, err := c.text(name); err == nil {
		return value, nil // checked where all max_age are
	}
	value, err := strconv.ParseFloat(string(c[name]), 64)
	if err != nil || value != math.Trunc(value) || math.Abs(value) > 1<<53 {
		return "", fmt.Errorf("its %s is not a whole number", name)
	}
	return strconv.FormatInt(int64(value), 10), nil
}

// document answers an object or array as JSON text without white space, also where the claim is a string.
func (c jwtClaims) document(name string) (string, error) {
	if value, err := c.text(name); err == nil {
		return value, nil
	}
	// This decoder refuses a name that comes twice, also deep inside; the other one would take the last.
	var parsed any
	if err := json.Unmarshal(c[name], &parsed); err != nil {
		return "", fmt.Errorf("its %s has a name twice", name)
	}
	if kind := c[name][0]; kind != '{' && kind != '[' {
		return "", fmt.Errorf("its %s is not a JSON object", name)
	}
	var compact bytes.Buffer
	if err := stdjson.Compact(&compact, c[name]); err != nil {
		return "", fmt.Errorf("its %s is not JSON", name)
	}
	return compact.String(), nil
}

// shortName is a name from a request, cut for an error text.
func shortName(name string) string {
	if len(name) > 40 {
		return name[:40] + "..."
	}
	return name
}
