package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// answer is a response with its body read. The functions here may be called by any goroutine of a test.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) String() string { return fmt.Sprintf("%d %s", a.status, strings.TrimSpace(a.body)) }

// issued is a token response.
type issued struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	ID      string `json:"id_token"`
	Error   string `json:"error"`
}

// tokens reads the body as a token response; what is no JSON has no tokens.
func (a answer) tokens() (got issued) {
	_ = json.Unmarshal([]byte(a.body), &got)
	return got
}

// newClient is an HTTP client with connections of its own.
func newClient(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
}

// ask sends a request with headers given as pairs.
func ask(client *http.Client, method, address, body string, headers ...string) (answer, error) {
	r, err := http.NewRequestWithContext(context.Background(), method, address, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	resp, err := client.Do(r)
	if err != nil {
		return answer{}, err
	}
	text, err := io.ReadAll(resp.Body)
	if closeErr := resp.Body.Close(); err == nil {
		err = closeErr
	}
	return answer{resp.StatusCode, resp.Header, string(text)}, err
}

// post sends a form, given as pairs.
func post(client *http.Client, address string, form ...string) (answer, error) {
	return ask(client, http.MethodPost, address, encode(form...), "Content-Type", "application/x-www-form-urlencoded")
}

func encode(form ...string) string {
	values := url.Values{}
	for i := 0; i < len(form); i += 2 {
		values.Add(form[i], form[i+1])
	}
	return values.Encode()
}

// signIn is the password grant of a public client.
func signIn(client *http.Client, issuer, clientID, username, password string, more ...string) (answer, error) {
	return post(client, issuer+"/oauth2/token", append([]string{
		"grant_type", "password", "client_id", clientID, "username", username, "password", password,
	}, more...)...)
}

// refresh is the refresh grant of a public client.
func refresh(client *http.Client, issuer, clientID, token string) (answer, error) {
	return post(client, issuer+"/oauth2/token", "grant_type", "refresh_token", "client_id", clientID, "refresh_token", token)
}

// secureData calls a resource server with a token, or without one.
func secureData(client *http.Client, api, token string) (answer, error) {
	if token == "" {
		return ask(client, http.MethodGet, api+"/secure-data", "")
	}
	return ask(client, http.MethodGet, api+"/secure-data", "", "Authorization", "Bearer "+token)
}

// must is for requests whose failure ends the test, in the goroutine of the test.
func must(t *testing.T) func(answer, error) answer {
	t.Helper()
	return func(a answer, err error) answer {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
}

// mustSignIn signs in until it works: a busy machine may say 503.
func mustSignIn(t *testing.T, client *http.Client, issuer, clientID, username, password string, more ...string) issued {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		a := must(t)(signIn(client, issuer, clientID, username, password, more...))
		if got := a.tokens(); a.status == http.StatusOK && got.Access != "" {
			return got
		}
		if a.status != http.StatusServiceUnavailable || time.Now().After(deadline) {
			t.Fatalf("%s signs in: %v", username, a)
		}
	}
}

// useWhile asks for the keys and refreshes, over and over, while others do something to the server, and wants every
// answer at once. It returns how often it did.
func useWhile(t *testing.T, client *http.Client, issuer, clientID, token string, busy func() bool) (times int) {
	t.Helper()
	for ; busy(); times++ {
		keys, err := ask(client, http.MethodGet, issuer+"/.well-known/jwks.json", "")
		if err != nil || keys.status != http.StatusOK {
			t.Errorf("keys: %v, %v", keys, err)
			return times
		}
		next, err := refresh(client, issuer, clientID, token)
		if err != nil || next.status != http.StatusOK {
			t.Errorf("refresh: %v, %v", next, err)
			return times
		}
		token = next.tokens().Refresh
		time.Sleep(10 * time.Millisecond)
	}
	return times
}
