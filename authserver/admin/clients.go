package admin

import (
	"errors"
	"net/http"
	"time"

	"github.com/ingam/ingam/authserver/audit"
	"github.com/ingam/ingam/storage"
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
	if hasSecret(c) {
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

// replaceClient gives a client other metadata. Its id, its age and, as long as it goes on having one, its secret stay.
func (a *api) replaceClient(w http.ResponseWriter, r *http.Request) error {
	var in Replacement
	if err := decode(r, &in); err != nil {
		return err
	}
	for range maxTries {
		old, err := a.clientOf(r)
		if err != nil {
			return err
		}
		what := "client " + old.ID
		if old.Source != "" {
			return about(what, old.Source, storage.ErrReadOnly)
		}
		if in.Version != 0 && in.Version != old.Version {
			return about(what, "", storage.ErrConflict)
		}
		now := time.Now().UTC().Truncate(time.Millisecond)
		c, secret, err := in.over(old, now)
		if err != nil {
			return err
		}
		err = a.store.ReplaceClient(r.Context(), c)
		if errors.Is(err, storage.ErrConflict) {
			continue
		}
		if err != nil {
			return about(what, "", err)
		}
		a.recordClient(r, audit.ClientChanged, c)
		c.Version++
		view := viewClient(c, now)
		view.ClientSecret = secret
		return answer(w, http.StatusOK, view)
	}
	return about("client "+r.PathValue("client_id"), "", storage.ErrConflict)
}

// over is the client that in makes of old, and its secret where it needs a new one.
func (in Replacement) over(old storage.Client, now time.Time) (c storage.Client, secret string, err error) {
	if in.ClientID != "" && in.ClientID != old.ID {
		return c, "", invalid("client_id: %q is not the one in the address; an id never changes", in.ClientID)
	}
	m := in.Metadata
	m.ClientID = old.ID
	if m.TokenEndpointAuthMethod == "" {
		m.TokenEndpointAuthMethod = authMethodOf(old)
	}
	c, problems := m.prepare()
	c.CreatedAt, c.Version = old.CreatedAt, old.Version
	if hasSecret(c) {
		c.Secrets = old.Secrets
		if len(c.Secrets) == 0 {
			var kept storage.ClientSecret
			secret, kept = newSecret(now)
			c.Secrets = []storage.ClientSecret{kept}
		}
	}
	if problems = append(problems, CheckClient(c)...); len(problems) > 0 {
		return c, "", rejected(problems)
	}
	return c, secret, nil
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
		switch {
		case c.Public:
			return invalid("%s is public (token_endpoint_auth_method none) and has no secret", what)
		case !hasSecret(c):
			return invalid("%s authenticates with %s and has no secret; change its keys with jwks or jwks_uri", what, c.AuthMethod)
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
