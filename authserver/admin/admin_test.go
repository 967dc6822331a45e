package admin

import (
	"net/http"
	"strings"
	"testing"
)

func TestEveryAddressTakesOnlyItsMethodsAndSaysWhich(t *testing.T) {
	s := newServer(t, nil)
	for path, allow := range map[string]string{
		"/admin/v1/status":           "GET, HEAD",
		"/admin/v1/users":            "GET, POST, HEAD",
		"/admin/v1/users/a":          "DELETE, GET, HEAD",
		"/admin/v1/users/a/password": "PUT",
		"/admin/v1/users/a/disable":  "POST",
		"/admin/v1/users/a/enable":   "POST",
		"/admin/v1/clients":          "GET, POST, HEAD",
		"/admin/v1/clients/a":        "DELETE, GET, PUT, HEAD",
		"/admin/v1/clients/a/secret": "POST",
	} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} {
			r := s.send(method, path, "")
			allowed := strings.Contains(", "+allow+", ", ", "+method+", ")
			if got := r.StatusCode == http.StatusMethodNotAllowed; got == allowed {
				t.Errorf("%s %s: status %d", method, path, r.StatusCode)
			}
			if !allowed && r.Header.Get("Allow") != allow {
				t.Errorf("%s %s: Allow %q, want %q", method, path, r.Header.Get("Allow"), allow)
			}
		}
	}
}

func TestUnknownAddressesAreNotFoundAsJSON(t *testing.T) {
	s := newServer(t, nil)
	for _, path := range []string{"/", "/admin", "/admin/v1/", "/admin/v1/user", "/admin/v1/users/a/b", "/admin/v2/users", "/oauth2/token"} {
		s.wantError(s.send("GET", path, ""), http.StatusNotFound, CodeNotFound, "nothing")
	}
}

func TestWhatABrowserSendsIsRefused_G3(t *testing.T) {
	body := `{"username":"mallory"}`
	for name, tc := range map[string]struct {
		headers []string
		status  int
	}{
		"our own client":               {nil, http.StatusCreated},
		"JSON with a charset":          {[]string{"Content-Type", "application/json; charset=utf-8"}, http.StatusCreated},
		"a script of a page":           {[]string{"Origin", "https://evil.example"}, http.StatusForbidden},
		"a page after DNS rebinding":   {[]string{"Origin", "http://example.com"}, http.StatusForbidden},
		"a sandboxed page":             {[]string{"Origin", "null"}, http.StatusForbidden},
		"a navigation":                 {[]string{"Sec-Fetch-Site", "same-origin"}, http.StatusForbidden},
		"a form":                       {[]string{"Content-Type", "application/x-www-form-urlencoded"}, http.StatusUnsupportedMediaType},
		"a form that looks like JSON":  {[]string{"Content-Type", "text/plain"}, http.StatusUnsupportedMediaType},
		"a form with files":            {[]string{"Content-Type", "multipart/form-data; boundary=x"}, http.StatusUnsupportedMediaType},
		"nothing said":                 {[]string{"Content-Type", ""}, http.StatusUnsupportedMediaType},
		"almost JSON":                  {[]string{"Content-Type", "application/jsonp"}, http.StatusUnsupportedMediaType},
		"JSON in a list of two things": {[]string{"Content-Type", "text/plain, application/json"}, http.StatusUnsupportedMediaType},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, nil)
			if r := s.send("POST", "/admin/v1/users", body, tc.headers...); r.StatusCode != tc.status {
				t.Errorf("status %d, want %d: %s", r.StatusCode, tc.status, r.body)
			}
			users, err := s.store.Users(t.Context(), "", 10)
			if created := len(users) == 1; err != nil || created != (tc.status == http.StatusCreated) {
				t.Errorf("users %v, %v", users, err)
			}
		})
	}
}

func TestActionsWithoutABodyNeedTheContentTypeToo_G3(t *testing.T) {
	s := newServer(t, nil)
	s.want(s.send("POST", "/admin/v1/users", `{"username":"alice"}`), http.StatusCreated, nil)
	s.wantError(s.send("POST", "/admin/v1/users/alice/disable", "", "Content-Type", "text/plain"),
		http.StatusUnsupportedMediaType, CodeMediaType, "application/json")
	if s.user("alice").Disabled {
		t.Error("the user was disabled by what a form can send")
	}
}

func TestBodiesAreReadStrictly(t *testing.T) {
	big := `{"username":"` + strings.Repeat("a", maxBody) + `"}`
	for name, tc := range map[string]struct {
		body, part string
		status     int
	}{
		"unknown field is named":          {`{"username":"a","role":"admin"}`, `unknown field "role"`, 400},
		"id cannot be chosen (G3)":        {`{"username":"a","id":"usr_x"}`, `unknown field "id"`, 400},
		"epoch cannot be chosen (G3)":     {`{"username":"a","epoch":9}`, `unknown field "epoch"`, 400},
		"wrong type names the field":      {`{"username":7}`, "username: a string is expected here, not a number", 400},
		"wrong type inside":               {`{"username":"a","claims":[]}`, "claims: an object is expected here, not an array", 400},
		"not an object":                   {`["a"]`, "an object is expected", 400},
		"empty":                           {"", "nothing", 400},
		"blank":                           {" \n", "nothing", 400},
		"null is an object without names": {"null", "username", 400},
		"broken":                          {`{"username":"a"`, "not JSON", 400},
		"two values":                      {`{"username":"a"}{}`, "more after", 400},
		"garbage behind":                  {`{"username":"a"}x`, "more after", 400},
		"not UTF-8":                       {"{\"username\":\"a\xff\"}", "UTF-8", 400},
		"too large":                       {big, "larger", 413},
		"too large behind the value":      {`{"username":"a"}` + strings.Repeat(" ", maxBody), "larger", 413},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, nil)
			code := CodeInvalid
			if tc.status == http.StatusRequestEntityTooLarge {
				code = CodeTooLarge
			}
			s.wantError(s.send("POST", "/admin/v1/users", tc.body), tc.status, code, tc.part)
		})
	}
}

func TestAFailureOfTheStoreIs503AndNeverNotFound(t *testing.T) {
	for _, tc := range []struct{ method, path, body string }{
		{"GET", "/admin/v1/status", ""},
		{"GET", "/admin/v1/users", ""},
		{"POST", "/admin/v1/users", `{"username":"alice"}`},
		{"GET", "/admin/v1/users/alice", ""},
		{"DELETE", "/admin/v1/users/alice", ""},
		{"PUT", "/admin/v1/users/alice/password", `{"password":"correct horse battery"}`},
		{"POST", "/admin/v1/users/alice/disable", ""},
		{"POST", "/admin/v1/users/alice/enable", ""},
		{"GET", "/admin/v1/clients", ""},
		{"POST", "/admin/v1/clients", `{"client_id":"app","grant_types":["client_credentials"]}`},
		{"GET", "/admin/v1/clients/app", ""},
		{"DELETE", "/admin/v1/clients/app", ""},
		{"POST", "/admin/v1/clients/app/secret", ""},
	} {
		t.Run(tc.method+" "+tc.path, func(t *testing.T) {
			s := newServer(t, brokenStore{})
			r := s.send(tc.method, tc.path, tc.body)
			s.wantError(r, http.StatusServiceUnavailable, CodeUnavailable, "store")
			if strings.Contains(string(r.body), errDisk.Error()) {
				t.Errorf("the answer tells the cause: %s", r.body)
			}
			if n := strings.Count(s.log.String(), errDisk.Error()); n != 1 {
				t.Errorf("the cause is %d times in the log: %s", n, s.log)
			}
		})
	}
}

func TestAWriteThatFailsIs503AndNotAudited(t *testing.T) {
	for _, tc := range []struct{ method, path, body string }{
		{"POST", "/admin/v1/users", `{"username":"bob"}`},
		{"DELETE", "/admin/v1/users/alice", ""},
		{"PUT", "/admin/v1/users/alice/password", `{"password":"correct horse battery"}`},
		{"POST", "/admin/v1/users/alice/disable", ""},
		{"POST", "/admin/v1/clients", `{"client_id":"other","grant_types":["client_credentials"]}`},
		{"DELETE", "/admin/v1/clients/app", ""},
		{"POST", "/admin/v1/clients/app/secret", ""},
	} {
		t.Run(tc.method+" "+tc.path, func(t *testing.T) {
			good := newServer(t, nil)
			good.want(good.send("POST", "/admin/v1/users", `{"username":"alice"}`), http.StatusCreated, nil)
			good.want(good.send("POST", "/admin/v1/clients", `{"client_id":"app","grant_types":["client_credentials"]}`), http.StatusCreated, nil)
			s := newServer(t, failingWrites{good.store})
			s.wantError(s.send(tc.method, tc.path, tc.body), http.StatusServiceUnavailable, CodeUnavailable, "store")
			if s.events() != "" {
				t.Errorf("audit events %q for something that did not happen", s.events())
			}
		})
	}
}

func TestStatusSaysThatTheStoreAnswers(t *testing.T) {
	s := newServer(t, nil)
	var got Status
	s.want(s.send("GET", "/admin/v1/status", ""), http.StatusOK, &got)
	if got.Status != "ok" {
		t.Errorf("status %+v", got)
	}
}

func TestAnswersAreNeverCached(t *testing.T) {
	s := newServer(t, nil)
	for _, r := range []reply{s.send("GET", "/admin/v1/users", ""), s.send("GET", "/admin/v1/users/nobody", "")} {
		if r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("Cache-Control %q", r.Header.Get("Cache-Control"))
		}
	}
}

func TestNewRefusesToServeWithoutAStoreOrAHasher(t *testing.T) {
	s := newServer(t, nil)
	for name, c := range map[string]Config{
		"nothing":   {},
		"no hasher": {Store: s.store},
		"no store":  {Hasher: s.hasher},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("New took it")
				}
			}()
			New(c)
		})
	}
	New(Config{Store: s.store, Hasher: s.hasher}) // differs in one fact from each: both are there
}

func TestPagesHaveEachRecordOnceAndInOrder(t *testing.T) {
	s := newServer(t, nil)
	for _, name := range []string{"dora", "alice", "carol", "bob", "eve"} {
		s.want(s.send("POST", "/admin/v1/users", `{"username":"`+name+`"}`), http.StatusCreated, nil)
		s.want(s.send("POST", "/admin/v1/clients", `{"client_id":"`+name+`","grant_types":["client_credentials"]}`), http.StatusCreated, nil)
	}
	const all = "alice bob carol dora eve"
	for limit, pages := range map[string]int{"1": 5, "2": 3, "4": 2, "5": 1, "1000": 1} {
		var users, clients []string
		n, after := 0, ""
		for ; n == 0 || after != ""; n++ {
			var p UserPage
			s.want(s.send("GET", "/admin/v1/users?limit="+limit+"&after="+after, ""), http.StatusOK, &p)
			for _, u := range p.Users {
				users = append(users, u.Username)
			}
			after = p.Next
		}
		for m := 0; m == 0 || after != ""; m++ {
			var p ClientPage
			s.want(s.send("GET", "/admin/v1/clients?limit="+limit+"&after="+after, ""), http.StatusOK, &p)
			for _, c := range p.Clients {
				clients = append(clients, c.ClientID)
			}
			after = p.Next
		}
		if n != pages || strings.Join(users, " ") != all || strings.Join(clients, " ") != all {
			t.Errorf("limit %s: %d pages, users %v, clients %v", limit, n, users, clients)
		}
	}
}

func TestAnEmptyListIsAnEmptyArray(t *testing.T) {
	s := newServer(t, nil)
	for path, want := range map[string]string{"/admin/v1/users": `{"users":[]}`, "/admin/v1/clients": `{"clients":[]}`} {
		if r := s.send("GET", path, ""); strings.TrimSpace(string(r.body)) != want {
			t.Errorf("%s: %s", path, r.body)
		}
	}
}

func TestPagingParametersAreCheckedAndMadeUpPositionsAreHarmless_G3(t *testing.T) {
	s := newServer(t, nil)
	for query, ok := range map[string]bool{
		"": true, "limit=1": true, "limit=1000": true, "after=zz": true, "after='%3Bdrop": true, "after=": true,
		"limit=0": false, "limit=1001": false, "limit=-1": false, "limit=x": false, "limit=": false,
		"after=%00": false, "after=%ff": false, "after=a&after=b": false, "page=2": false,
		"after=" + strings.Repeat("a", maxAfter+1): false,
	} {
		r := s.send("GET", "/admin/v1/users?"+query, "")
		if ok != (r.StatusCode == http.StatusOK) || !ok && r.StatusCode != http.StatusBadRequest {
			t.Errorf("%q: status %d %s", query, r.StatusCode, r.body)
		}
	}
}

func TestAuditEventsNameAnAddressOnlyWhereThereIsOne(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1:1234": "192.0.2.1", "[2001:db8::1]:1": "2001:db8::1", "@": "", "": "", "/data/admin.sock": "",
	} {
		if got := address(&http.Request{RemoteAddr: remote}); got != want {
			t.Errorf("%q: %q, want %q", remote, got, want)
		}
	}
}
