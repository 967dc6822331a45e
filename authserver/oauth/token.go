package oauth

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ory/fosite"

	"github.com/ingam/ingam/authserver/audit"
	"github.com/ingam/ingam/authserver/credential"
)

// tokenResponse is the successful answer of RFC 6749 §5.1.
type tokenResponse struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"`
	RefreshToken string `json:"refresh_token,omitempty"`
	IDToken      string `json:"id_token,omitempty"`
	Scope        string `json:"scope,omitempty"`
}

// ServeToken answers POST /oauth2/token (RFC 6749 §3.2).
func (e *Engine) ServeToken(w http.ResponseWriter, r *http.Request) {
	if err := readTokenForm(w, r); err != nil {
		e.writeError(w, r, err)
		return
	}
	body, err := e.issue(r)
	if err != nil {
		e.writeError(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, body)
}

// issue runs a request whose parameters have passed the gate through fosite and answers the response document.
func (e *Engine) issue(r *http.Request) ([]byte, error) {
	switch grant := r.PostForm.Get("grant_type"); {
	case grant == "":
		return nil, invalidRequest("The parameter grant_type is required (RFC 6749 section 4).")
	case !slices.Contains(grantTypes(), grant):
		// fosite would say invalid_request.
		return nil, unsupportedGrantType()
	}
	ctx := r.Context()
	sess := &session{now: time.Now()}
	request, err := e.provider.NewAccessRequest(ctx, r, sess)
	if err != nil {
		return nil, err
	}
	response, err := e.provider.NewAccessResponse(ctx, request)
	if err != nil {
		return nil, err
	}
	sess = request.GetSession().(*session)
	e.recordIssue(r, sess)
	refresh, _ := response.GetExtra("refresh_token").(string)
	idToken, _ := response.GetExtra("id_token").(string)
	return json.Marshal(tokenResponse{
		AccessToken:  response.GetAccessToken(),
		TokenType:    fosite.BearerAccessToken,
		ExpiresIn:    int64(e.cfg.AccessTokenLifetime / time.Second),
		RefreshToken: refresh,
		IDToken:      idToken,
		Scope:        strings.Join(request.GetGrantedScopes(), " "),
	})
}

// recordIssue writes the audit event of a successful answer.
func (e *Engine) recordIssue(r *http.Request, sess *session) {
	event := audit.Event{
		Name: audit.TokenIssued, ClientID: sess.client.ID, UserID: sess.user.ID, GrantID: sess.grant.ID,
		Address: credential.RemoteAddress(r).String(),
	}
	if sess.presented > 0 {
		event.Name = audit.TokenRefreshed
	}
	e.audit.Record(r.Context(), event)
}
