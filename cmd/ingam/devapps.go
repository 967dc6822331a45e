package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/ingam/ingam/cmd/demo/apps"
	"github.com/ingam/ingam/storage"
)

// The clients that the two demo applications are.
const (
	demoWebClient = "demo-web"
	demoSPAClient = "demo-spa"
)

// devApps are the addresses of the demo applications.
type devApps struct {
	Web string `json:"web"`
	SPA string `json:"spa"`
}

// origins are those of pages that call from a browser.
func (d devApps) origins() []string { return []string{d.Web, d.SPA} }

// newDemoApps are the applications as handlers. They know the servers by their addresses only, as they would on another
// machine.
func newDemoApps(facts devFacts, in *instance) (web, spa http.Handler, err error) {
	web, err = apps.NewWeb(apps.WebConfig{
		Issuer: facts.Issuer, ClientID: demoWebClient, ClientSecret: demoSecrets[demoWebClient],
		BaseURL: facts.Apps.Web, ResourceURL: facts.Resource, OtherApp: facts.Apps.SPA, Log: in.log,
	})
	if err != nil {
		return nil, nil, err
	}
	spa, err = apps.NewSPA(apps.SPAConfig{
		Issuer: facts.Issuer, ClientID: demoSPAClient,
		BaseURL: facts.Apps.SPA, ResourceURL: facts.Resource, OtherApp: facts.Apps.Web,
	})
	return web, spa, err
}

// fitDemoClients lets the demo clients be reached at the ports in use. What somebody else has added stays; a client that
// somebody has removed stays away.
func fitDemoClients(ctx context.Context, store storage.Store, at devApps) error {
	return errors.Join(
		fitClient(ctx, store, demoWebClient, func(c *storage.Client) {
			add(&c.RedirectURIs, at.Web+"/callback")
			add(&c.PostLogoutRedirectURIs, at.Web+"/")
			move(&c.FrontchannelLogoutURI, at.Web+"/frontchannel-logout")
			// Not in the file, which the containers share: there the address is another.
			move(&c.BackchannelLogoutURI, at.Web+"/backchannel-logout")
		}),
		fitClient(ctx, store, demoSPAClient, func(c *storage.Client) {
			add(&c.RedirectURIs, at.SPA+"/callback")
			add(&c.PostLogoutRedirectURIs, at.SPA+"/")
		}),
	)
}

// fitClient changes a client if there is something to change.
func fitClient(ctx context.Context, store storage.Store, id string, change func(*storage.Client)) error {
	c, err := store.Client(ctx, id)
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read demo client %s: %w", id, err)
	}
	fitted := c
	fitted.RedirectURIs, fitted.PostLogoutRedirectURIs = slices.Clone(c.RedirectURIs), slices.Clone(c.PostLogoutRedirectURIs)
	change(&fitted)
	if slices.Equal(fitted.RedirectURIs, c.RedirectURIs) && slices.Equal(fitted.PostLogoutRedirectURIs, c.PostLogoutRedirectURIs) &&
		fitted.BackchannelLogoutURI == c.BackchannelLogoutURI && fitted.FrontchannelLogoutURI == c.FrontchannelLogoutURI {
		return nil
	}
	if err := store.ReplaceClient(ctx, fitted); err != nil {
		return fmt.Errorf("fit demo client %s to its port: %w", id, err)
	}
	return nil
}

// add puts an address into a list that lacks it.
func add(list *[]string, address string) {
	if !slices.Contains(*list, address) {
		*list = append(*list, address)
	}
}

// move sets an address that is not set or differs in nothing but the port and the name of this machine.
func move(old *string, address string) {
	is, err := url.Parse(*old)
	want, wrong := url.Parse(address)
	if err != nil || wrong != nil {
		return
	}
	if *old == "" || isLoopbackHost(is.Hostname()) && is.Path == want.Path {
		*old = address
	}
}
