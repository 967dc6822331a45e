package admin

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ingam/ingam/storage"
)

const (
	goodPassword = "correct horse battery"
	goodBody     = `{"password":"` + goodPassword + `"}`
	bcryptHash   = "$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"
)

func TestAUserIsMadeWithAPasswordAHashOrNeither(t *testing.T) {
	for name, tc := range map[string]struct {
		body, kind string
	}{
		"password": {`{"username":"Alice","password":"` + goodPassword + `"}`, "argon2id"},
		"hash":     {`{"username":"alice","password_hash":"` + bcryptHash + `"}`, "bcrypt"},
		"neither":  {`{"username":"ALICE"}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, nil)
			r := s.send("POST", "/admin/v1/users", tc.body)
			var u User
			s.want(r, http.StatusCreated, &u)
			if u.Username != "alice" || u.HashKind != tc.kind || u.HasPassword != (tc.kind != "") || u.Disabled || u.CreatedAt.IsZero() {
				t.Errorf("answer %+v", u)
			}
			if r.Header.Get("Location") != "/admin/v1/users/alice" {
				t.Errorf("Location %q", r.Header.Get("Location"))
			}
			stored := s.user("alice")
			if stored.ID != u.ID || stored.Version != 1 || stored.Epoch != 0 {
				t.Errorf("stored %+v", stored)
			}
			match, _, err := s.hasher.Verify(t.Context(), stored.PasswordHash, goodPassword)
			if err != nil || match != (name == "password") {
				t.Errorf("the stored hash fits %v, %v", match, err)
			}
			if s.events() != "user.created" {
				t.Errorf("audit %q", s.events())
			}
		})
	}
}

func TestUserIdsAreRandomAndInANamespaceOfTheirOwn_J20(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		id := newUserID()
		if len(id) < len(userPrefix)+26 || !strings.HasPrefix(id, userPrefix) || seen[id] {
			t.Fatalf("id %q", id)
		}
		seen[id] = true
		if checkClientID(id) == "" {
			t.Fatalf("a client could be called %q", id)
		}
	}
}

func TestRefusedUsersAreListedWithEveryProblem_L13(t *testing.T) {
	for name, tc := range map[string]struct{ body, part string }{
		"no name":           {`{}`, "username"},
		"name with space":   {`{"username":"al ice"}`, "username"},
		"short password":    {`{"username":"a","password":"1234567"}`, "at least 8"},
		"empty password":    {`{"username":"a","password":""}`, "at least 8"},
		"password is name":  {`{"username":"alicealice","password":"AliceAlice"}`, "username"},
		"both":              {`{"username":"a","password":"` + goodPassword + `","password_hash":"` + bcryptHash + `"}`, "both"},
		"strange hash":      {`{"username":"a","password_hash":"$md5$abc"}`, "password_hash"},
		"empty hash":        {`{"username":"a","password_hash":""}`, "password_hash"},
		"costly hash":       {`{"username":"a","password_hash":"$2b$31$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"}`, "password_hash"},
		"claim of a token":  {`{"username":"a","claims":{"sub":"usr_b"}}`, `"sub" is set by the server`},
		"claim of the name": {`{"username":"a","claims":{"preferred_username":"root"}}`, "preferred_username"},
		"claim of wrong type": {
			`{"username":"a","claims":{"email_verified":"yes"}}`, `"email_verified" must be true or false, not a string`,
		},
		"e-mail without @":     {`{"username":"a","claims":{"email":"alice"}}`, "not an e-mail address"},
		"claim without a name": {`{"username":"a","claims":{"":1}}`, "not a name"},
		"large claims":         {`{"username":"a","claims":{"x":"` + strings.Repeat("y", maxClaims) + `"}}`, "at most"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, nil)
			s.wantError(s.send("POST", "/admin/v1/users", tc.body), http.StatusBadRequest, CodeInvalid, tc.part)
			if s.log.Len() != 0 {
				t.Errorf("log %s", s.log)
			}
		})
	}
	s := newServer(t, nil)
	r := s.send("POST", "/admin/v1/users", `{"username":"a b","password":"short","claims":{"iss":"x","email":5}}`)
	for _, part := range []string{"username", "at least 8", `"iss"`, `"email" must be a string`} {
		s.wantError(r, http.StatusBadRequest, CodeInvalid, part)
	}
}

func TestClaimsComeBackAsTheyWere(t *testing.T) {
	s := newServer(t, nil)
	const claims = `{"address":{"country":"KR"},"email":"a@example.com","email_verified":true,"groups":["x","y"],"name":"Kim <김>","updated_at":17}`
	s.want(s.send("POST", "/admin/v1/users", `{"username":"alice","claims":`+claims+`}`), http.StatusCreated, nil)
	if r := s.send("GET", "/admin/v1/users/Alice", ""); !strings.Contains(string(r.body), `"claims":`+claims) {
		t.Errorf("answer %s", r.body)
	}
}

func TestATakenNameIsRefusedInEverySpelling(t *testing.T) {
	s := newServer(t, nil)
	s.want(s.send("POST", "/admin/v1/users", `{"username":"alice"}`), http.StatusCreated, nil)
	before := s.user("alice")
	for _, name := range []string{"alice", "ALICE", "Ａlice"} {
		s.wantError(s.send("POST", "/admin/v1/users", `{"username":"`+name+`","password":"`+goodPassword+`"}`),
			http.StatusConflict, CodeExists, "alice")
	}
	if after := s.user("alice"); after.ID != before.ID || after.Version != before.Version {
		t.Error("the user has changed")
	}
	s.want(s.send("POST", "/admin/v1/users", `{"username":"alicia"}`), http.StatusCreated, nil)
}

func TestPasswordDisablingAndRemovalEndAllSignInsAndEnablingRevivesNone(t *testing.T) {
	s := newServer(t, nil)
	s.want(s.send("POST", "/admin/v1/users", `{"username":"alice"}`), http.StatusCreated, nil)
	step := func(method, what, body string, epoch uint64, disabled bool) {
		t.Helper()
		var u User
		s.want(s.send(method, "/admin/v1/users/alice/"+what, body), http.StatusOK, &u)
		stored := s.user("alice")
		if stored.Epoch != epoch || stored.Disabled != disabled || u.Disabled != disabled {
			t.Errorf("%s: epoch %d disabled %v", what, stored.Epoch, stored.Disabled)
		}
	}
	step("PUT", "password", goodBody, 1, false)
	step("PUT", "password", `{"password_hash":"`+bcryptHash+`"}`, 2, false)
	step("POST", "disable", "", 3, true)
	step("POST", "disable", "{}", 3, true) // it ends nothing more, and is stored all the same: the first may have been in doubt
	step("POST", "enable", "", 3, false)
	step("POST", "enable", "", 3, false)
	if got := s.user("alice").PasswordHash; got != bcryptHash {
		t.Errorf("hash %q", got)
	}
	id := s.user("alice").ID
	if r := s.send("DELETE", "/admin/v1/users/alice", ""); r.StatusCode != http.StatusNoContent || len(r.body) != 0 {
		t.Errorf("removal: %d %s", r.StatusCode, r.body)
	}
	if _, err := s.store.User(t.Context(), id); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("after removal: %v", err)
	}
	s.wantError(s.send("DELETE", "/admin/v1/users/alice", ""), http.StatusNotFound, CodeNotFound, "no user alice")
	const want = "user.created user.password_changed user.password_changed user.disabled user.disabled user.enabled user.removed"
	if s.events() != want {
		t.Errorf("audit %q", s.events())
	}
	s.want(s.send("POST", "/admin/v1/users", `{"username":"alice"}`), http.StatusCreated, nil)
	if s.user("alice").ID == id {
		t.Error("a new user got the id of the one before")
	}
}

func TestANewPasswordIsCheckedLikeTheFirst_L13(t *testing.T) {
	s := newServer(t, nil)
	s.want(s.send("POST", "/admin/v1/users", `{"username":"alicealice"}`), http.StatusCreated, nil)
	for body, part := range map[string]string{
		`{"password":"short"}`:            "at least 8",
		`{"password":"ALICEALICE"}`:       "username",
		`{"password_hash":"plain"}`:       "password_hash",
		`{}`:                              "needed",
		`{"password":null}`:               "needed",
		`{"username":"x","password":"y"}`: `unknown field "username"`,
	} {
		s.wantError(s.send("PUT", "/admin/v1/users/alicealice/password", body), http.StatusBadRequest, CodeInvalid, part)
	}
	if u := s.user("alicealice"); u.Epoch != 0 || u.PasswordHash != "" {
		t.Errorf("the user changed: %+v", u)
	}
	s.wantError(s.send("PUT", "/admin/v1/users/nobody/password", goodBody), http.StatusNotFound, CodeNotFound, "nobody")
}

func TestAChangeIsDecidedAnewWhenSomebodyElseWasFaster(t *testing.T) {
	for times, want := range map[int]int{0: 200, 1: 200, maxTries - 1: 200, maxTries: 409} {
		plain := newServer(t, nil)
		plain.want(plain.send("POST", "/admin/v1/users", `{"username":"alice"}`), http.StatusCreated, nil)
		s := newServer(t, &rivalStore{plain.store, times})
		r := s.send("PUT", "/admin/v1/users/alice/password", goodBody)
		if r.StatusCode != want {
			t.Fatalf("after %d rivals: %d %s", times, r.StatusCode, r.body)
		}
		u := s.user("alice")
		if times > 0 && u.Claims["nickname"] != "rival" {
			t.Errorf("after %d rivals: their change was lost: %+v", times, u)
		}
		if changed := u.PasswordHash != ""; changed != (want == 200) || changed && u.Epoch != 1 {
			t.Errorf("after %d rivals: %+v", times, u)
		}
		if want == 409 {
			s.wantError(r, http.StatusConflict, CodeConflict, "somebody else")
		}
	}
}

func TestAUserOfAFileIsShownWithItsFileAndChangedOnlyThere(t *testing.T) {
	plain := newServer(t, nil)
	s := newServer(t, fileStore{plain.store})
	var u User
	s.want(s.send("GET", "/admin/v1/users/filed", ""), http.StatusOK, &u)
	if u.Source != userFile {
		t.Errorf("source %q", u.Source)
	}
	for _, tc := range []struct{ method, path, body string }{
		{"DELETE", "", ""},
		{"PUT", "/password", goodBody},
		{"POST", "/disable", ""},
		{"POST", "/enable", ""},
	} {
		s.wantError(s.send(tc.method, "/admin/v1/users/filed"+tc.path, tc.body), http.StatusConflict, CodeReadOnly, userFile)
	}
	s.wantError(s.send("POST", "/admin/v1/users", `{"username":"filed"}`), http.StatusConflict, CodeExists, "filed")
}

func TestCreationHasTheTimeOfItsDay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		time.Sleep(90 * time.Minute)
		s.want(s.send("POST", "/admin/v1/users", `{"username":"alice"}`), http.StatusCreated, nil)
		if got := s.user("alice").CreatedAt; !got.Equal(time.Now()) {
			t.Errorf("created %s, want %s", got, time.Now())
		}
	})
}

func TestHashKindNeverShowsPartOfAHash_G1(t *testing.T) {
	for hash, want := range map[string]string{
		"": "", "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$dGFn": "argon2id",
		"$2b$10$abc": "bcrypt", "$2a$10$abc": "bcrypt", "$2y$10$abc": "bcrypt",
		"$pbkdf2-sha256$29000$a$b": "pbkdf2-sha256", "pbkdf2_sha512$1$a$b": "pbkdf2-sha512",
		"hunter2": "unknown", "$hunter2$": "unknown", "$$x": "unknown",
	} {
		if got := hashKind(hash); got != want {
			t.Errorf("%q: %q, want %q", hash, got, want)
		}
	}
}
