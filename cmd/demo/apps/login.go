package apps

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

const notThere = "The authorization server does not answer. It may still be starting: try again in a moment."

// login sends the browser to the authorization server.
func (a *web) login(w http.ResponseWriter, r *http.Request) {
	p, err := a.provider.discover(r.Context())
	if err != nil {
		a.problem(w, http.StatusServiceUnavailable, notThere, err)
		return
	}
	s := a.sessions.of(r)
	if s == nil {
		s = a.sessions.start(w, r, a.secureCookies())
	}
	state, nonce, verifier := rand.Text(), rand.Text(), oauth2.GenerateVerifier()
	s.begin(state, attempt{nonce: nonce, verifier: verifier, born: time.Now()})
	http.Redirect(w, r, p.oauth.AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier)), http.StatusSeeOther)
}

// callback is where the browser comes back to.
func (a *web) callback(w http.ResponseWriter, r *http.Request) {
	p, err := a.provider.discover(r.Context())
	if err != nil {
		a.problem(w, http.StatusServiceUnavailable, notThere, err)
		return
	}
	query := r.URL.Query()
	// RFC 9700 §4.7: an answer to a question that this browser has not asked is not looked at, errors included.
	s, begun := a.sessions.of(r), attempt{}
	known := s != nil
	if known {
		begun, known = s.take(query.Get("state"))
	}
	if !known && s != nil && s.signedIn() {
		// The back button leads here as well. Who is signed in stays so.
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	if !known {
		a.problem(w, http.StatusBadRequest, "This sign-in was not begun in this browser, or it is already finished. Please sign in again.",
			errors.New("unknown state"))
		return
	}
	// RFC 9207 §2.4: an answer of another server is refused, whatever it says.
	if iss := query.Get("iss"); iss != a.Issuer && (iss != "" || p.sendsIss) {
		a.problem(w, http.StatusBadRequest, "This answer is not from the authorization server that was asked.",
			fmt.Errorf("iss is %q, want %q", iss, a.Issuer))
		return
	}
	if code := query.Get("error"); code != "" {
		a.problem(w, http.StatusOK, refused(code, query.Get("error_description")), errors.New(code))
		return
	}
	done, err := a.redeem(r, p, query.Get("code"), begun)
	if err != nil {
		a.problem(w, http.StatusBadGateway, "The sign-in could not be completed. Please try again.", err)
		return
	}
	// Another name for the session: one that somebody has planted in this browser before is worth nothing now.
	s = a.sessions.start(w, r, a.secureCookies())
	s.mu.Lock()
	s.login = done
	s.mu.Unlock()
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// refused says an error of RFC 6749 §4.1.2.1 in words.
func refused(code, description string) string {
	text := "The authorization server said: " + code
	if code == "access_denied" {
		text = "You did not allow this application to sign you in: " + code
	}
	if description != "" {
		text += " (" + description + ")"
	}
	return text
}

// redeem changes the code for tokens and checks who they are about.
func (a *web) redeem(r *http.Request, p *discovered, code string, begun attempt) (*login, error) {
	ctx := a.provider.context(r.Context())
	token, err := p.oauth.Exchange(ctx, code, oauth2.VerifierOption(begun.verifier))
	if err != nil {
		return nil, err
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return nil, errors.New("the answer has no id_token")
	}
	id, err := p.verifier.Verify(ctx, raw)
	if err != nil {
		return nil, err
	}
	// OIDC Core §3.1.3.7 (11): the ID token answers the question of this attempt and no other.
	if id.Nonce != begun.nonce {
		return nil, errors.New("the nonce of the ID token is not the one that was sent")
	}
	// OIDC Core §3.1.3.8
	if id.AccessTokenHash != "" {
		if err := id.VerifyAccessToken(token.AccessToken); err != nil {
			return nil, err
		}
	}
	var claims struct {
		SID      string `json:"sid"`
		AuthTime int64  `json:"auth_time"`
	}
	if err := id.Claims(&claims); err != nil {
		return nil, err
	}
	done := &login{token: token, idToken: raw, subject: id.Subject, sid: claims.SID}
	if claims.AuthTime != 0 {
		done.authTime = time.Unix(claims.AuthTime, 0)
	}
	return done, nil
}
