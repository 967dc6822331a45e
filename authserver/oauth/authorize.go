package oauth

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ingam/ingam/authserver/audit"
	"github.com/ingam/ingam/authserver/credential"
	"github.com/ingam/ingam/storage"
)

// The address of the authorization endpoint and the parameter that forms of the sign-in add to it.
const (
	authorizePath = "/oauth2/auth"
	proofParam    = "ingam_proof"
	// maxLocales bounds how many of a stranger's ui_locales go into a page.
	maxLocales = 10
)

// Pages are what people see during an authorization request, and the browser sessions behind it.
type Pages interface {
	// SignedIn answers the live browser session of the request's cookie and its user; a zero Session when nobody is signed
	// in. An error is a failure of the store.
	SignedIn(r *http.Request) (storage.Session, storage.User, error)
	// Join notes in the session that a client signed the user in through it.
	Join(r *http.Request, s storage.Session, clientID string) error
	// Proven tells what the person has done since the request came.
	Proven(s storage.Session, continueURL, proof string) Proven
	// CheckForm reads a POST form and its anti-forgery field; false means that it was refused and answered.
	CheckForm(w http.ResponseWriter, r *http.Request) (url.Values, bool)
	// SignIn, Choose and Consent ask the person; Refuse tells them what cannot be answered to the client.
	SignIn(w http.ResponseWriter, r *http.Request, ask Ask)
	Choose(w http.ResponseWriter, r *http.Request, ask Ask)
	Consent(w http.ResponseWriter, r *http.Request, ask Ask)
	Refuse(w http.ResponseWriter, r *http.Request, refusal Refusal)
	// FormPost answers the client by a form that posts itself (OAuth 2.0 Form Post Response Mode).
	FormPost(w http.ResponseWriter, r *http.Request, action string, params url.Values)
	// Leave sends the browser on to the client, at an address that was validated. Locales are ui_locales. A form came before
	// if the request is a POST, or its address has a proof, be it empty.
	Leave(w http.ResponseWriter, r *http.Request, client storage.Client, locales []string, target string)
}

// Proven is what a person has done for one request: signed in for it, or chosen the account. Mark, if not empty, stands for
// the proof, which counts once and until Until.
type Proven struct {
	SignedIn, Chosen bool
	Mark             string
	Until            time.Time
}

// Ask is what a page needs to know of a request.
type Ask struct {
	Client storage.Client
	// Continue is the address of the request, relative to the issuer, to come back to.
	Continue    string
	RedirectURI string
	LoginHint   string
	Locales     []string
	User        storage.User // who is signed in; zero for nobody
	Again       bool         // they must prove themselves again
	// For consent: what is asked for, what of it is new, claims asked for one by one, and what binds the form to all this.
	Scopes, NewScopes, Claims []string
	Token                     string
}

// Refusal is an error that a person gets to see because the client cannot be trusted with it, or is not there.
type Refusal struct {
	Status            int
	Code, Description string
	Parameter, Value  string
	Client            storage.Client
	RetryAfter        time.Duration
}

// pageError is an error for a page: the client or its redirect URI is not known to be right (RFC 6749 §4.1.2.1).
type pageError struct{ Refusal }

func (e *pageError) Error() string { return e.Code + ": " + e.Description }

func refusePage(parameter, value, description string) *pageError {
	return &pageError{Refusal{
		Status: http.StatusBadRequest, Code: "invalid_request", Description: description, Parameter: parameter, Value: value,
	}}
}

// ServeAuthorize answers GET and POST /oauth2/auth (RFC 6749 §3.1, OIDC Core §3.1.2). The address of the request is all
// the state that a sign-in in progress has: it may be loaded again, kept, and answered by another node.
//
// fosite's authorization endpoint is not used: what it decides (redirect URIs, state, prompt, max_age, hints, request
// objects, pushed requests) it decides otherwise than the specifications at every line.
func (e *Engine) ServeAuthorize(w http.ResponseWriter, r *http.Request) {
	// RFC 9700 §4.2.4, threats A16: what is in this address and in its answers is nobody else's to see or to keep.
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "same-origin")
	switch r.Method {
	case http.MethodGet:
	case http.MethodPost:
		e.authorizeByPost(w, r)
		return
	default:
		// HEAD is refused as well: who looks whether an address is there must not use up a code or a pushed request.
		w.Header().Set("Allow", "GET, POST")
		e.pages.Refuse(w, r, Refusal{
			Status: http.StatusMethodNotAllowed, Code: "invalid_request", Description: "This address takes GET and POST.",
		})
		return
	}
	a, err := e.readAuthorization(r.Context(), r.URL.RawQuery)
	if err == nil {
		err = e.decide(w, r, a, consentUnknown)
	}
	if err != nil {
		e.failAuthorization(w, r, a, err)
	}
}

// authorizeByPost turns a POST (OIDC Core §3.1.2.1) into a GET of the same request. A POST from another site comes without
// our cookies (SameSite=Lax), and a page that was posted cannot be loaded again.
func (e *Engine) authorizeByPost(w http.ResponseWriter, r *http.Request) {
	var query url.Values
	err := requireContentType(r, "application/x-www-form-urlencoded")
	if err == nil {
		var body []byte
		if body, err = readBody(w, r); err == nil {
			if query, err = url.ParseQuery(string(body)); err != nil {
				err = refusePage("", "", "The body is not valid application/x-www-form-urlencoded: check its % escapes.")
			}
		}
	}
	for name, values := range r.URL.Query() {
		if query != nil {
			query[name] = append(query[name], values...)
		}
	}
	target := query.Encode()
	if err == nil && len(target) > maxAuthorization {
		err = &Error{Code: "invalid_request", Status: http.StatusRequestEntityTooLarge, Description: tooLong}
	}
	if err != nil {
		e.failAuthorization(w, r, nil, err)
		return
	}
	// RFC 9700 §4.12: 303, so that nothing is posted twice.
	e.redirect(w, e.cfg.Issuer+authorizePath+"?"+target)
}

// consent is what a person said to a request.
type consent int

const (
	consentUnknown consent = iota
	consentGiven
)

// decide answers a request that is right in itself: by a page, by a redirect with a code, or by an error.
func (e *Engine) decide(w http.ResponseWriter, r *http.Request, a *authorization, said consent) error {
	s, user, err := e.pages.SignedIn(r)
	if err != nil {
		return storeError(err)
	}
	proven := e.pages.Proven(s, a.continueURL(), a.proof)
	ask := Ask{
		Client: a.client.Client, Continue: a.continueURL(), RedirectURI: a.redirectURI, LoginHint: a.params.Get("login_hint"),
		Locales: strings.Fields(a.params.Get("ui_locales")), User: user,
	}
	ask.Locales = ask.Locales[:min(len(ask.Locales), maxLocales)]
	reason, used := a.needsSignIn(e.subjects, s, user, proven, time.Now())
	switch {
	case reason == otherUser && proven.SignedIn:
		// OIDC Core §3.1.2.1, id_token_hint: "otherwise, it SHOULD return an error".
		return authorizationError("login_required", "Another user signed in than the one who was asked for.")
	case reason != 0 && a.prompts("none"):
		return authorizationError("login_required", "Nobody is signed in, or not recently enough.")
	case reason != 0:
		ask.Again = reason == again
		return e.ask(w, r, a, ask, e.pages.SignIn)
	}
	// RFC 8252 §8.6: a client that is not asked for consent needs the person as well, and consent shows them the account.
	present := e.anybodyMayListen(a) && a.client.FirstParty && !a.prompts("consent")
	switch choose := present || a.prompts("select_account"); {
	case choose && a.prompts("none"): // no select_account goes with it
		return authorizationError("interaction_required", "The user must confirm that this application asks (RFC 8252 section 8.6).")
	case choose && !proven.Chosen && !proven.SignedIn:
		return e.ask(w, r, a, ask, e.pages.Choose)
	case choose:
		used = true
	}
	if a.claims.unmetACR(s.ACR) {
		// OIDC Core §5.5.1.1: an essential acr that cannot be met is a failed authentication.
		return authorizationError("unmet_authentication_requirements", "The requested acr cannot be met: it can be "+credential.ACRPassword+".")
	}
	asked, err := e.askConsent(w, r, a, s, ask, said)
	if asked || err != nil {
		return err
	}
	if used && proven.Mark != "" {
		// A proof counts once: the same address loaded again asks again.
		first, err := e.store.Remember(r.Context(), proven.Mark, proven.Until)
		if err != nil {
			return storeError(err)
		}
		if !first {
			if a.prompts("none") {
				return authorizationError("login_required", "The sign-in for this request has been used.")
			}
			e.again(w, a)
			return nil
		}
	}
	return e.issueCode(w, r, a, s, user)
}

// ask shows a page of those that ask the person.
func (e *Engine) ask(
	w http.ResponseWriter, r *http.Request, a *authorization, ask Ask, page func(http.ResponseWriter, *http.Request, Ask),
) error {
	if err := e.awaitPerson(r.Context(), a); err != nil {
		return err
	}
	page(w, r, ask)
	return nil
}

// issueCode ends a request with success.
func (e *Engine) issueCode(w http.ResponseWriter, r *http.Request, a *authorization, s storage.Session, u storage.User) error {
	if a.pushed.ID != "" {
		// RFC 9126 §4: a request URI is used once; that is when the sign-in completes, so that its page can be loaded again.
		if err := (storage.PushedRequests{Entries: e.store}).Take(r.Context(), a.pushed.ID); err != nil {
			return ifNotFound(err, usedRequestURI(a.query.Get("request_uri")))
		}
	}
	if err := e.pages.Join(r, s, a.client.ID); err != nil {
		return ifNotFound(err, authorizationError("login_required", "The session ended just now."))
	}
	code, err := e.newCode(r.Context(), a, s, u)
	if err != nil {
		return err
	}
	e.respond(w, r, a, url.Values{"code": {code}})
	return nil
}

// failAuthorization answers an error: to the client where its redirect URI is known to be right, to the person elsewhere.
func (e *Engine) failAuthorization(w http.ResponseWriter, r *http.Request, a *authorization, err error) {
	if page := (*pageError)(nil); errors.As(err, &page) {
		e.pages.Refuse(w, r, page.Refusal)
		return
	}
	answer := toError(err)
	e.logFailure(r, answer)
	if a == nil || a.redirectURI == "" {
		refusal := Refusal{
			Status: answer.Status, Code: answer.Code, Description: answer.Description, RetryAfter: answer.RetryAfter,
		}
		if a != nil && a.client != nil {
			refusal.Client = a.client.Client
		}
		e.pages.Refuse(w, r, refusal)
		return
	}
	e.respond(w, r, a, url.Values{"error": {answer.Code}, "error_description": {printable(answer.Description)}})
}

// respond answers the client through the browser, in the response mode of the request, with iss in every answer (RFC 9207
// §2) and state exactly when one was sent that is one (RFC 6749 §4.1.2).
func (e *Engine) respond(w http.ResponseWriter, r *http.Request, a *authorization, params url.Values) {
	params.Set("iss", e.cfg.Issuer)
	if state := a.params["state"]; len(state) == 1 && state[0] != "" && isText(state[0]) {
		params.Set("state", state[0])
	}
	if a.mode == "form_post" {
		e.pages.FormPost(w, r, a.redirectURI, params)
		return
	}
	target := withQuery(a.redirectURI, params)
	if a.mode == "fragment" {
		target = a.redirectURI + "#" + params.Encode()
	}
	e.pages.Leave(w, r, a.client.Client, strings.Fields(a.params.Get("ui_locales")), target)
}

// isText tells whether a text can go into an address and come out as it was: RFC 6749 appendix A.5 has VSCHAR only, and
// clients put the names of their pages into state in whatever language they are.
func isText(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}

// withQuery adds parameters to a URI and keeps those it has (RFC 6749 §3.1.2).
func withQuery(uri string, params url.Values) string {
	sep := "?"
	if strings.Contains(uri, "?") {
		sep = "&"
		if strings.HasSuffix(uri, "?") || strings.HasSuffix(uri, "&") {
			sep = ""
		}
	}
	return uri + sep + params.Encode()
}

// again lets a request begin again after a form. The empty proof says that there was one, see Pages.Leave.
func (e *Engine) again(w http.ResponseWriter, a *authorization) {
	e.redirect(w, e.cfg.Issuer+a.continueURL()+"&"+proofParam+"=")
}

// redirect goes to an address of this server, by 303 (RFC 9700 §4.12). http.Redirect would rewrite what it takes for a relative path.
func (e *Engine) redirect(w http.ResponseWriter, target string) {
	w.Header().Set("Location", target)
	w.WriteHeader(http.StatusSeeOther)
}

// authorizationError is an error of RFC 6749 §4.1.2.1 or OIDC Core §3.1.2.6. It reaches clients by redirect only; its
// status is for the rare page.
func authorizationError(code, description string) *Error {
	return &Error{Code: code, Description: description, Status: http.StatusBadRequest}
}

// ServeConsent answers POST /consent: what a person decided on the consent page. The form is bound to the request, the
// session and what the page showed, and counts once (threats A13, A17).
func (e *Engine) ServeConsent(w http.ResponseWriter, r *http.Request) {
	form, ok := e.pages.CheckForm(w, r)
	if !ok {
		return
	}
	query, ok := strings.CutPrefix(form.Get("continue"), authorizePath+"?")
	if !ok {
		e.pages.Refuse(w, r, refusePage("continue", form.Get("continue"), "The form does not belong to a request.").Refusal)
		return
	}
	a, err := e.readAuthorization(r.Context(), query)
	if err == nil {
		err = e.decideConsent(w, r, a, form)
	}
	if err != nil {
		e.failAuthorization(w, r, a, err)
	}
}

func (e *Engine) decideConsent(w http.ResponseWriter, r *http.Request, a *authorization, form url.Values) error {
	ctx := r.Context()
	s, user, err := e.pages.SignedIn(r)
	if err != nil {
		return storeError(err)
	}
	if s.ID == "" {
		e.again(w, a) // signed out meanwhile: the request begins again
		return nil
	}
	mark, until, ok := e.checkConsentToken(form.Get("consent_token"), a, s)
	if !ok {
		return &pageError{Refusal{
			Status: http.StatusForbidden, Code: "access_denied", Client: a.client.Client,
			Description: "The answer does not belong to this request and this sign-in, or came too late. " +
				"Go back to the application and start again.",
		}}
	}
	first, err := e.store.Remember(ctx, mark, until)
	if err != nil {
		return storeError(err)
	}
	if !first {
		e.again(w, a) // sent twice: nothing is decided by that
		return nil
	}
	event := audit.Event{
		Name: audit.ConsentDenied, ClientID: a.client.ID, UserID: user.ID, Username: user.Username, Address: credential.RemoteAddress(r).String(),
	}
	if form.Get("decision") != "allow" {
		e.audit.Record(ctx, event)
		return authorizationError("access_denied", "The user denied the request.")
	}
	event.Name = audit.ConsentGiven
	e.audit.Record(ctx, event)
	if form.Get("remember") != "" {
		if err := e.remember(ctx, a, user); err != nil {
			return err
		}
		a.consented = true
	}
	return e.decide(w, r, a, consentGiven)
}

// remember keeps what was allowed. What an earlier client of the same id was allowed goes: nobody has said it to this one.
func (e *Engine) remember(ctx context.Context, a *authorization, u storage.User) error {
	consents := storage.Consents{Entries: e.store}
	before, err := consents.Consent(ctx, u.ID, a.client.ID)
	if err == nil && outlived(before.GrantedAt, a.client.Client) {
		err = consents.Remove(ctx, u.ID, a.client.ID)
	}
	if storage.IsFailure(err) {
		return storeError(err)
	}
	err = consents.Add(ctx, storage.Consent{
		UserID: u.ID, ClientID: a.client.ID, Scopes: a.scopes, Claims: a.claims.names(),
		GrantedAt: time.Now().UTC().Truncate(time.Millisecond),
	})
	if err != nil {
		return storeError(err)
	}
	return nil
}

// askConsent asks the person where it has to; asked tells that it did.
func (e *Engine) askConsent(
	w http.ResponseWriter, r *http.Request, a *authorization, s storage.Session, ask Ask, said consent,
) (asked bool, err error) {
	if said == consentGiven || a.client.FirstParty && !a.prompts("consent") {
		return false, nil
	}
	before, err := storage.Consents{Entries: e.store}.Consent(r.Context(), s.UserID, a.client.ID)
	switch {
	case storage.IsFailure(err):
		return false, storeError(err)
	case err != nil || outlived(before.GrantedAt, a.client.Client):
		before = storage.Consent{} // of an earlier client of the same id
		err = storage.ErrNotFound
	}
	ask.NewScopes = slices.DeleteFunc(slices.Clone(a.scopes), func(s string) bool { return slices.Contains(before.Scopes, s) })
	newClaims := slices.DeleteFunc(a.claims.names(), func(s string) bool { return slices.Contains(before.Claims, s) })
	if err == nil && len(ask.NewScopes) == 0 && len(newClaims) == 0 && !a.prompts("consent") && !e.anybodyMayListen(a) {
		a.consented = true
		return false, nil
	}
	if a.prompts("none") {
		return false, authorizationError("consent_required", "The user has not allowed this client what it asks for.")
	}
	ask.Scopes, ask.Claims = a.scopes, a.claims.names()
	if a.proof != "" {
		ask.Continue = a.continueURL() + "&" + proofParam + "=" + url.QueryEscape(a.proof)
	}
	ask.Token = e.consentToken(a, s, time.Now())
	return true, e.ask(w, r, a, ask, e.pages.Consent)
}
