package admin

import (
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/ingam/ingam/storage"
)

// full is metadata with every field but those of keys at an address.
func full() Metadata {
	age := int64(3600)
	return Metadata{
		ClientID: "everything", ClientName: "Everything", TokenEndpointAuthMethod: authPrivateKey,
		GrantTypes: []string{grantAuthorizationCode, grantRefreshToken}, Scope: "openid profile", DefaultScope: "openid",
		RedirectURIs: []string{"https://a.example.com/cb", "https://b.example.com/cb"}, Audience: []string{"https://api.example.com"},
		Resources: []string{"https://res.example.com"}, RefreshGrace: "5s", JWKS: json.RawMessage(ecKeys),
		ResponseModes: []string{"query", "fragment"}, RequirePKCE: true, RequirePAR: true, RequireSignedRequest: true,
		RequestObjectAlg: "ES256", DefaultMaxAge: &age, FirstParty: true, SessionBound: true, UserInfoAlg: "RS256",
		SubjectType: subjectPairwise, SectorIdentifier: "example.com",
		PostLogoutRedirectURIs: []string{"https://a.example.com/"}, BackchannelLogoutURI: "https://a.example.com/back",
		FrontchannelLogoutURI: "https://b.example.com/front", AllowedOrigins: []string{"https://c.example.com"},
		ClientURI: "https://a.example.com/", LogoURI: "https://a.example.com/logo.svg", Accent: "#0b57d0",
	}
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// zeroFields are the names of the fields of a struct that hold nothing, those in except left out.
func zeroFields(v any, except ...string) (names []string) {
	value := reflect.ValueOf(v)
	for i := range value.NumField() {
		if name := value.Type().Field(i).Name; value.Field(i).IsZero() && !slices.Contains(except, name) {
			names = append(names, name)
		}
	}
	return names
}

func TestEveryFieldOfAClientIsKeptAndShownAgain(t *testing.T) {
	s := newServer(t, nil)
	if empty := zeroFields(full(), "JWKSURI"); len(empty) > 0 {
		t.Fatalf("the test leaves out %v", empty)
	}
	var made Client
	s.want(s.send("POST", "/admin/v1/clients", jsonOf(t, full())), http.StatusCreated, &made)
	if got, want := jsonOf(t, made.Metadata), jsonOf(t, full()); got != want {
		t.Errorf("made\n%s\nwant\n%s", got, want)
	}
	if made.ClientSecret != "" || len(made.Secrets) != 0 {
		t.Error("a client with a key got a secret")
	}
	stored := s.client("everything")
	if empty := zeroFields(stored, "Public", "Secrets", "JWKSURI", "Source"); len(empty) > 0 {
		t.Errorf("not stored: %v", empty)
	}
	// What the API shows can be sent back, and changes nothing.
	var again Client
	s.want(s.send("PUT", "/admin/v1/clients/everything", jsonOf(t, made.Metadata)), http.StatusOK, &again)
	if jsonOf(t, again.Metadata) != jsonOf(t, made.Metadata) || again.Version != 2 || !again.CreatedAt.Equal(made.CreatedAt) {
		t.Errorf("sent back: %+v", again)
	}
}

func TestARecordOfBeforeIsStillRead(t *testing.T) {
	const before = `{"client_id":"app","client_name":"App","secrets":[{"sha256":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",` +
		`"created_at":"2026-01-02T03:04:05Z"}],"grant_types":["authorization_code","refresh_token"],` +
		`"redirect_uris":["https://app.example.com/cb"],"scopes":["openid"],"created_at":"2026-01-02T03:04:05Z","version":3}`
	var c storage.Client
	if err := json.Unmarshal([]byte(before), &c); err != nil {
		t.Fatal(err)
	}
	if wrong := CheckClient(c); len(wrong) > 0 {
		t.Error(wrong)
	}
	if v := viewClient(c, c.CreatedAt); v.TokenEndpointAuthMethod != authBasic || v.SubjectType != "" || v.Version != 3 {
		t.Errorf("%+v", v)
	}
	if again := jsonOf(t, c); again != before {
		t.Errorf("written again as %s", again)
	}
}

func TestAReplacementLeavesNothingOfTheOldMetadataAndKeepsTheSecret(t *testing.T) {
	s := newServer(t, nil)
	s.want(s.send("POST", "/admin/v1/clients", serviceBody), http.StatusCreated, nil)
	old := s.client("app")
	var after Client
	r := s.send("PUT", "/admin/v1/clients/app", `{"client_name":"New","grant_types":["client_credentials"],"scope":"write"}`)
	s.want(r, http.StatusOK, &after)
	stored := s.client("app")
	if after.ClientSecret != "" || !reflect.DeepEqual(stored.Secrets, old.Secrets) || !stored.CreatedAt.Equal(old.CreatedAt) {
		t.Errorf("the secret or the age changed: %+v", stored)
	}
	if stored.Name != "New" || len(stored.DefaultScopes) != 0 || !slices.Equal(stored.Scopes, []string{"write"}) || stored.Version != 2 {
		t.Errorf("stored %+v", stored)
	}
	if s.events() != "client.created client.changed" {
		t.Errorf("audit %q", s.events())
	}
}

func TestAClientThatChangesHowItAuthenticatesLosesWhatItNoLongerNeeds(t *testing.T) {
	s := newServer(t, nil)
	s.want(s.send("POST", "/admin/v1/clients", serviceBody), http.StatusCreated, nil)
	put := func(body string) (c Client) {
		t.Helper()
		s.want(s.send("PUT", "/admin/v1/clients/app", body), http.StatusOK, &c)
		return c
	}
	c := put(`{"token_endpoint_auth_method":"private_key_jwt","jwks":` + ecKeys + `,"grant_types":["client_credentials"]}`)
	if c.ClientSecret != "" || len(s.client("app").Secrets) != 0 || c.TokenEndpointAuthMethod != authPrivateKey {
		t.Errorf("with a key: %+v", c)
	}
	s.wantError(s.send("POST", "/admin/v1/clients/app/secret", ""), http.StatusBadRequest, CodeInvalid, "private_key_jwt and has no secret")
	// Nothing said about it: it goes on with its key.
	if c = put(`{"jwks":` + rsaKeys + `,"grant_types":["client_credentials"]}`); c.TokenEndpointAuthMethod != authPrivateKey {
		t.Errorf("left out: %+v", c)
	}
	if c = put(`{"token_endpoint_auth_method":"none","grant_types":["password"]}`); c.TokenEndpointAuthMethod != authNone || len(c.JWKS) != 0 {
		t.Errorf("public: %+v", c)
	}
	c = put(`{"token_endpoint_auth_method":"client_secret_post","grant_types":["password"]}`)
	if c.TokenEndpointAuthMethod != authBasic || len(c.ClientSecret) != 43 || len(s.client("app").Secrets) != 1 {
		t.Errorf("with a secret again: %+v", c)
	}
	s.want(s.send("POST", "/admin/v1/clients/app/secret", ""), http.StatusOK, nil)
}

func TestARefusedReplacementChangesNothing_G3(t *testing.T) {
	s := newServer(t, nil)
	s.want(s.send("POST", "/admin/v1/clients", serviceBody), http.StatusCreated, nil)
	for body, part := range map[string]string{
		`{"grant_types":["client_credentials"],"client_id":"other"}`: "an id never changes",
		`{"grant_types":["implicit"]}`:                               "implicit",
		`{}`:                                                         "grant_types",
		`{"grant_types":["client_credentials"],"token_endpoint_auth_method":"none"}`:        "client_credentials needs",
		`{"grant_types":["client_credentials"],"subject_type":"odd"}`:                       "public, pairwise",
		`{"grant_types":["client_credentials"],"secrets":[]}`:                               `unknown field "secrets"`,
		`{"grant_types":["client_credentials"],"client_secret":"x"}`:                        `unknown field "client_secret"`,
		`{"grant_types":["client_credentials"],"created_at":"2026-01-02T03:04:05Z"}`:        `unknown field "created_at"`,
		`{"grant_types":["client_credentials"],"source":"x"}`:                               `unknown field "source"`,
		`{"grant_types":["client_credentials"],"require_pkce":"yes"}`:                       "true or false",
		`{"grant_types":["client_credentials"],"jwks":"{}"}`:                                "jwks",
		`{"grant_types":["client_credentials"],"redirect_uris":["javascript:alert(1)"]}`:    "javascript",
		`{"grant_types":["client_credentials"],"jwks_uri":"https://a/","jwks":{"keys":[]}}`: "keep one",
	} {
		s.wantError(s.send("PUT", "/admin/v1/clients/app", body), http.StatusBadRequest, CodeInvalid, part)
	}
	s.wantError(s.send("PUT", "/admin/v1/clients/app", `{"grant_types":["client_credentials"],"version":7}`),
		http.StatusConflict, CodeConflict, "somebody else")
	s.wantError(s.send("PUT", "/admin/v1/clients/nobody", `{"grant_types":["client_credentials"]}`), http.StatusNotFound, CodeNotFound, "no client nobody")
	s.wantError(s.send("PUT", "/admin/v1/clients/app", `{"grant_types":["client_credentials"]}`, "Origin", "https://evil.example"),
		http.StatusForbidden, CodeForbidden, "browsers")
	if c := s.client("app"); c.Version != 1 || s.events() != "client.created" {
		t.Errorf("changed: %+v, audit %q", c, s.events())
	}
	filed := newServer(t, fileStore{newServer(t, nil).store})
	filed.wantError(filed.send("PUT", "/admin/v1/clients/filed", `{"grant_types":["client_credentials"]}`), http.StatusConflict, CodeReadOnly, clientFile)
}

func TestAPrivateKeyIsRefusedAndNotRepeated_C4(t *testing.T) {
	s := newServer(t, nil)
	private := strings.Replace(ecKeys, `"kid"`, `"d":"SECRET-of-the-client","kid"`, 1)
	r := s.send("POST", "/admin/v1/clients",
		`{"client_id":"app","token_endpoint_auth_method":"private_key_jwt","grant_types":["client_credentials"],"jwks":`+private+`}`)
	s.wantError(r, http.StatusBadRequest, CodeInvalid, "private")
	if strings.Contains(string(r.body)+s.log.String(), "SECRET") {
		t.Errorf("repeated: %s", r.body)
	}
}

func TestAReplacementIsDecidedAnewWhenSomebodyElseWasFaster(t *testing.T) {
	for times, want := range map[int]int{1: 200, maxTries: 409} {
		plain := newServer(t, nil)
		plain.want(plain.send("POST", "/admin/v1/clients", serviceBody), http.StatusCreated, nil)
		s := newServer(t, &rivalStore{plain.store, times})
		r := s.send("PUT", "/admin/v1/clients/app", `{"client_name":"mine","grant_types":["client_credentials"]}`)
		if c := s.client("app"); r.StatusCode != want || (c.Name == "mine") != (want == 200) {
			t.Errorf("after %d rivals: %d, %q", times, r.StatusCode, c.Name)
		}
		// One that knows the version it read does not write over the rival.
		s = newServer(t, &rivalStore{plain.store, 1})
		version := s.client("app").Version
		r = s.send("PUT", "/admin/v1/clients/app", `{"client_name":"mine","grant_types":["client_credentials"],"version":`+jsonOf(t, version)+`}`)
		if c := s.client("app"); r.StatusCode != http.StatusConflict || c.Name != "rival" {
			t.Errorf("with a version: %d, %q", r.StatusCode, c.Name)
		}
	}
}

func TestAReplacementThatTheStoreCannotWriteIs503(t *testing.T) {
	plain := newServer(t, nil)
	plain.want(plain.send("POST", "/admin/v1/clients", serviceBody), http.StatusCreated, nil)
	s := newServer(t, failingWrites{plain.store})
	s.wantError(s.send("PUT", "/admin/v1/clients/app", `{"grant_types":["client_credentials"]}`), http.StatusServiceUnavailable, CodeUnavailable, "store")
}
