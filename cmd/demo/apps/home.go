package apps

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"golang.org/x/oauth2"
)

// who is the person who is signed in.
type who struct{ Name, Email, Subject, Since string }

// errEnded means that the authorization server has ended the sign-in.
var errEnded = errors.New("the sign-in has ended")

// home shows who is signed in and what the resource server answers.
func (a *web) home(w http.ResponseWriter, r *http.Request) {
	s := a.sessions.of(r)
	if s == nil {
		a.show(w, http.StatusOK, page{})
		return
	}
	p, err := a.look(r, s)
	switch {
	case errors.Is(err, errEnded):
		a.show(w, http.StatusOK, page{Notice: "Your sign-in has ended. Sign in again to go on."})
	case err != nil:
		a.problem(w, http.StatusServiceUnavailable, notThere, err)
	default:
		a.show(w, http.StatusOK, p)
	}
}

// look gathers what the page of a session shows.
func (a *web) look(r *http.Request, s *session) (p page, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leaving != "" && r.URL.Query().Get("state") == s.leaving {
		s.leaving, p.Notice = "", "You are signed out."
	}
	if s.login == nil {
		return p, nil
	}
	p.Who, err = a.refreshed(r.Context(), s.login)
	if errors.Is(err, errEnded) {
		s.login = nil
	}
	if err != nil {
		return page{}, err
	}
	p.Answer, p.AnswerOK = a.ask(r.Context(), s.login.token.AccessToken)
	return p, nil
}

// refreshed asks who the person is, with a new access token if the old one is at its end. The session is locked: of two
// requests at once one refreshes, and the other finds the new token.
func (a *web) refreshed(ctx context.Context, l *login) (*who, error) {
	p, err := a.provider.discover(ctx)
	if err != nil {
		return nil, err
	}
	ctx = a.provider.context(ctx)
	token, err := p.oauth.TokenSource(ctx, l.token).Token()
	var refusal *oauth2.RetrieveError
	switch {
	case errors.As(err, &refusal) && refusal.ErrorCode == "invalid_grant":
		return nil, errEnded
	case err != nil && !l.token.Valid() && l.token.RefreshToken == "":
		return nil, errEnded
	case err != nil:
		return nil, err
	}
	l.token = token
	return a.userInfo(ctx, p, l)
}

// userInfo asks for the person's name. The server knows more than the token does: that a sign-in has ended shows here
// first. OIDC Core §5.3
func (a *web) userInfo(ctx context.Context, p *discovered, l *login) (*who, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.UserInfoEndpoint(), nil)
	if err != nil {
		return nil, err
	}
	l.token.SetAuthHeader(r)
	answer, err := a.provider.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	switch answer.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized:
		return nil, errEnded
	default:
		return nil, fmt.Errorf("userinfo answered %s", answer.Status)
	}
	var claims struct {
		Subject  string `json:"sub"`
		Name     string `json:"name"`
		Username string `json:"preferred_username"`
		Email    string `json:"email"`
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxAnswer)).Decode(&claims); err != nil {
		return nil, fmt.Errorf("userinfo: %w", err)
	}
	// OIDC Core §5.3.2: an answer about another person is not used.
	if claims.Subject != l.subject {
		return nil, errors.New("userinfo is about another person than the ID token")
	}
	found := &who{Name: claims.Name, Email: claims.Email, Subject: claims.Subject}
	if found.Name == "" {
		found.Name = claims.Username
	}
	if found.Name == "" {
		found.Name = claims.Subject
	}
	if !l.authTime.IsZero() {
		found.Since = l.authTime.UTC().Format("15:04:05 UTC")
	}
	return found, nil
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 64 << 10

// ask calls the resource server. The access token goes from server to server: the browser never has it.
func (a *web) ask(ctx context.Context, token string) (text string, ok bool) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, a.ResourceURL+"/secure-data", nil)
	if err != nil {
		return err.Error(), false
	}
	r.Header.Set("Authorization", "Bearer "+token)
	answer, err := a.http.Do(r)
	if err != nil {
		a.Log.Warn("demo-web: the resource server does not answer", "error", err)
		return "The resource server does not answer.", false
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return "The resource server's answer was cut off.", false
	}
	var pretty bytes.Buffer
	if json.Indent(&pretty, bytes.TrimSpace(body), "", "  ") != nil {
		pretty.Reset()
		pretty.Write(body)
	}
	if answer.StatusCode != http.StatusOK {
		return answer.Status + "\n" + pretty.String(), false
	}
	return pretty.String(), true
}
