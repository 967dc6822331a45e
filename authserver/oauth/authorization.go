package oauth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/json"

	"github.com/ingam/ingam/storage"
)

const (
	scopeOpenID        = "openid"
	scopeOfflineAccess = "offline_access"

	// maxAuthorization bounds the query of an authorization request, in bytes: it becomes an address that browsers and
	// servers have to take. maxState is for state, which we give back, maxNonce for nonce,
	// which we keep and put into a token.
	maxAuthorization = 16 << 10
	maxState         = 8 << 10
	maxNonce         = 1 << 10
	maxClaimName     = 64
	tooLong          = "The authorization request is longer than 16 KiB. Push it (RFC 9126), or make its state shorter."

	// idTokenType is the typ of ID tokens, which come back as id_token_hint.
	idTokenType = "JWT"
)

// authorization is an authorization request that is right in itself.
type authorization struct {
	client *client
	// query is what was in the address, params what counts: after a pushed request or a request object took its place.
	query, params url.Values
	pushed        storage.PushedRequest // its ID is "" if none
	proof, seen   string                // what the address had besides; seen is of this request for certain

	redirectURI, mode string
	scopes, audience  []string
	challenge         string
	promptValues      []string
	maxAge            *int64
	hintSubject       string
	claims            requestedClaims
	consented         bool // a stored consent covers it
}

func (a *authorization) prompts(value string) bool { return slices.Contains(a.promptValues, value) }

// continueURL is the address of the request relative to the issuer, in one spelling and without proofs.
func (a *authorization) continueURL() string {
	address := authorizePath + "?" + a.query.Encode()
	if a.seen != "" {
		address += "&" + seenParam + "=" + url.QueryEscape(a.seen)
	}
	return address
}

// readAuthorization reads a request from the query of its address. The authorization it answers beside an error is good
// for answering that error: it has a redirect URI only if that is known to be right.
func (e *Engine) readAuthorization(ctx context.Context, raw string) (*authorization, error) {
	a := &authorization{}
	if len(raw) > maxAuthorization+4096 { // and a proof
		return a, &Error{Code: "invalid_request", Status: 414, Description: tooLong}
	}
	query, err := url.ParseQuery(raw)
	if err != nil {
		return a, refusePage("", "", "The query of the address is malformed: check its % escapes.")
	}
	a.proof = query.Get(proofParam)
	seen := query.Get(seenParam)
	query.Del(proofParam)
	query.Del(seenParam)
	a.query, a.params = query, query
	// Of what decides where an answer goes there must be one (RFC 6749 §3.1, §4.1.2.1).
	for _, name := range []string{"client_id", "redirect_uri", "request_uri"} {
		if len(query[name]) > 1 {
			return a, refusePage(name, "", "The parameter is repeated; send it once (RFC 6749 section 3.1).")
		}
		if !cleanText(query.Get(name)) {
			return a, refusePage(name, "", "The parameter has control characters or invalid UTF-8.")
		}
	}
	if a.client, err = e.authorizingClient(ctx, query.Get("client_id")); err != nil {
		return a, err
	}
	if err := e.resolveParams(ctx, a, seen); err != nil {
		return a, err
	}
	return a, e.validate(ctx, a)
}

// authorizingClient finds the client that a request names.
func (e *Engine) authorizingClient(ctx context.Context, id string) (*client, error) {
	if id == "" {
		return nil, refusePage("client_id", "", "The parameter client_id is required (RFC 6749 section 4.1.1).")
	}
	registered, err := e.store.Client(ctx, id)
	if err != nil {
		return nil, ifNotFound(err, refusePage("client_id", id, "There is no client with this client_id here."))
	}
	return &client{registered}, nil
}

func usedRequestURI(uri string) *pageError {
	return refusePage("request_uri", uri, "The pushed request is unknown, has expired or has been used. "+
		"Go back to the application and start again.")
}

// resolveParams puts the parameters of a pushed request (RFC 9126) or of a request object (RFC 9101) in the place of those
// in the address. seen is what the address says of an object that was good before.
func (e *Engine) resolveParams(ctx context.Context, a *authorization, seen string) error {
	uri := a.query.Get("request_uri")
	if uri == "" {
		if a.client.RequirePAR {
			e.answerEarly(a)
			return invalidRequest("This client must push its requests to /oauth2/par first (RFC 9126 section 6).")
		}
		return e.openRequestObject(ctx, a, seen)
	}
	id, ok := strings.CutPrefix(uri, requestURIPrefix)
	if !ok {
		return refusePage("request_uri", uri, "Request objects are not fetched from addresses; push the request to /oauth2/par (RFC 9126).")
	}
	pushed, err := storage.PushedRequests{Entries: e.store}.Request(ctx, id)
	if err != nil {
		return ifNotFound(err, usedRequestURI(uri))
	}
	if pushed.ClientID != a.client.ID {
		return refusePage("request_uri", uri, "The request was pushed by another client (RFC 9126 section 2.2).")
	}
	// RFC 9126 §4: nothing that stands beside it counts.
	a.query = url.Values{"client_id": {a.client.ID}, "request_uri": {uri}}
	a.params, a.pushed = pushed.Params, pushed
	return nil
}

// openRequestObject replaces parameters by those of a request object. For a client that must sign its requests only what
// is signed counts (RFC 9101 §5); for others what is not in the object may stand beside it (OIDC Core §6.1).
func (e *Engine) openRequestObject(ctx context.Context, a *authorization, seen string) error {
	object := a.params.Get("request")
	e.answerEarly(a) // an error about the object
	if len(a.params["request"]) > 1 {
		return invalidRequest("The parameter 'request' is repeated; send it once (RFC 6749 section 3.1).")
	}
	if object == "" {
		if a.client.RequireSignedRequest {
			return invalidRequest("This client must send a signed request object (RFC 9101 section 10.5).")
		}
		a.redirectURI = ""
		return nil
	}
	if header, _, _ := strings.Cut(object, "."); unsignedObject(header) {
		// OIDC Core §6.1: unsigned ones are another feature, which is not offered.
		return authorizationError("request_not_supported",
			"Unsigned request objects are not supported: sign it, or send the parameters as they are.")
	}
	if !a.client.RequireSignedRequest {
		if err := checkForm(a); err != nil { // also of what the object has as well
			return err
		}
	}
	now := time.Now()
	asOf, seen := e.seenFirst(a, seen, now)
	signed, err := e.readRequestObject(ctx, a.client.Client, object, asOf)
	if err != nil {
		return err
	}
	a.seen = seen
	beside := a.params
	a.params = url.Values{"client_id": {a.client.ID}}
	if !a.client.RequireSignedRequest {
		maps.Copy(a.params, beside)
		a.params.Del("request")
	}
	maps.Copy(a.params, signed)
	// OIDC Core §6.1: it is the same in both places; so is client_id, which has been compared.
	if kind := beside.Get("response_type"); kind != "" && signed.Has("response_type") && kind != signed.Get("response_type") {
		e.answerEarly(a)
		return invalidRequest("The response_type in the request object is not the one beside it (OIDC Core section 6.1).")
	}
	a.redirectURI = ""
	return nil
}

// unsignedObject tells whether the header of a JWT says that it is not signed (RFC 7519 §6).
func unsignedObject(header string) bool {
	text, err := base64.RawURLEncoding.DecodeString(header)
	var h struct {
		Algorithm string `json:"alg"`
	}
	return err == nil && len(text) < 1024 && json.Unmarshal(text, &h) == nil && strings.EqualFold(h.Algorithm, "none")
}

// answerEarly finds where, and in which response mode, an error may go that is found before the request is validated. What is
// wrong with either is for validate to say.
func (*Engine) answerEarly(a *authorization) {
	a.redirectURI = ""
	if uri := a.params.Get("redirect_uri"); registeredRedirect(a.client.RedirectURIs, uri) {
		a.redirectURI = uri
		if len(a.params["response_mode"]) == 1 {
			_ = checkMode(a)
		}
	}
}

// registeredRedirect compares a redirect URI with those that are registered: character by character (RFC 9700 §2.1), but
// for the port of http to a loopback IP address (RFC 8252 §7.3).
func registeredRedirect(registered []string, uri string) bool {
	return slices.Contains(registered, uri) || slices.ContainsFunc(registered, func(r string) bool {
		want, ok := withoutLoopbackPort(r)
		got, ok2 := withoutLoopbackPort(uri)
		return ok && ok2 && want == got
	})
}

// withoutLoopbackPort cuts the port off an http URI of a loopback IP address. It cuts text, so that everything else stays
// compared character by character.
func withoutLoopbackPort(uri string) (string, bool) {
	rest, ok := strings.CutPrefix(uri, "http://")
	if !ok {
		return "", false
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	host, port, hasPort := rest[:end], "", false
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host, port, hasPort = host[:i], host[i+1:], true
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	if err != nil || !ip.IsLoopback() || ip.Is6() != strings.HasPrefix(host, "[") {
		return "", false
	}
	if n, err := strconv.ParseUint(port, 10, 16); hasPort && (err != nil || n == 0 || port[0] == '0') {
		return "", false
	}
	return "http://" + host + rest[end:], true
}

// anybodyMayListen tells whether the answer goes to a place on the person's own device that other programs can take, for a
// client that cannot prove who it is: a port of the device (http goes nowhere else) or the scheme of an app. RFC 8252 §8.6:
// such a request is not answered without the person, whatever they said before.
//
// A server that is itself on the person's device is a developer's. There only what asks for consent is asked about, and
// only what apps use, not an http://localhost that a web app is developed at.
func (e *Engine) anybodyMayListen(a *authorization) bool {
	if !a.client.Public || strings.HasPrefix(a.redirectURI, "https:") {
		return false
	}
	return !onThisDevice(e.cfg.Issuer) || !a.client.FirstParty && !isLocalhost(a.redirectURI)
}

// onThisDevice goes by the name in an address alone: nothing is looked up.
func onThisDevice(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return err == nil && ip.IsLoopback() || u.Hostname() == "localhost"
}

// isLocalhost tells an http URI to localhost by name.
func isLocalhost(uri string) bool {
	u, err := url.Parse(uri)
	return err == nil && u.Scheme == "http" && u.Hostname() == "localhost"
}

// needed is why somebody has to sign in.
type needed int

const (
	nobody    needed = iota + 1 // nobody is signed in
	again                       // somebody is, and must prove it again: prompt=login, max_age
	otherUser                   // somebody else is than the one the client means
)

// needsSignIn decides whether a person has to sign in, 0 if not. used tells that the
// proof was needed, or can be later.
func (a *authorization) needsSignIn(
	subjects Subjects, s storage.Session, u storage.User, proven Proven, now time.Time,
) (reason needed, used bool) {
	if s.ID == "" {
		return nobody, false
	}
	if a.wantsAnother(subjects.Subject(a.client.Client, u.ID)) {
		return otherUser, false
	}
	// OIDC Core §3.1.2.1: max_age=0 is prompt=login. auth_time is cut to the second, so this never takes a sign-in for younger
	// than the client will, who sees auth_time.
	stale := a.maxAge != nil && (*a.maxAge == 0 || now.Sub(s.AuthTime).Seconds() > float64(*a.maxAge))
	if a.prompts("login") || stale {
		if !proven.SignedIn {
			return again, false
		}
		return 0, true
	}
	// A sign-in that is young enough today is not when the same address is loaded again: its proof counts once as well.
	return 0, a.maxAge != nil && proven.SignedIn
}

// wantsAnother tells whether the client means somebody else than sub, by a hint or by a claim (OIDC Core §5.5.1).
func (a *authorization) wantsAnother(sub string) bool {
	return a.hintSubject != "" && a.hintSubject != sub || len(a.claims.subjects) > 0 && !slices.Contains(a.claims.subjects, sub)
}

// hint answers the sub of an id_token_hint: one of our ID tokens for this client. That it has expired is no matter, nor
// that its key signs no more (OIDC Core §3.1.2.1).
func (e *Engine) hint(token string, c *client) (string, error) {
	wrong := invalidRequest("The id_token_hint is not an ID token that this server issued to this client.")
	payload, err := e.keys.Verify(token, idTokenType)
	if err != nil {
		return "", wrong
	}
	var claims struct {
		Issuer   string   `json:"iss"`
		Subject  string   `json:"sub"`
		Audience audience `json:"aud"`
		Expires  int64    `json:"exp"` // a signed answer of userinfo, which is no ID token, has none
	}
	err = json.Unmarshal(payload, &claims)
	if err != nil || claims.Issuer != e.cfg.Issuer || claims.Subject == "" || claims.Expires == 0 ||
		!slices.Contains(claims.Audience, c.ID) {
		return "", wrong
	}
	return claims.Subject, nil
}

// requestedClaims is what the claims parameter asks for (OIDC Core §5.5), as far as it changes anything here.
type requestedClaims struct {
	userInfo, idToken []string
	subjects          []string // sub must be one of these
	acrValues         []string // an essential acr must be one of these
}

// names are all of them, each once.
func (c requestedClaims) names() []string {
	all := slices.Clone(c.userInfo)
	for _, name := range c.idToken {
		if !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
}

func (c requestedClaims) unmetACR(acr string) bool {
	return len(c.acrValues) > 0 && !slices.Contains(c.acrValues, acr)
}

// claimRequest is one member of OIDC Core §5.5.1.
type claimRequest struct {
	Essential bool  `json:"essential"`
	Value     any   `json:"value"`
	Values    []any `json:"values"`
}

// texts are the values that are asked for and can be had here: acr and sub are strings.
func (m *claimRequest) texts() (all []string) {
	if m == nil {
		return nil
	}
	for _, v := range append(m.Values, m.Value) {
		if text, ok := v.(string); ok {
			all = append(all, text)
		}
	}
	return all
}

var errClaims = errors.New("not an object as OIDC Core section 5.5 has it, with each name once")

// parseClaims reads the claims parameter. allowed tells whether a client may have a claim.
func parseClaims(text string, allowed func(name string) bool) (c requestedClaims, err error) {
	if text == "" {
		return c, nil
	}
	// This decoder refuses a name that comes twice, in whole also where nobody looks: OIDC Core §5.5 says not which would count.
	var whole any
	var top map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &whole) != nil || json.Unmarshal([]byte(text), &top) != nil || top == nil {
		return c, errClaims
	}
	for _, part := range []struct {
		name string
		into *[]string
	}{{"userinfo", &c.userInfo}, {"id_token", &c.idToken}} {
		var members map[string]*claimRequest
		if raw, ok := top[part.name]; ok {
			if err := json.Unmarshal(raw, &members); err != nil {
				return c, errClaims
			}
		}
		if len(members) > maxScopes {
			return c, errClaims
		}
		for name, member := range members {
			if c.special(name, member) || len(name) > maxClaimName || !allowed(name) {
				continue
			}
			*part.into = append(*part.into, name)
		}
		slices.Sort(*part.into)
	}
	return c, nil
}

// special notes what is asked of sub and acr, and tells whether a claim is always there anyway.
func (c *requestedClaims) special(name string, m *claimRequest) bool {
	switch name {
	case "sub":
		if subjects := m.texts(); len(subjects) > 0 { // if not, the other half of the parameter may name it
			c.subjects = subjects
		}
	case "acr":
		if m != nil && m.Essential {
			c.acrValues = append(c.acrValues, m.texts()...)
		}
	case "auth_time", "amr", "iss", "aud", "exp", "iat", "nonce", "sid", "at_hash":
	default:
		return false
	}
	return true
}

// consentToken binds a consent form to the session, the request and what was shown: <expiry>.<random>.<MAC>.
func (e *Engine) consentToken(a *authorization, s storage.Session, now time.Time) string {
	stamp := strconv.FormatInt(now.Add(consentLifetime).Unix(), 10) + "." + rand.Text()
	return stamp + "." + base64.RawURLEncoding.EncodeToString(consentMAC(e.keys.Derive("consent")[0], a, s, stamp))
}

// consentLifetime is how long a person may think about it.
const consentLifetime = 10 * time.Minute

func consentMAC(secret []byte, a *authorization, s storage.Session, stamp string) []byte {
	h := hmac.New(sha256.New, secret)
	for _, part := range []string{
		s.ID, string(s.SecretHash), a.client.ID, a.continueURL(), a.params.Encode(), strings.Join(a.scopes, " "),
		strings.Join(a.claims.names(), " "), stamp,
	} {
		_, _ = h.Write([]byte(strconv.Itoa(len(part)) + ":" + part)) // never fails
	}
	return h.Sum(nil)
}

// checkConsentToken answers the key under which a token counts once, and until when.
func (e *Engine) checkConsentToken(token string, a *authorization, s storage.Session) (mark string, until time.Time, ok bool) {
	cut := strings.LastIndexByte(token, '.')
	if cut < 0 {
		return "", time.Time{}, false
	}
	stamp := token[:cut]
	number, _, _ := strings.Cut(stamp, ".")
	unix, err := strconv.ParseInt(number, 10, 64)
	mac, err2 := base64.RawURLEncoding.DecodeString(token[cut+1:])
	if err != nil || err2 != nil || time.Now().Unix() >= unix {
		return "", time.Time{}, false
	}
	for _, secret := range e.keys.Derive("consent") {
		if want := consentMAC(secret, a, s, stamp); subtle.ConstantTimeCompare(mac, want) == 1 {
			return "consent:" + base64.RawURLEncoding.EncodeToString(want), time.Unix(unix, 0), true
		}
	}
	return "", time.Time{}, false
}
