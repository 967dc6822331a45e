package login

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/ingam/ingam/storage"
)

// about is what a form remembers of the request it serves, so that the page can be shown again after a mistake without
// judging the request a second time. It is under a MAC together with "continue": where the answer may redirect to is in it.
type about struct {
	ClientID    string   `json:"c"`
	RedirectURI string   `json:"r"`
	Locales     []string `json:"l,omitempty"`
	UserID      string   `json:"u,omitempty"` // who must prove themselves again
}

const aboutPurpose = "sign-in form"

func (p *Pages) sealAbout(ask Ask) string {
	if ask.Client.ID == "" {
		return ""
	}
	a := about{ClientID: ask.Client.ID, RedirectURI: ask.RedirectURI, Locales: ask.Locales}
	if ask.Again {
		a.UserID = ask.User.ID
	}
	data, err := json.Marshal(a)
	if err != nil { // strings only
		return ""
	}
	sum := mac(p.keys.Derive(aboutPurpose)[0], ask.Continue, string(data))
	return encoding.EncodeToString(data) + "." + encoding.EncodeToString(sum)
}

// openAbout answers the request that a form serves. What was not sealed for this "continue" says nothing.
func (p *Pages) openAbout(ctx context.Context, sealed, continueURL string) (Ask, error) {
	ask := Ask{Continue: continueURL}
	a, ok := p.unseal(sealed, continueURL)
	if !ok {
		return ask, nil
	}
	ask.RedirectURI, ask.Locales = a.RedirectURI, a.Locales
	client, err := p.store.Client(ctx, a.ClientID)
	if storage.IsFailure(err) {
		return ask, err
	}
	ask.Client = client // none, if it was removed meanwhile
	if a.UserID == "" {
		return ask, nil
	}
	user, err := p.store.User(ctx, a.UserID)
	if storage.IsFailure(err) {
		return ask, err
	}
	ask.User, ask.Again = user, user.ID != ""
	return ask, nil
}

func (p *Pages) unseal(sealed, continueURL string) (a about, ok bool) {
	encoded, encodedSum, _ := strings.Cut(sealed, ".")
	data, errData := encoding.DecodeString(encoded)
	sum, errSum := encoding.DecodeString(encodedSum)
	if errData != nil || errSum != nil || !macFits(p.keys.Derive(aboutPurpose), sum, continueURL, string(data)) {
		return a, false
	}
	return a, json.Unmarshal(data, &a) == nil
}
