package admin

import (
	"crypto/rand"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/ingam/ingam/authserver/audit"
	"github.com/ingam/ingam/storage"
)

// Values of token_endpoint_auth_method (RFC 7591 §2).
const (
	authNone  = "none"
	authBasic = "client_secret_basic"
)

// showClient shows one client.
func (a *api) showClient(w http.ResponseWriter, r *http.Request) error {
	c, err := a.clientOf(r)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, viewClient(c, time.Now()))
}

// listClients lists a page of clients in order of id.
func (a *api) listClients(w http.ResponseWriter, r *http.Request) error {
	after, limit, err := page(r)
	if err != nil {
		return err
	}
	clients, err := a.store.Clients(r.Context(), after, limit+1) // one more tells whether there is another page
	if err != nil {
		return storeFailure(err)
	}
	p := ClientPage{Clients: []Client{}}
	for i, c := range clients {
		if i == limit {
			p.Next = clients[limit-1].ID
			break
		}
		p.Clients = append(p.Clients, viewClient(c, time.Now()))
	}
	return answer(w, http.StatusOK, p)
}

// createClient registers a client. A confidential one gets its secret in this answer and never again.
func (a *api) createClient(w http.ResponseWriter, r *http.Request) error {
	var m Metadata
	if err := decode(r, &m); err != nil {
		return err
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	c, problems := m.prepare()
	var secret string
	if !c.Public {
		var kept storage.ClientSecret
		secret, kept = newSecret(now)
		c.Secrets = []storage.ClientSecret{kept}
	}
	if problems = append(problems, CheckClient(c)...); len(problems) > 0 {
		return rejected(problems)
	}
	c.Version, c.CreatedAt = 1, now
	if err := a.store.CreateClient(r.Context(), c); err != nil {
		return about("client "+c.ID, "", err)
	}
	a.recordClient(r, audit.ClientCreated, c)
	view := viewClient(c, now)
	view.ClientSecret = secret
	w.Header().Set("Location", "/admin/v1/clients/"+c.ID)
	return answer(w, http.StatusCreated, view)
}

// prepare makes the client that m describes, with a new id where m has none, and lists what cannot be read.
func (m Metadata) prepare() (storage.Client, []Problem) {
	var k checker
	c := storage.Client{
		ID: m.ClientID, Name: m.ClientName, GrantTypes: m.GrantTypes, RedirectURIs: m.RedirectURIs,
		Scopes: strings.Fields(m.Scope), DefaultScopes: strings.Fields(m.DefaultScope), Audience: m.Audience,
		Resources: m.Resources,
	}
	if c.ID == "" {
		c.ID = "cl_" + strings.ToLower(rand.Text())
	}
	switch m.TokenEndpointAuthMethod {
	case authNone:
		c.Public = true
	case authBasic, "": // RFC 7591 §2: client_secret_basic is the default
	default:
		k.bad("token_endpoint_auth_method", "%q is not known; choose %s or %s", m.TokenEndpointAuthMethod, authNone, authBasic)
	}
	if m.RefreshGrace != "" {
		if d, err := time.ParseDuration(m.RefreshGrace); err != nil {
			k.bad("refresh_grace", "%q is not a duration, like 10s", m.RefreshGrace)
		} else {
			c.RefreshGrace = &d
		}
	}
	return c, k.problems
}

// removeClient deletes a client. Its grants end with it: without the client, nobody can redeem them.
func (a *api) removeClient(w http.ResponseWriter, r *http.Request) error {
	c, err := a.clientOf(r)
	if err != nil {
		return err
	}
	if c.Source != "" {
		return about("client "+c.ID, c.Source, storage.ErrReadOnly)
	}
	if err := a.store.DeleteClient(r.Context(), c.ID); err != nil {
		return about("client "+c.ID, c.Source, err)
	}
	a.recordClient(r, audit.ClientRemoved, c)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// rotateSecret gives a confidential client a new secret, shown in this answer only; see rotateSecrets.
func (a *api) rotateSecret(w http.ResponseWriter, r *http.Request) error {
	var in Rotation
	if err := decodeOptional(r, &in); err != nil {
		return err
	}
	overlap, err := in.overlap()
	if err != nil {
		return err
	}
	for range maxTries {
		c, err := a.clientOf(r)
		if err != nil {
			return err
		}
		what := "client " + c.ID
		if c.Source != "" {
			return about(what, c.Source, storage.ErrReadOnly)
		}
		if c.Public {
			return invalid("%s is public (token_endpoint_auth_method none) and has no secret", what)
		}
		now := time.Now().UTC().Truncate(time.Millisecond)
		secret, kept := newSecret(now)
		if c.Secrets, err = rotateSecrets(c.Secrets, kept, overlap, now); err != nil {
			return err
		}
		err = a.store.ReplaceClient(r.Context(), c)
		if errors.Is(err, storage.ErrConflict) {
			continue
		}
		if err != nil {
			return about(what, c.Source, err)
		}
		a.recordClient(r, audit.ClientSecretRotated, c)
		view := viewClient(c, now)
		view.ClientSecret = secret
		return answer(w, http.StatusOK, view)
	}
	return about("client "+r.PathValue("client_id"), "", storage.ErrConflict)
}

// clientOf reads the client that the path names.
func (a *api) clientOf(r *http.Request) (storage.Client, error) {
	id := r.PathValue("client_id")
	if wrong := checkClientID(id); wrong != "" {
		return storage.Client{}, invalid("client_id %s", wrong)
	}
	c, err := a.store.Client(r.Context(), id)
	return c, about("client "+id, "", err)
}

func (a *api) recordClient(r *http.Request, name audit.Name, c storage.Client) {
	a.audit.Record(r.Context(), audit.Event{Name: name, ClientID: c.ID, Address: address(r)})
}

// viewClient is the allow-list of what the API shows of a client.
func viewClient(c storage.Client, now time.Time) Client {
	v := Client{
		Metadata: Metadata{
			ClientID: c.ID, ClientName: c.Name, TokenEndpointAuthMethod: authBasic, GrantTypes: c.GrantTypes,
			Scope: strings.Join(c.Scopes, " "), DefaultScope: strings.Join(c.DefaultScopes, " "),
			RedirectURIs: c.RedirectURIs, Audience: c.Audience, Resources: c.Resources,
		},
		CreatedAt: c.CreatedAt, Source: c.Source,
	}
	if c.Public {
		v.TokenEndpointAuthMethod = authNone
	}
	if c.RefreshGrace != nil {
		v.RefreshGrace = c.RefreshGrace.String()
	}
	for _, s := range liveSecrets(c.Secrets, now) {
		v.Secrets = append(v.Secrets, Secret{CreatedAt: s.CreatedAt, ExpiresAt: s.ExpiresAt})
	}
	return v
}
