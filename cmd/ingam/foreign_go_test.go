package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"testing"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// These are clients as their users write them, with golang.org/x/oauth2 as it comes.

const (
	demoWebSecret     = "demo-web-secret-for-local-use-only"
	demoServiceSecret = "demo-service-secret-for-local-use-only"
)

// authStyles are the ways in which the library shows id and secret; auto tries the header and then the body.
var authStyles = map[string]oauth2.AuthStyle{
	"auto": oauth2.AuthStyleAutoDetect, "header": oauth2.AuthStyleInHeader, "params": oauth2.AuthStyleInParams,
}

func TestGoProgramsSignInRefreshAndCallTheAPIWithXOAuth2(t *testing.T) {
	_, facts := spawnDev(t)
	secrets := map[string]string{"demo-cli": "", "demo-web": demoWebSecret}
	for id, secret := range secrets {
		for style, value := range authStyles {
			t.Run(id+" "+style, func(t *testing.T) {
				conf := oauth2.Config{
					ClientID: id, ClientSecret: secret, Scopes: []string{"profile"},
					Endpoint: oauth2.Endpoint{TokenURL: facts.Issuer + "/oauth2/token", AuthStyle: value},
				}
				first, err := conf.PasswordCredentialsToken(t.Context(), "alice", "wonderland")
				if err != nil {
					t.Fatal(err)
				}
				if first.Type() != "Bearer" || time.Until(first.Expiry) < 10*time.Minute || first.Extra("scope") != "profile" {
					t.Errorf("token: type %q, good until %v, scope %v", first.Type(), first.Expiry, first.Extra("scope"))
				}
				first.Expiry = time.Now().Add(-time.Minute) // so that the source has to refresh
				second, err := conf.TokenSource(t.Context(), first).Token()
				if err != nil {
					t.Fatal(err)
				}
				if second.AccessToken == first.AccessToken || second.RefreshToken == first.RefreshToken || second.RefreshToken == "" {
					t.Error("the source did not get new tokens")
				}
				for _, token := range []*oauth2.Token{first, second} {
					token.Expiry = time.Time{}
					assertCaller(t, conf.Client(t.Context(), token), facts.Resource, "alice", id)
				}
			})
		}
	}
}

func TestGoProgramsWithoutAUserGetTheirTokenWithClientCredentials(t *testing.T) {
	_, facts := spawnDev(t)
	for style, value := range authStyles {
		t.Run(style, func(t *testing.T) {
			conf := clientcredentials.Config{
				ClientID: "demo-service", ClientSecret: demoServiceSecret, TokenURL: facts.Issuer + "/oauth2/token", AuthStyle: value,
			}
			assertCaller(t, conf.Client(t.Context()), facts.Resource, "demo-service", "demo-service")
			conf.EndpointParams = url.Values{"resource": {devResourceID}} // RFC 8707 §2
			if _, err := conf.Token(t.Context()); err != nil {
				t.Error(err)
			}
			conf.EndpointParams = url.Values{"resource": {"https://another.example"}}
			assertRefused(t, "a resource that is not its own", "invalid_target", func(ctx context.Context) error {
				_, err := conf.Token(ctx)
				return err
			})
		})
	}
}

func TestGoProgramsAreToldWhatIsWrongInTheWordsOfRFC6749(t *testing.T) {
	_, facts := spawnDev(t)
	for style, value := range authStyles {
		endpoint := oauth2.Endpoint{TokenURL: facts.Issuer + "/oauth2/token", AuthStyle: value}
		password := func(id, secret, username, password string) func(context.Context) error {
			return func(ctx context.Context) error {
				conf := oauth2.Config{ClientID: id, ClientSecret: secret, Endpoint: endpoint}
				_, err := conf.PasswordCredentialsToken(ctx, username, password)
				return err
			}
		}
		t.Run(style, func(t *testing.T) {
			assertRefused(t, "a wrong password", "invalid_grant", password("demo-cli", "", "alice", "looking-glass"))
			assertRefused(t, "a wrong secret", "invalid_client", password("demo-web", demoServiceSecret, "alice", "wonderland"))
			assertRefused(t, "no secret", "invalid_client", password("demo-web", "", "alice", "wonderland"))
			assertRefused(t, "a secret of a public client (C8)", "invalid_client", password("demo-cli", "x", "alice", "wonderland"))
			assertRefused(t, "a grant it is not registered for", "unauthorized_client", password("demo-spa", "", "alice", "wonderland"))
			assertRefused(t, "a refresh token that was never made", "invalid_grant", func(ctx context.Context) error {
				conf := oauth2.Config{ClientID: "demo-cli", Endpoint: endpoint}
				_, err := conf.TokenSource(ctx, &oauth2.Token{RefreshToken: "rt_AAAA.1.AAAA"}).Token()
				return err
			})
		})
	}
}

// assertRefused wants the error code of an answer of the server.
func assertRefused(t *testing.T, what, code string, call func(context.Context) error) {
	t.Helper()
	var refused *oauth2.RetrieveError
	if err := call(t.Context()); !errors.As(err, &refused) || refused.ErrorCode != code {
		t.Errorf("%s: %v, want %s", what, err, code)
	}
}

// assertCaller calls the resource server and wants it to know who calls.
func assertCaller(t *testing.T, client *http.Client, api, username, clientID string) {
	t.Helper()
	a := must(t)(ask(client, http.MethodGet, api+"/secure-data", ""))
	var caller struct {
		Username string
		ClientID string `json:"client_id"`
	}
	if err := json.Unmarshal([]byte(a.body), &caller); err != nil || a.status != http.StatusOK ||
		caller.Username != username || caller.ClientID != clientID {
		t.Errorf("secure-data: %v, want %q by %q", a, username, clientID)
	}
}
