package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ingam/ingam/authserver/admin"
	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/memory"
)

func TestDevModeRunsBothApplicationsAtThePortsItPrints(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dev")
	_, facts := startDev(t, dir)
	for address, want := range map[string]string{facts.Apps.Web: "<h1>Demo web application", facts.Apps.SPA: "<h1>Demo single-page application"} {
		if status, body := get(t, http.DefaultClient, address+"/"); status != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", address, status, body)
		}
	}
	_, body := get(t, http.DefaultClient, facts.Apps.SPA+"/config.json")
	var config map[string]string
	if err := json.Unmarshal([]byte(body), &config); err != nil || config["issuer"] != facts.Issuer || config["resource"] != facts.Resource ||
		config["redirect_uri"] != facts.Apps.SPA+"/callback" || config["other_app"] != facts.Apps.Web {
		t.Errorf("config.json: %v %s", err, body)
	}
	for id, address := range map[string]string{demoWebClient: facts.Apps.Web, demoSPAClient: facts.Apps.SPA} {
		r := runCommand(t, nil, "client", "show", id, "-o", "json", "--data-dir", dir)
		var c admin.Client
		if err := json.Unmarshal([]byte(r.stdout), &c); err != nil || !slices.Contains(c.RedirectURIs, address+"/callback") {
			t.Errorf("%s: %v %s %s", id, err, r.stdout, r.stderr)
		}
	}
	for _, url := range []string{facts.Resource + "/secure-data", facts.Issuer + "/oauth2/token"} {
		for origin, want := range map[string]string{facts.Apps.SPA: facts.Apps.SPA, "http://evil.example": ""} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, url, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Origin", origin)
			r.Header.Set("Access-Control-Request-Method", map[bool]string{true: "GET", false: "POST"}[strings.HasSuffix(url, "data")])
			answer, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = answer.Body.Close()
			if got := answer.Header.Get("Access-Control-Allow-Origin"); got != want {
				t.Errorf("%s from %s: %q", url, origin, got)
			}
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// The front door of the authorization server must take what the application sends there.
func TestSigningInAtTheWebApplicationLeadsToThePageOfTheServer(t *testing.T) {
	_, facts := startDev(t, filepath.Join(t.TempDir(), "dev"))
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Get(facts.Apps.Web + "/login")
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	at, err := url.Parse(answer.Header.Get("Location"))
	if err != nil || answer.StatusCode != http.StatusSeeOther || !strings.HasPrefix(at.String(), facts.Issuer+"/oauth2/auth?") {
		t.Fatalf("%d %s", answer.StatusCode, answer.Header.Get("Location"))
	}
	if status, body := get(t, client, at.String()); status != http.StatusOK || !strings.Contains(body, `type="password"`) {
		t.Errorf("the sign-in page: %d %s", status, body)
	}
	client.CloseIdleConnections()
	http.DefaultClient.CloseIdleConnections()
}

func TestTheDemoClientsFollowThePortsAndKeepWhatSomebodyHasAdded(t *testing.T) {
	store := memory.New()
	if err := seed(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	client := func(id string) storage.Client {
		t.Helper()
		c, err := store.Client(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	fit := func(at devApps) {
		t.Helper()
		if err := fitDemoClients(t.Context(), store, at); err != nil {
			t.Fatal(err)
		}
	}
	usual, other := devApps{"http://localhost:8082", "http://localhost:8083"}, devApps{"http://127.0.0.1:4082", "http://127.0.0.1:4083"}
	fit(usual)
	web, spa := client(demoWebClient), client(demoSPAClient)
	if len(web.RedirectURIs) != 1 || len(web.PostLogoutRedirectURIs) != 1 || web.BackchannelLogoutURI != usual.Web+"/backchannel-logout" ||
		web.FrontchannelLogoutURI != usual.Web+"/frontchannel-logout" || web.FirstParty || !spa.FirstParty || spa.Version != 1 {
		t.Errorf("at the usual ports: %+v %+v", web, spa)
	}
	fit(usual)
	if again := client(demoWebClient); again.Version != web.Version {
		t.Errorf("a second start has written: version %d", again.Version)
	}
	spa.RedirectURIs = append(spa.RedirectURIs, "http://localhost:3000/callback")
	web.BackchannelLogoutURI = "https://app.example.com/backchannel-logout"
	for _, c := range []storage.Client{web, spa} {
		if err := store.ReplaceClient(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	fit(other)
	web, spa = client(demoWebClient), client(demoSPAClient)
	if !slices.Equal(spa.RedirectURIs, []string{usual.SPA + "/callback", "http://localhost:3000/callback", other.SPA + "/callback"}) ||
		!slices.Equal(spa.PostLogoutRedirectURIs, []string{usual.SPA + "/", other.SPA + "/"}) ||
		web.FrontchannelLogoutURI != other.Web+"/frontchannel-logout" || web.BackchannelLogoutURI != "https://app.example.com/backchannel-logout" {
		t.Errorf("at other ports: %+v %+v", web, spa)
	}
	if err := store.DeleteClient(t.Context(), demoSPAClient); err != nil {
		t.Fatal(err)
	}
	fit(other)
	if _, err := store.Client(t.Context(), demoSPAClient); err == nil {
		t.Error("a removed client is back")
	}
}
