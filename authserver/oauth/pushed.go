package oauth

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/ingam/ingam/authserver/credential"
	"github.com/ingam/ingam/storage"
)

const (
	requestURIPrefix = "urn:ietf:params:oauth:request_uri:"
	// pushedLifetime is how long a pushed request may wait for its browser (RFC 9126 §2.2: "short"). When that has come, it
	// waits for the person, see [Engine.awaitPerson].
	pushedLifetime = 90 * time.Second
)

// ServePushed answers POST /oauth2/par (RFC 9126): the client authenticates, its request is checked whole, and what comes
// back is a reference that is good once, for that client, and must be opened within 90 seconds.
func (e *Engine) ServePushed(w http.ResponseWriter, r *http.Request) {
	body, err := e.push(w, r)
	if err != nil {
		e.writeError(w, r, err)
		return
	}
	writeJSON(w, http.StatusCreated, body)
}

// spendPush bounds how much a stranger can have kept: as a public client anybody can push.
func (e *Engine) spendPush(r *http.Request, c *client) error {
	if !c.Public {
		return nil
	}
	wait, err := e.store.Spend(r.Context(), storage.Budget{
		Key: "push/" + credential.AddressPrefix(credential.RemoteAddress(r)), Burst: pushBurst, Every: pushEvery,
	})
	switch {
	case err != nil:
		return storeError(err)
	case wait > 0:
		answer := tooManyRequests(wait)
		answer.Description = "Too many pushed requests from this address. Wait as long as the Retry-After header says."
		return answer
	}
	return nil
}

// What one address (of IPv6 one /64) may push as a public client: so much at once, then one more each so long.
const (
	pushBurst = 300
	pushEvery = 100 * time.Millisecond
)

func (e *Engine) push(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.URL.RawQuery != "" {
		return nil, invalidRequest("This endpoint takes its parameters in the body, never in the URL (RFC 9126 section 2.1).")
	}
	form, err := readForm(w, r)
	if err != nil {
		return nil, err
	}
	authenticated, err := e.authenticateClient(r.Context(), r, form)
	if err != nil {
		return nil, err
	}
	if err := e.spendPush(r, authenticated.(*client)); err != nil {
		return nil, err
	}
	if form.Has("request_uri") {
		return nil, invalidRequest("A pushed request must not have a request_uri (RFC 9126 section 2.1).")
	}
	a := &authorization{client: authenticated.(*client), params: url.Values{}}
	for name, values := range form {
		switch name {
		case "client_secret", "client_assertion", "client_assertion_type": // what authenticated the client is not kept
		default:
			a.params[name] = values
		}
	}
	a.params.Set("client_id", a.client.ID)
	err = e.openRequestObject(r.Context(), a, "")
	if err == nil {
		err = e.validate(r.Context(), a)
	}
	limit := 4 * maxAuthorization
	if a.client.Public {
		limit = maxAuthorization // anybody can push as a public client, and it is kept for minutes
	}
	if err == nil && len(a.params.Encode()) > limit {
		err = invalidRequest(fmt.Sprintf("The request is longer than %d KiB.", limit>>10))
	}
	if page := (*pageError)(nil); errors.As(err, &page) {
		return nil, invalidRequest(page.Description)
	}
	if err != nil {
		return nil, err
	}
	pushed := storage.PushedRequest{
		ID: rand.Text(), ClientID: a.client.ID, Params: a.params, ExpiresAt: time.Now().Add(pushedLifetime),
	}
	if err := (storage.PushedRequests{Entries: e.store}).Create(r.Context(), pushed); err != nil {
		return nil, storeError(err)
	}
	return json.Marshal(struct {
		RequestURI string `json:"request_uri"`
		ExpiresIn  int64  `json:"expires_in"`
	}{requestURIPrefix + pushed.ID, int64(pushedLifetime / time.Second)})
}

// awaitPerson gives a request as long as a person may take to type or to read. It comes before each page that asks the
// person. The end of a pushed request moves once: whoever holds its reference cannot keep it alive.
func (e *Engine) awaitPerson(ctx context.Context, a *authorization) error {
	if a.pushed.ID == "" || a.pushed.Shown {
		return nil
	}
	shown := a.pushed
	shown.Shown, shown.ExpiresAt = true, time.Now().Add(consentLifetime)
	err := storage.PushedRequests{Entries: e.store}.Replace(ctx, shown)
	if err == nil || errors.Is(err, storage.ErrConflict) { // somebody else has moved it
		return nil
	}
	return ifNotFound(err, usedRequestURI(a.query.Get("request_uri")))
}
