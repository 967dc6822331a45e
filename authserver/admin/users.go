package admin

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/ingam/ingam/authserver/audit"
	"github.com/ingam/ingam/authserver/credential"
	"github.com/ingam/ingam/storage"
)

// maxTries bounds how often a change is decided anew because somebody else changed the record in between.
const maxTries = 5

// newUserID returns a subject identifier: 130 random bits that say nothing about the person (OIDC Core §2).
func newUserID() string { return userPrefix + strings.ToLower(rand.Text()) }

// showUser shows one user.
func (a *api) showUser(w http.ResponseWriter, r *http.Request) error {
	u, err := a.userOf(r)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, viewUser(u))
}

// listUsers lists a page of users in order of username.
func (a *api) listUsers(w http.ResponseWriter, r *http.Request) error {
	after, limit, err := page(r)
	if err != nil {
		return err
	}
	users, err := a.store.Users(r.Context(), after, limit+1) // one more tells whether there is another page
	if err != nil {
		return storeFailure(err)
	}
	p := UserPage{Users: []User{}}
	for i, u := range users {
		if i == limit {
			p.Next = users[limit-1].Username
			break
		}
		p.Users = append(p.Users, viewUser(u))
	}
	return answer(w, http.StatusOK, p)
}

// createUser makes a user with a password, an imported hash, or neither.
func (a *api) createUser(w http.ResponseWriter, r *http.Request) error {
	var n NewUser
	if err := decode(r, &n); err != nil {
		return err
	}
	u, problems := n.prepare()
	if len(problems) > 0 {
		return rejected(problems)
	}
	// Asked first only to save hashing for a name that is taken; CreateUser decides.
	if _, err := a.store.UserByName(r.Context(), u.Username); err == nil {
		return about("user "+u.Username, "", storage.ErrExists)
	} else if storage.IsFailure(err) {
		return storeFailure(err)
	}
	var err error
	if u.PasswordHash, err = a.hash(r.Context(), n.Credentials); err != nil {
		return err
	}
	u.Version, u.CreatedAt = 1, time.Now().UTC().Truncate(time.Millisecond)
	if err := a.store.CreateUser(r.Context(), u); err != nil {
		return about("user "+u.Username, "", err)
	}
	a.recordUser(r, audit.UserCreated, u)
	w.Header().Set("Location", "/admin/v1/users/"+url.PathEscape(u.Username))
	return answer(w, http.StatusCreated, viewUser(u))
}

// removeUser deletes a user. That ends all sign-ins: a grant whose user is gone is dead, and the id is never given
// to anybody else.
func (a *api) removeUser(w http.ResponseWriter, r *http.Request) error {
	u, err := a.userOf(r)
	if err != nil {
		return err
	}
	what := "user " + u.Username
	if u.Source != "" {
		return about(what, u.Source, storage.ErrReadOnly)
	}
	// Before: afterwards nobody could be found to try it again for.
	if err := a.end(r, u); err != nil {
		return err
	}
	if err := a.store.DeleteUser(r.Context(), u.ID); err != nil {
		return about(what, u.Source, err)
	}
	a.recordUser(r, audit.UserRemoved, u)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// changePassword replaces the password and ends all sign-ins.
func (a *api) changePassword(w http.ResponseWriter, r *http.Request) error {
	var c Credentials
	if err := decode(r, &c); err != nil {
		return err
	}
	if c.Password == nil && c.PasswordHash == nil {
		return invalid("password or password_hash is needed")
	}
	u, err := a.userOf(r)
	if err != nil {
		return err
	}
	if problems := c.check(u.Username); len(problems) > 0 {
		return rejected(problems)
	}
	if u.Source != "" { // asked before hashing; changeUser asks again
		return about("user "+u.Username, u.Source, storage.ErrReadOnly)
	}
	hash, err := a.hash(r.Context(), c)
	if err != nil {
		return err
	}
	return a.changeUser(w, r, audit.UserPasswordChanged, func(u *storage.User) bool {
		u.PasswordHash = hash
		u.Epoch++
		return true
	})
}

// disableUser ends all sign-ins and allows no new one. One who is disabled already is stored all the same: the request
// before may have been answered 503, and whether its write lasts is then known only when this one is acknowledged.
func (a *api) disableUser(w http.ResponseWriter, r *http.Request) error {
	return a.changeUser(w, r, audit.UserDisabled, func(u *storage.User) bool {
		if !u.Disabled {
			u.Disabled = true
			u.Epoch++
		}
		return true
	})
}

// enableUser allows new sign-ins. It does not revive old ones: the epoch stays where disabling put it.
func (a *api) enableUser(w http.ResponseWriter, r *http.Request) error {
	return a.changeUser(w, r, audit.UserEnabled, func(u *storage.User) bool {
		changed := u.Disabled
		u.Disabled = false
		return changed
	})
}

// changeUser applies change to the user of the request and shows the result. Where somebody else was faster it reads
// and decides again, so that no change is lost. change returns whether there is anything to store.
func (a *api) changeUser(w http.ResponseWriter, r *http.Request, event audit.Name, change func(*storage.User) bool) error {
	for range maxTries {
		u, err := a.userOf(r)
		if err != nil {
			return err
		}
		what := "user " + u.Username
		if u.Source != "" {
			return about(what, u.Source, storage.ErrReadOnly)
		}
		if change(&u) {
			err = a.store.ReplaceUser(r.Context(), u)
			if errors.Is(err, storage.ErrConflict) {
				continue
			}
			if err != nil {
				return about(what, u.Source, err)
			}
			a.recordUser(r, event, u)
		}
		if event == audit.UserDisabled || event == audit.UserPasswordChanged {
			if err := a.end(r, u); err != nil {
				return err
			}
		}
		return answer(w, http.StatusOK, viewUser(u))
	}
	return about("user "+r.PathValue("username"), "", storage.ErrConflict)
}

// end tells clients that the user's browser sessions are over. (For this server they are, by the epoch.)
func (a *api) end(r *http.Request, u storage.User) error {
	if a.endSessions == nil {
		return nil
	}
	if err := a.endSessions(r.Context(), u.ID); err != nil {
		return storeFailure(err)
	}
	return nil
}

// userOf reads the user that the path names.
func (a *api) userOf(r *http.Request) (storage.User, error) {
	name, err := credential.CanonicalUsername(r.PathValue("username"))
	if err != nil {
		return storage.User{}, invalid("username: %s", err)
	}
	u, err := a.store.UserByName(r.Context(), name)
	return u, about("user "+name, "", err)
}

// hash returns what to store for the credentials: an imported hash as it is.
func (a *api) hash(ctx context.Context, c Credentials) (string, error) {
	switch {
	case c.PasswordHash != nil:
		return *c.PasswordHash, nil
	case c.Password != nil:
		return a.hasher.Hash(ctx, *c.Password)
	}
	return "", nil
}

func (a *api) recordUser(r *http.Request, name audit.Name, u storage.User) {
	a.audit.Record(r.Context(), audit.Event{Name: name, UserID: u.ID, Username: u.Username, Address: address(r)})
}

// viewUser is the allow-list of what the API shows of a user.
func viewUser(u storage.User) User {
	return User{
		ID: u.ID, Username: u.Username, Disabled: u.Disabled, Claims: u.Claims, CreatedAt: u.CreatedAt, Source: u.Source,
		HasPassword: u.PasswordHash != "", HashKind: hashKind(u.PasswordHash),
	}
}

// hashKind names the scheme of a stored hash. The list is closed, so that no part of a hash can pass for a name.
func hashKind(hash string) string {
	if hash == "" {
		return ""
	}
	name, _, _ := strings.Cut(strings.TrimPrefix(hash, "$"), "$")
	switch name {
	case "argon2id", "pbkdf2-sha256", "pbkdf2-sha512":
		return name
	case "pbkdf2_sha256", "pbkdf2_sha512":
		return strings.Replace(name, "_", "-", 1)
	case "2a", "2b", "2y":
		return "bcrypt"
	}
	return "unknown"
}
