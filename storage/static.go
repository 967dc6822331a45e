package storage

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// WithStatic returns s with the clients and users of the operator's files (clients.d, users.d) added. Each of them
// says in Source which file it is from.
//
// Static records are found and listed like all others, and cannot be changed through the store: replacing or deleting
// one answers ErrReadOnly, creating one with its id or username answers ErrExists. Where a file and the store both
// have a client id, a user id or a username, the file wins and the record of the store is hidden as long as the file
// is there; a stored user who is hidden by username only is still found by id, for the sake of its sign-ins.
//
// Nothing counts the changes of a file. So that a new password or "disabled" in the file still ends all sign-ins made
// before, the Epoch of a static user is computed from the two. It is a fingerprint, not a counter: putting the very
// same hash back brings the old epoch back, and with it what is left of the sign-ins of then. A file's own Epoch goes
// into the fingerprint, so that the operator can end sign-ins by changing it.
//
// Export and Import are those of s: files are moved as files.
func WithStatic(s Store, clients []Client, users []User) (Store, error) {
	st := &static{Store: s, clients: map[string]Client{}, users: map[string]User{}, byName: map[string]User{}}
	var errs []error
	for _, c := range clients {
		switch other, taken := st.clients[c.ID]; {
		case c.ID == "" || c.Source == "":
			errs = append(errs, fmt.Errorf("client %q of %q: id and source must be known", c.ID, c.Source))
		case taken:
			errs = append(errs, fmt.Errorf("client %q is defined twice: in %s and in %s", c.ID, other.Source, c.Source))
		default:
			c.Version = max(1, c.Version)
			st.clients[c.ID] = c.clone()
		}
	}
	for _, u := range users {
		if u.ID == "" || u.Username == "" || u.Source == "" {
			errs = append(errs, fmt.Errorf("user %q (%q) of %q: id, username and source must be known", u.Username, u.ID, u.Source))
			continue
		}
		if other, taken := st.users[u.ID]; taken {
			errs = append(errs, fmt.Errorf("user id %q is defined twice: in %s and in %s", u.ID, other.Source, u.Source))
			continue
		}
		if other, taken := st.byName[u.Username]; taken {
			errs = append(errs, fmt.Errorf("username %q is defined twice: in %s and in %s", u.Username, other.Source, u.Source))
			continue
		}
		u.Version, u.Epoch = max(1, u.Version), staticEpoch(u)
		var err error
		if u.Claims, err = asStored(u.Claims); err != nil {
			errs = append(errs, fmt.Errorf("user %q of %s: claims: %w", u.Username, u.Source, err))
		}
		st.users[u.ID], st.byName[u.Username] = u, u
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return st, nil
}

// static is a Store with records from files in front. The maps never change, and their records never leave uncopied.
type static struct {
	Store
	clients map[string]Client
	users   map[string]User // by id
	byName  map[string]User // by username
}

// staticEpoch has 53 bits, which every JSON reader can hold (RFC 8259 §6).
func staticEpoch(u User) uint64 {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %t %s", u.Epoch, u.Disabled, u.PasswordHash))
	return binary.BigEndian.Uint64(sum[:]) >> 11
}

// asStored gives claims the types that they would have when read from a store: those of encoding/json.
func asStored(claims map[string]any) (stored map[string]any, err error) {
	b, err := json.Marshal(claims)
	if err != nil {
		return nil, err
	}
	return stored, json.Unmarshal(b, &stored)
}

// clone returns a copy that shares no memory with c.
func (c Client) clone() Client {
	c.Secrets = slices.Clone(c.Secrets)
	for i := range c.Secrets {
		c.Secrets[i].Hash = slices.Clone(c.Secrets[i].Hash)
	}
	c.GrantTypes, c.RedirectURIs = slices.Clone(c.GrantTypes), slices.Clone(c.RedirectURIs)
	c.Scopes, c.DefaultScopes = slices.Clone(c.Scopes), slices.Clone(c.DefaultScopes)
	c.Audience, c.Resources = slices.Clone(c.Audience), slices.Clone(c.Resources)
	c.JWKS, c.ResponseModes = slices.Clone(c.JWKS), slices.Clone(c.ResponseModes)
	c.PostLogoutRedirectURIs, c.AllowedOrigins = slices.Clone(c.PostLogoutRedirectURIs), slices.Clone(c.AllowedOrigins)
	if c.DefaultMaxAge != nil {
		c.DefaultMaxAge = new(*c.DefaultMaxAge)
	}
	if c.RefreshGrace != nil {
		c.RefreshGrace = new(*c.RefreshGrace)
	}
	return c
}

// clone returns a copy that shares no memory with u, whose claims are as encoding/json reads them.
func (u User) clone() User {
	u.Claims, _ = cloneJSON(u.Claims).(map[string]any)
	return u
}

func cloneJSON(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if v == nil {
			return v
		}
		c := make(map[string]any, len(v))
		for key, value := range v {
			c[key] = cloneJSON(value)
		}
		return c
	case []any:
		c := slices.Clone(v)
		for i := range c {
			c[i] = cloneJSON(c[i])
		}
		return c
	default:
		return v
	}
}

func (st *static) Client(ctx context.Context, id string) (Client, error) {
	if c, ok := st.clients[id]; ok {
		return c.clone(), nil
	}
	return st.Store.Client(ctx, id)
}

func (st *static) Clients(ctx context.Context, after string, limit int) ([]Client, error) {
	return merged(ctx, after, limit, merge[Client]{
		static: st.clients,
		stored: st.Store.Clients,
		key:    func(c Client) string { return c.ID },
		hidden: func(c Client) bool { return has(st.clients, c.ID) },
	})
}

func (st *static) CreateClient(ctx context.Context, c Client) error {
	if has(st.clients, c.ID) {
		return ErrExists
	}
	return st.Store.CreateClient(ctx, c)
}

func (st *static) ReplaceClient(ctx context.Context, c Client) error {
	if has(st.clients, c.ID) {
		return ErrReadOnly
	}
	return st.Store.ReplaceClient(ctx, c)
}

func (st *static) DeleteClient(ctx context.Context, id string) error {
	if has(st.clients, id) {
		return ErrReadOnly
	}
	return st.Store.DeleteClient(ctx, id)
}

func (st *static) User(ctx context.Context, id string) (User, error) {
	if u, ok := st.users[id]; ok {
		return u.clone(), nil
	}
	return st.Store.User(ctx, id)
}

func (st *static) RecallUser(ctx context.Context, id string) (User, error) {
	if u, ok := st.users[id]; ok {
		return u.clone(), nil
	}
	return st.Store.RecallUser(ctx, id)
}

// Rotate judges a user of the files here: the store knows nobody of that id, or somebody else.
func (st *static) Rotate(ctx context.Context, r Rotation) (Outcome, Grant, error) {
	u, ok := st.users[r.UserID]
	if !ok {
		return st.Store.Rotate(ctx, r)
	}
	// The files do not change while we run, so nothing can come between this and the rotation.
	outcome := r.DecideUser(u, true)
	r.UserID = ""
	if outcome == 0 {
		return st.Store.Rotate(ctx, r)
	}
	g, err := st.Store.Grant(ctx, r.GrantID)
	switch {
	case err != nil:
		return 0, Grant{}, err
	case g.Revoked:
		return Dead, g, nil
	}
	return outcome, g, nil
}

// GrantAndUser answers for a user of the files itself.
func (st *static) GrantAndUser(ctx context.Context, id, userID string) (Grant, User, error) {
	u, ok := st.users[userID]
	if !ok {
		return st.Store.GrantAndUser(ctx, id, userID)
	}
	g, err := st.Store.Grant(ctx, id)
	if err != nil {
		return Grant{}, User{}, err
	}
	return g, u.clone(), nil
}

func (st *static) UserByName(ctx context.Context, username string) (User, error) {
	if u, ok := st.byName[username]; ok {
		return u.clone(), nil
	}
	u, err := st.Store.UserByName(ctx, username)
	if err == nil && has(st.users, u.ID) {
		return User{}, ErrNotFound // the id means somebody else now
	}
	return u, err
}

func (st *static) Users(ctx context.Context, after string, limit int) ([]User, error) {
	return merged(ctx, after, limit, merge[User]{
		static: st.byName,
		stored: st.Store.Users,
		key:    func(u User) string { return u.Username },
		hidden: func(u User) bool { return has(st.users, u.ID) || has(st.byName, u.Username) },
	})
}

func (st *static) CreateUser(ctx context.Context, u User) error {
	if has(st.users, u.ID) || has(st.byName, u.Username) {
		return ErrExists
	}
	return st.Store.CreateUser(ctx, u)
}

func (st *static) ReplaceUser(ctx context.Context, u User) error {
	if has(st.users, u.ID) {
		return ErrReadOnly
	}
	if has(st.byName, u.Username) {
		// The store answers first about an unknown or changed user. One who is hidden may keep the name, not take it.
		switch stored, err := st.Store.User(ctx, u.ID); {
		case err != nil:
			return err
		case stored.Version != u.Version:
			return ErrConflict
		case stored.Username != u.Username:
			return ErrExists
		}
	}
	return st.Store.ReplaceUser(ctx, u)
}

func (st *static) DeleteUser(ctx context.Context, id string) error {
	if has(st.users, id) {
		return ErrReadOnly
	}
	return st.Store.DeleteUser(ctx, id)
}

func has[T any](m map[string]T, key string) bool {
	_, ok := m[key]
	return ok
}

type cloner[T any] interface{ clone() T }

// merge is what a listing is made from.
type merge[T cloner[T]] struct {
	static map[string]T // by key
	stored func(ctx context.Context, after string, limit int) ([]T, error)
	key    func(T) string
	hidden func(T) bool
}

// merged lists static and stored records in one order. It reads on in the store until it has a page of records that
// are not hidden: more than a page is never needed, and less would leave gaps.
func merged[T cloner[T]](ctx context.Context, after string, limit int, m merge[T]) ([]T, error) {
	var list []T
	for from, more := after, limit > 0; more && len(list) < limit; {
		page, err := m.stored(ctx, from, limit)
		if err != nil {
			return nil, err
		}
		for _, v := range page {
			from = m.key(v)
			if !m.hidden(v) {
				list = append(list, v)
			}
		}
		more = len(page) == limit
	}
	for key, v := range m.static {
		if key > after {
			list = append(list, v.clone())
		}
	}
	slices.SortFunc(list, func(a, b T) int { return cmp.Compare(m.key(a), m.key(b)) })
	return list[:min(len(list), max(0, limit))], nil
}
