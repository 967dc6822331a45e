package login

import (
	"time"

	"github.com/ingam/ingam/storage"
)

// Ask is an authorization request that needs something of the person.
type Ask struct {
	Client      storage.Client
	Continue    string // path and query, relative to the issuer, to come back to
	RedirectURI string // validated; its origin (or scheme for app schemes) goes into form-action
	LoginHint   string
	Locales     []string     // ui_locales
	User        storage.User // who is signed in; zero if nobody
	Again       bool         // the signed-in user must prove themselves again (prompt=login, max_age)
	// Consent only. Claims were asked for one by one.
	Scopes, NewScopes, Claims []string
	Token                     string // consent only: binds the form to this request and session
}

// Refusal is a request that cannot be answered at the client, so that the person has to be told.
type Refusal struct {
	Status                              int
	Code, Description, Parameter, Value string
	Client                              storage.Client
	RetryAfter                          time.Duration
}

// Proven tells what the person has done since a request came.
type Proven struct {
	// SignedIn for it, or Chosen the account; who signed in has chosen as well.
	SignedIn, Chosen bool
	// Mark names the proof for storage.Limits.Remember until Until, where it may count only once; "" is no proof.
	Mark  string
	Until time.Time
}

// LogoutAsk is a logout that the person must confirm.
type LogoutAsk struct {
	Client      storage.Client // who asks; zero if nobody
	User        storage.User
	Ticket      string // binds the form to the request
	Locales     []string
	RedirectURI string // validated; "" stays here
}

// LoggedOut is a logout that is done.
type LoggedOut struct {
	Client   storage.Client
	Frames   []string // front-channel logout addresses to load
	Continue string   // where the browser goes on to; "" stays here
	Locales  []string
}
