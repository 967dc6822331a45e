package storage_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/memory"
	"github.com/ingam/ingam/storage/storagetest"
)

func TestAStoreWithStaticRecordsKeepsThePromises(t *testing.T) {
	storagetest.Run(t, storagetest.Harness{
		Open:   func(t testing.TB) storage.Store { t.Helper(); return withStatic(t, memory.New(), nil, nil) },
		Bubble: synctest.Test,
	})
}

func TestStaticClientsAreFoundAndListedInOrder(t *testing.T) {
	inner := memory.New()
	for _, id := range []string{"b", "d", "f", "h"} {
		must(t, inner.CreateClient(t.Context(), storage.Client{ID: id, Name: "stored"}))
	}
	s := withStatic(t, inner, []storage.Client{
		{ID: "e", Name: "static", Source: "clients.d/1.yaml"},
		{ID: "a", Name: "static", Source: "clients.d/2.yaml"},
		{ID: "f", Name: "static", Source: "clients.d/3.yaml"}, // hides the stored one
		{ID: "z", Name: "static", Source: "clients.d/4.yaml"},
	}, nil)
	want := "a:static b:stored d:stored e:static f:static h:stored z:static"
	for limit := 1; limit < 9; limit++ {
		var got []string
		for after := ""; ; {
			page, err := s.Clients(t.Context(), after, limit)
			must(t, err)
			for _, c := range page {
				got = append(got, c.ID+":"+c.Name)
				after = c.ID
			}
			if len(page) < limit {
				break
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("in pages of %d:\n got %s\nwant %s", limit, strings.Join(got, " "), want)
		}
	}
	c, err := s.Client(t.Context(), "f")
	must(t, err)
	if c.Name != "static" || c.Source != "clients.d/3.yaml" || c.Version != 1 {
		t.Errorf("got %+v", c)
	}
	if c, err = s.Client(t.Context(), "b"); err != nil || c.Source != "" {
		t.Errorf("stored client: %+v, %v", c, err)
	}
	if page, err := s.Clients(t.Context(), "", 0); err != nil || len(page) != 0 {
		t.Errorf("limit 0: %d clients, %v", len(page), err)
	}
}

func TestStaticRecordsAreReadOnly(t *testing.T) {
	s := withStatic(t, memory.New(),
		[]storage.Client{{ID: "c", Source: "clients.d/c.yaml"}},
		[]storage.User{{ID: "id", Username: "alice", Source: "users.d/alice.yaml"}})
	ctx := t.Context()
	must(t, s.CreateUser(ctx, storage.User{ID: "other", Username: "bob"}))
	for doing, tc := range map[string]struct{ got, want error }{
		"replace client":                {s.ReplaceClient(ctx, storage.Client{ID: "c", Version: 1}), storage.ErrReadOnly},
		"delete client":                 {s.DeleteClient(ctx, "c"), storage.ErrReadOnly},
		"create client with its id":     {s.CreateClient(ctx, storage.Client{ID: "c"}), storage.ErrExists},
		"create another client":         {s.CreateClient(ctx, storage.Client{ID: "C"}), nil},
		"replace user":                  {s.ReplaceUser(ctx, storage.User{ID: "id", Username: "x", Version: 1}), storage.ErrReadOnly},
		"delete user":                   {s.DeleteUser(ctx, "id"), storage.ErrReadOnly},
		"create user with its id":       {s.CreateUser(ctx, storage.User{ID: "id", Username: "x"}), storage.ErrExists},
		"create user with its username": {s.CreateUser(ctx, storage.User{ID: "x", Username: "alice"}), storage.ErrExists},
		"create another user":           {s.CreateUser(ctx, storage.User{ID: "x", Username: "Alice"}), nil},
		"rename to its username": {
			s.ReplaceUser(ctx, storage.User{ID: "other", Username: "alice", Version: 1}), storage.ErrExists,
		},
		"rename to its username, but changed": {
			s.ReplaceUser(ctx, storage.User{ID: "other", Username: "alice", Version: 9}), storage.ErrConflict,
		},
		"rename nobody to its username": {
			s.ReplaceUser(ctx, storage.User{ID: "nobody", Username: "alice", Version: 1}), storage.ErrNotFound,
		},
		"rename to another username": {s.ReplaceUser(ctx, storage.User{ID: "other", Username: "carol", Version: 1}), nil},
	} {
		if !errors.Is(tc.got, tc.want) {
			t.Errorf("%s: got %v, want %v", doing, tc.got, tc.want)
		}
	}
}

// R14: the store below knows nobody of that id, or somebody else whose state says nothing.
func TestAUserOfAFileIsJudgedByTheFileWhenAGrantRotates(t *testing.T) {
	inner := memory.New()
	must(t, inner.CreateUser(t.Context(), storage.User{ID: "hidden", Username: "h", Disabled: true, Epoch: 99}))
	s := withStatic(t, inner, nil, []storage.User{
		{ID: "alive", Username: "alice", Source: "users.d/alice.yaml"},
		{ID: "hidden", Username: "harry", Source: "users.d/harry.yaml"},
		{ID: "disabled", Username: "dora", Disabled: true, Source: "users.d/dora.yaml"},
	})
	for what, tc := range map[string]struct {
		user           string
		epoch, version uint64 // added to the right ones
		revoked        bool
		want           storage.Outcome
	}{
		"alive":                          {user: "alive", want: storage.Rotated},
		"hiding one who is disabled":     {user: "hidden", want: storage.Rotated},
		"disabled":                       {user: "disabled", want: storage.Dead},
		"of another epoch":               {user: "alive", epoch: 1, want: storage.Dead},
		"of another version":             {user: "alive", version: 1, want: storage.Outdated},
		"of another version, signed out": {user: "alive", version: 1, revoked: true, want: storage.Dead},
		"gone from the files":            {user: "nobody", want: storage.Dead},
	} {
		now := time.Now()
		g := storage.Grant{
			ID: what, UserID: tc.user, Generation: 1, BornAt: now, IdleExpiresAt: now.Add(time.Hour), ExpiresAt: now.Add(time.Hour),
		}
		must(t, s.CreateGrant(t.Context(), g))
		if tc.revoked {
			must(t, s.RevokeGrant(t.Context(), what, "signed out"))
		}
		u, err := s.RecallUser(t.Context(), tc.user)
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			t.Fatal(err)
		}
		if err == nil && u.Source == "" {
			t.Errorf("%s: recalled %q of the store", what, u.Username)
		}
		r := storage.Rotation{
			GrantID: what, Generation: 1, Attempt: "a", IdleLifetime: time.Hour,
			UserID: tc.user, UserEpoch: u.Epoch + tc.epoch, UserVersion: u.Version + tc.version,
		}
		outcome, got, err := s.Rotate(t.Context(), r)
		must(t, err)
		generation := uint64(1)
		if tc.want == storage.Rotated {
			generation = 2
		}
		if outcome != tc.want || got.ID != what || got.Generation != generation || got.Revoked != tc.revoked {
			t.Errorf("%s: got %v, grant %q of generation %d; want %v and %d", what, outcome, got.ID, got.Generation, tc.want, generation)
		}
	}
	r := storage.Rotation{GrantID: "unknown", UserID: "disabled"}
	if _, _, err := s.Rotate(t.Context(), r); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("an unknown grant of a disabled user: got %v, want ErrNotFound", err)
	}
}

func TestAGrantIsReadWithTheUserOfTheFile(t *testing.T) {
	inner := memory.New()
	must(t, inner.CreateUser(t.Context(), storage.User{ID: "hidden", Username: "h", Disabled: true}))
	must(t, inner.CreateUser(t.Context(), storage.User{ID: "stored", Username: "s"}))
	s := withStatic(t, inner, nil, []storage.User{
		{ID: "hidden", Username: "harry", Source: "users.d/harry.yaml", Claims: map[string]any{"name": "Harry"}},
	})
	end := time.Now().Add(time.Hour)
	must(t, s.CreateGrant(t.Context(), storage.Grant{ID: "g", UserID: "hidden", IdleExpiresAt: end, ExpiresAt: end}))
	for range 2 {
		g, u, err := s.GrantAndUser(t.Context(), "g", "hidden")
		if err != nil || g.ID != "g" || u.Username != "harry" || u.Disabled || u.Claims["name"] != "Harry" {
			t.Errorf("got %+v and %+v, %v", g, u, err)
		}
		u.Claims["name"] = "spoilt"
	}
	if g, u, err := s.GrantAndUser(t.Context(), "g", "stored"); err != nil || g.ID != "g" || u.Username != "s" {
		t.Errorf("a stored user: got %+v and %+v, %v", g, u, err)
	}
	for _, pair := range [][2]string{{"unknown", "hidden"}, {"g", "unknown"}} {
		if g, u, err := s.GrantAndUser(t.Context(), pair[0], pair[1]); !errors.Is(err, storage.ErrNotFound) || g.ID != "" || u.ID != "" {
			t.Errorf("%v: got %+v and %+v, %v; want ErrNotFound", pair, g, u, err)
		}
	}
	if list, err := s.GrantsOf(t.Context(), "hidden", 9); err != nil || len(list) != 1 {
		t.Errorf("grants of the user of the file: %+v, %v", list, err)
	}
}

func TestAnExportHasTheRecordsOfTheStoreAndNotThoseOfTheFiles(t *testing.T) {
	inner := memory.New()
	must(t, inner.CreateClient(t.Context(), storage.Client{ID: "stored"}))
	s := withStatic(t, inner,
		[]storage.Client{{ID: "c", Source: "clients.d/c.yaml"}},
		[]storage.User{{ID: "u", Username: "u", Source: "users.d/u.yaml"}})
	to := withStatic(t, memory.New(), []storage.Client{{ID: "c", Source: "clients.d/c.yaml"}}, nil)
	must(t, to.Import(t.Context(), s.Export(t.Context())))
	for r, err := range to.Export(t.Context()) {
		must(t, err)
		if r.Client == nil || r.Client.ID != "stored" {
			t.Errorf("exported %+v", r)
		}
	}
	if _, err := to.Client(t.Context(), "stored"); err != nil {
		t.Error(err)
	}
}

func TestAStaticUserHidesAStoredOneOfTheSameNameOrID(t *testing.T) {
	inner := memory.New()
	for id, username := range map[string]string{"1": "alice", "2": "bob", "3": "carol"} {
		must(t, inner.CreateUser(t.Context(), storage.User{ID: id, Username: username}))
	}
	s := withStatic(t, inner, nil, []storage.User{
		{ID: "9", Username: "alice", Source: "users.d/alice.yaml"}, // hides 1 by username
		{ID: "2", Username: "robert", Source: "users.d/bob.yaml"},  // hides 2 by id
	})
	byName := func(username, want string) {
		t.Helper()
		u, err := s.UserByName(t.Context(), username)
		if u.ID != want || (want == "") != errors.Is(err, storage.ErrNotFound) {
			t.Errorf("%s: got id %q, %v; want %q", username, u.ID, err, want)
		}
	}
	byName("alice", "9")
	byName("robert", "2")
	byName("bob", "") // the id 2 is Robert's now
	byName("carol", "3")
	for id, want := range map[string]string{"1": "alice", "2": "robert", "9": "alice", "3": "carol"} {
		if u, err := s.User(t.Context(), id); err != nil || u.Username != want {
			t.Errorf("user %s: got %q, %v; want %q", id, u.Username, err, want)
		}
	}
	for _, limit := range []int{1, 2, 10} {
		var got []string
		for after := ""; ; {
			page, err := s.Users(t.Context(), after, limit)
			must(t, err)
			for _, u := range page {
				got, after = append(got, u.Username+"="+u.ID), u.Username
			}
			if len(page) < limit {
				break
			}
		}
		if want := []string{"alice=9", "carol=3", "robert=2"}; !slices.Equal(got, want) {
			t.Errorf("in pages of %d: got %v, want %v", limit, got, want)
		}
	}
	// A stored user hidden by username can still be changed, under its own name or a free one.
	must(t, s.ReplaceUser(t.Context(), storage.User{ID: "1", Username: "alice", Disabled: true, Version: 1}))
	must(t, s.ReplaceUser(t.Context(), storage.User{ID: "1", Username: "alice.old", Version: 2}))
	byName("alice.old", "1")
}

func TestDuplicatesAmongStaticRecordsAreAllReportedWithBothSources(t *testing.T) {
	_, err := storage.WithStatic(memory.New(), []storage.Client{
		{ID: "c", Source: "one.yaml"}, {ID: "c", Source: "two.yaml"}, {ID: "", Source: "three.yaml"}, {ID: "d"},
	}, []storage.User{
		{ID: "1", Username: "alice", Source: "four.yaml"},
		{ID: "1", Username: "bob", Source: "five.yaml"},
		{ID: "2", Username: "alice", Source: "six.yaml"},
		{ID: "3", Source: "seven.yaml"},
		{ID: "4", Username: "carol", Source: "eight.yaml", Claims: map[string]any{"f": func() {}}},
	})
	if err == nil {
		t.Fatal("got no error")
	}
	for _, want := range []string{
		`client "c" is defined twice: in one.yaml and in two.yaml`, `"three.yaml"`, `client "d"`,
		`user id "1" is defined twice: in four.yaml and in five.yaml`,
		`username "alice" is defined twice: in four.yaml and in six.yaml`, `"seven.yaml"`, `"carol" of eight.yaml`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %s:\n%v", want, err)
		}
	}
}

func TestTheEpochOfAStaticUserChangesWithPasswordAndDisabled(t *testing.T) {
	epoch := func(u storage.User) uint64 {
		t.Helper()
		u.ID, u.Username, u.Source = "1", "alice", "users.d/alice.yaml"
		got, err := withStatic(t, memory.New(), nil, []storage.User{u}).User(t.Context(), "1")
		must(t, err)
		return got.Epoch
	}
	base := storage.User{PasswordHash: "$argon2id$one"}
	renamed := base
	renamed.Claims = map[string]any{"name": "Alice"}
	if epoch(base) != epoch(renamed) {
		t.Error("another claim ends all sign-ins")
	}
	seen := map[uint64]string{}
	for what, u := range map[string]storage.User{
		"the base": base, "another password": {PasswordHash: "$argon2id$two"}, "no password": {},
		"disabled": {PasswordHash: "$argon2id$one", Disabled: true}, "another epoch": {PasswordHash: "$argon2id$one", Epoch: 1},
	} {
		e := epoch(u)
		if other, taken := seen[e]; taken {
			t.Errorf("%s and %s have one epoch", what, other)
		}
		if seen[e] = what; e >= 1<<53 {
			t.Errorf("%s: epoch %d is not exact in JSON", what, e)
		}
	}
}

func TestWhateverACallerDoesToAStaticRecordChangesNothing(t *testing.T) {
	grace := time.Second
	client := storage.Client{
		ID: "c", Secrets: []storage.ClientSecret{{Hash: []byte("hash")}}, GrantTypes: []string{"a"}, RedirectURIs: []string{"a"},
		Scopes: []string{"a"}, DefaultScopes: []string{"a"}, Audience: []string{"a"}, Resources: []string{"a"},
		RefreshGrace: &grace, JWKS: []byte("{}"), ResponseModes: []string{"a"}, DefaultMaxAge: new(int64(1)),
		PostLogoutRedirectURIs: []string{"a"}, AllowedOrigins: []string{"a"}, Source: "c.yaml",
	}
	for i := range reflect.TypeOf(client).NumField() {
		switch f := reflect.ValueOf(client).Field(i); f.Kind() {
		case reflect.Slice, reflect.Pointer, reflect.Map:
			if f.IsNil() {
				t.Errorf("Client.%s is not looked at", reflect.TypeOf(client).Field(i).Name)
			}
		}
	}
	user := storage.User{ID: "u", Username: "u", Source: "u.yaml", Claims: map[string]any{
		"address": map[string]any{"country": "KR"}, "groups": []any{"a", map[string]any{"b": 1}}, "number": 5,
	}}
	s := withStatic(t, memory.New(), []storage.Client{client}, []storage.User{user})
	read := func() []any {
		c, err := s.Client(t.Context(), "c")
		must(t, err)
		u, err := s.UserByName(t.Context(), "u")
		must(t, err)
		cs, err := s.Clients(t.Context(), "", 1)
		must(t, err)
		us, err := s.Users(t.Context(), "", 1)
		must(t, err)
		return []any{c, u, cs[0], us[0]}
	}
	owner := map[uintptr]string{}
	for i, v := range append(append([]any{client, user}, read()...), read()...) {
		pointers(reflect.ValueOf(v), func(p uintptr, path string) {
			if other, shared := owner[p]; shared {
				t.Errorf("%s is shared by %s", path, other)
			}
			owner[p] = path
		}, fmt.Sprintf("%d.%T", i, v))
	}
	if n, _ := read()[1].(storage.User); !reflect.DeepEqual(n.Claims["number"], 5.0) {
		t.Errorf("a number is a %T, in a store it would be a float64", n.Claims["number"])
	}
	if b, err := json.Marshal(read()[0]); err != nil || strings.Contains(string(b), "c.yaml") {
		t.Errorf("the source gets into JSON: %s, %v", b, err)
	}
}

// pointers calls visit for all memory that a value points to, strings excepted, which cannot change.
func pointers(v reflect.Value, visit func(uintptr, string), path string) {
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			pointers(v.Field(i), visit, path+"."+v.Type().Field(i).Name)
		}
	case reflect.Interface:
		pointers(v.Elem(), visit, path)
	case reflect.Pointer:
		if !v.IsNil() {
			visit(v.Pointer(), path)
		}
	case reflect.Slice:
		if v.Len() > 0 {
			visit(v.Pointer(), path)
		}
		for i := range v.Len() {
			pointers(v.Index(i), visit, fmt.Sprint(path, "[", i, "]"))
		}
	case reflect.Map:
		if !v.IsNil() {
			visit(v.Pointer(), path)
		}
		for _, key := range v.MapKeys() {
			pointers(v.MapIndex(key), visit, path+"["+key.String()+"]")
		}
	}
}

func withStatic(t testing.TB, inner storage.Store, clients []storage.Client, users []storage.User) storage.Store {
	t.Helper()
	s, err := storage.WithStatic(inner, clients, users)
	must(t, err)
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
