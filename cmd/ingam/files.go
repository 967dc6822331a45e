package main

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ingam/ingam/authserver/admin"
	"github.com/ingam/ingam/authserver/credential"
	"github.com/ingam/ingam/storage"
)

// Records in files: clients.d/*.yaml and users.d/*.yaml hold clients and users that an operator keeps with the
// configuration. Field names are those of the admin API (RFC 7591 §2), and so are the rules for values.

// loadClients reads all clients of a folder; "" is no folder.
func loadClients(dir string) ([]storage.Client, problems) {
	return loadRecords(dir, parseClients)
}

// loadUsers reads all users of a folder; "" is no folder.
func loadUsers(dir string) ([]storage.User, problems) {
	return loadRecords(dir, parseUsers)
}

// placed is a record with its name and the place of its definition.
type placed[T any] struct {
	name   string
	at     position
	record T
}

// loadRecords reads the files of a folder in the order of their names and collects the problems of all of them. Hidden
// files are skipped: editors and Kubernetes keep their own copies there.
func loadRecords[T any](dir string, parse func(file string, data []byte) ([]placed[T], problems)) ([]T, problems) {
	if dir == "" {
		return nil, nil
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, problems{{at: position{file: dir}, message: "cannot be read: " + plain(err)}}
	}
	var all []placed[T]
	var found problems
	for _, f := range files {
		ext := filepath.Ext(f.Name())
		if f.IsDir() || strings.HasPrefix(f.Name(), ".") || ext != ".yaml" && ext != ".yml" {
			continue
		}
		path := filepath.Join(dir, f.Name())
		data, err := os.ReadFile(path)
		if err != nil {
			found = append(found, problem{at: position{file: path}, message: "cannot be read: " + plain(err)})
			continue
		}
		records, wrong := parse(path, data)
		all, found = append(all, records...), append(found, wrong.inOrder()...)
	}
	records, twice := distinct(all)
	return records, append(found, twice...)
}

// distinct takes the records out of their places. Where a name is used again, nothing decides which one is meant: it is a
// problem that names both places.
func distinct[T any](all []placed[T]) (records []T, found problems) {
	first := map[string]position{}
	for _, p := range all {
		if at, twice := first[p.name]; twice {
			found = append(found, problem{at: p.at, value: p.name, message: "is defined already at " + at.String()})
			continue
		}
		first[p.name] = p.at
		records = append(records, p.record)
	}
	return records, found
}

// recordsOf are the records of a file: each document is one, or a list of them.
func recordsOf(file string, data []byte) ([]*node, problems) {
	docs, found := parseYAML(file, data)
	var records []*node
	for _, doc := range docs {
		list := []*node{doc}
		if doc.kind == listNode {
			list = doc.items
		}
		for _, n := range list {
			if n.kind != mapNode {
				found = append(found, problem{at: n.at, message: fmt.Sprintf("is %s; a record with fields is expected", n.kind)})
				continue
			}
			records = append(records, n)
		}
	}
	return records, found
}

// parseClients reads the clients of one file.
func parseClients(file string, data []byte) (all []placed[storage.Client], found problems) {
	records, found := recordsOf(file, data)
	for _, n := range records {
		c := storage.Client{Source: file}
		method, subject := "", ""
		wrong := decode(n, clientFields(&c, &method, &subject), map[string]string{
			"client_secret": "does not belong into a file; write secret_file: and keep the secret in that file, " +
				"or secret_sha256: with its SHA-256",
		})
		for _, f := range []struct{ key, value, wrong string }{
			{"token_endpoint_auth_method", method, admin.SetAuthMethod(&c, method)},
			{"subject_type", subject, admin.SetSubjectType(&c, subject)},
		} {
			if f.wrong != "" {
				wrong = append(wrong, problem{at: n.field(f.key), key: f.key, value: f.value, message: f.wrong})
			}
		}
		wrong = append(wrong, unquoted(n, "accent")...)
		wrong = append(wrong, checked(n, wrong, admin.CheckClient(c))...)
		found = append(found, wrong...)
		all = append(all, placed[storage.Client]{orDefault(c.ID, n.at.String()), n.at, c})
	}
	return all, found
}

// unquoted finds a colour that YAML has taken for a comment.
func unquoted(n *node, name string) problems {
	for _, e := range n.entries {
		if e.key == name && e.value.kind == nullNode {
			return problems{{at: e.value.at, key: name, message: "has nothing in it; write a colour in quotes, since # begins a comment"}}
		}
	}
	return nil
}

// clientFields are the names of a client in files, those of the admin API and some that are easier to write.
func clientFields(c *storage.Client, method, subject *string) map[string]field {
	return map[string]field{
		"client_id":                  textField(&c.ID),
		"client_name":                textField(&c.Name),
		"token_endpoint_auth_method": textField(method),
		"grant_types":                listField(&c.GrantTypes),
		"redirect_uris":              listField(&c.RedirectURIs),
		"scope":                      wordsField(&c.Scopes),
		"scopes":                     wordsField(&c.Scopes),
		"default_scope":              wordsField(&c.DefaultScopes),
		"default_scopes":             wordsField(&c.DefaultScopes),
		"audience":                   listField(&c.Audience),
		"resources":                  listField(&c.Resources),
		"refresh_grace":              graceField(&c.RefreshGrace),
		"secret_sha256":              hashesField(&c.Secrets),
		"secret_file":                secretFileField(&c.Secrets),

		"jwks":                                  jwksField(&c.JWKS),
		"jwks_uri":                              textField(&c.JWKSURI),
		"response_modes":                        listField(&c.ResponseModes),
		"require_pkce":                          boolField(&c.RequirePKCE),
		"require_pushed_authorization_requests": boolField(&c.RequirePAR),
		"require_signed_request_object":         boolField(&c.RequireSignedRequest),
		"request_object_signing_alg":            textField(&c.RequestObjectAlg),
		"default_max_age":                       secondsField(&c.DefaultMaxAge),
		"first_party":                           boolField(&c.FirstParty),
		"session_bound":                         boolField(&c.SessionBound),
		"userinfo_signed_response_alg":          textField(&c.UserInfoAlg),
		"subject_type":                          textField(subject),
		"sector_identifier":                     textField(&c.Sector),
		"post_logout_redirect_uris":             listField(&c.PostLogoutRedirectURIs),
		"backchannel_logout_uri":                textField(&c.BackchannelLogoutURI),
		"frontchannel_logout_uri":               textField(&c.FrontchannelLogoutURI),
		"allowed_origins":                       listField(&c.AllowedOrigins),
		"client_uri":                            textField(&c.URI),
		"logo_uri":                              textField(&c.LogoURI),
		"accent":                                textField(&c.Accent),
	}
}

// parseUsers reads the users of one file.
func parseUsers(file string, data []byte) (all []placed[storage.User], found problems) {
	records, found := recordsOf(file, data)
	for _, n := range records {
		u := storage.User{Source: file}
		wrong := decode(n, map[string]field{
			"id":            textField(&u.ID),
			"username":      textField(&u.Username),
			"password_hash": textField(&u.PasswordHash),
			"disabled":      boolField(&u.Disabled),
			"claims":        claimsField(&u.Claims),
			"epoch":         countField(&u.Epoch), // another number ends all sign-ins of the user
		}, map[string]string{
			"password": "does not belong into a file; write password_hash: with its argon2id or bcrypt hash",
		})
		// The spelling of the file may be any; only the canonical one is stored and hashed into the id.
		if canonical, err := credential.CanonicalUsername(u.Username); err == nil {
			u.Username = canonical
		}
		if u.ID == "" {
			u.ID = staticUserID(u.Username)
		}
		wrong = append(wrong, checked(n, wrong, admin.CheckUser(u))...)
		found = append(found, wrong...)
		all = append(all, placed[storage.User]{orDefault(u.Username, n.at.String()), n.at, u})
	}
	return all, found
}

// staticUserID is the id of a user whose file names none. It stays the same as long as the username does.
func staticUserID(username string) string {
	sum := sha256.Sum256([]byte("ingam static user\x00" + username))
	return "usr_" + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:15]))
}

// field is where the value of a field stands, or the record where it is missing.
func (n *node) field(name string) position {
	for _, e := range n.entries {
		if e.key == name {
			return e.value.at
		}
	}
	return n.at
}

// checked turns what the admin API would refuse into problems with places. Where a field could not be read, its problem
// is known already.
func checked(n *node, before problems, refused []admin.Problem) (found problems) {
	for _, p := range refused {
		known := slices.ContainsFunc(before, func(b problem) bool {
			return b.key == p.Field || p.Field == "token_endpoint_auth_method" && strings.Contains(b.key, "secret")
		})
		if !known {
			found = append(found, problem{at: n.field(p.Field), key: p.Field, message: p.Message})
		}
	}
	return found
}
