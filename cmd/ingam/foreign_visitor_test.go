package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/html"
)

// visitor is alice at a browser, sent by a client that is somebody else's program: she signs in where she is asked to,
// allows what she is asked for, and stops where the client takes over.
type visitor struct {
	client *http.Client
	issuer string
	within []string // hosts where she goes on
}

// landing is where a visit ends: at an address of the client, by GET or with a form, or on a page.
type landing struct {
	URL    string     `json:"url"`
	Form   url.Values `json:"form,omitempty"`
	Status int        `json:"status,omitempty"`
	Page   string     `json:"page,omitempty"`
	Asked  []string   `json:"asked"` // the forms that she has sent
}

// newVisitor opens a browser with nothing in it. She goes on at the issuer and at the other addresses.
func newVisitor(issuer string, others ...string) (*visitor, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	v := &visitor{issuer: issuer, client: &http.Client{
		Jar: jar, Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	for _, address := range append(others, issuer) {
		u, err := url.Parse(address)
		if err != nil {
			return nil, err
		}
		v.within = append(v.within, u.Host)
	}
	return v, nil
}

func mustVisitor(t *testing.T, issuer string, others ...string) *visitor {
	t.Helper()
	v, err := newVisitor(issuer, others...)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// mustVisit visits, and wants to land at an address of the client. It returns the parameters there.
func (v *visitor) mustVisit(t *testing.T, address, redirect string) url.Values {
	t.Helper()
	l, err := v.visit(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	at, err := url.Parse(l.URL)
	if err != nil {
		t.Fatal(err)
	}
	if rest, ok := strings.CutPrefix(l.URL, redirect); !ok || rest != "" && rest[0] != '?' {
		t.Fatalf("landed at %q, want %s:\n%d %s", l.URL, redirect, l.Status, l.Page)
	}
	return at.Query()
}

// visit opens an address and does what the pages ask.
func (v *visitor) visit(ctx context.Context, address string) (landing, error) {
	l := landing{Asked: []string{}}
	method, body := http.MethodGet, url.Values(nil)
	for range 20 {
		at, err := url.Parse(address)
		if err != nil {
			return l, err
		}
		if !slices.Contains(v.within, at.Host) {
			l.URL, l.Form = address, body
			return l, nil
		}
		got, to, err := v.send(ctx, method, at, body)
		if err != nil {
			return l, err
		}
		if to != nil {
			address, method, body = to.String(), http.MethodGet, nil
			continue
		}
		action, fields, err := v.fill(got.body)
		if err != nil {
			return l, err
		}
		// The same form twice means that the answer was not taken.
		if action == "" || slices.Contains(l.Asked, action) {
			l.Status, l.Page = got.status, got.body
			return l, nil
		}
		if to, err = at.Parse(action); err != nil {
			return l, err
		}
		l.Asked = append(l.Asked, action)
		address, method, body = to.String(), http.MethodPost, fields
	}
	return l, fmt.Errorf("the visit goes round in circles, now at %s", address)
}

// send sends one request as the browser. It returns the answer, and where that leads if it is a redirect.
func (v *visitor) send(ctx context.Context, method string, at *url.URL, form url.Values) (answer, *url.URL, error) {
	r, err := http.NewRequestWithContext(ctx, method, at.String(), strings.NewReader(form.Encode()))
	if err != nil {
		return answer{}, nil, err
	}
	r.Header.Set("Accept", "text/html")
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", v.issuer)
	}
	resp, err := v.client.Do(r)
	if err != nil {
		return answer{}, nil, err
	}
	page, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return answer{}, nil, err
	}
	to, _ := resp.Location() // none: it is a page
	return answer{resp.StatusCode, resp.Header, string(page)}, to, nil
}

// fill fills in the form that a page is about; without one the visit is over.
func (v *visitor) fill(page string) (action string, fields url.Values, err error) {
	forms, err := formsOf(page)
	if err != nil {
		return "", nil, err
	}
	for action, fill := range map[string]url.Values{
		"/consent": {"decision": {"allow"}, "remember": {"1"}},
		"/login":   {"username": {"alice"}, "password": {"wonderland"}},
		"/logout":  {},
	} {
		if fields, ok := forms[action]; ok {
			for name := range fill {
				fields.Set(name, fill.Get(name))
			}
			return action, fields, nil
		}
	}
	for action, fields := range forms {
		if strings.Contains(action, "://") { // response_mode=form_post
			return action, fields, nil
		}
	}
	return "", nil, nil
}

// formsOf reads the forms of a page: hidden fields by action.
func formsOf(page string) (map[string]url.Values, error) {
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		return nil, err
	}
	attr := func(n *html.Node, name string) string {
		for _, a := range n.Attr {
			if a.Key == name {
				return a.Val
			}
		}
		return ""
	}
	forms := map[string]url.Values{}
	for n := range root.Descendants() {
		if n.Data != "form" {
			continue
		}
		fields := url.Values{}
		for field := range n.Descendants() {
			if field.Data == "input" && attr(field, "type") == "hidden" {
				fields.Add(attr(field, "name"), attr(field, "value"))
			}
		}
		forms[attr(n, "action")] = fields
	}
	return forms, nil
}

// lendVisitors is for clients in other languages: GET /?browser=NAME&url=ADDRESS visits and answers the landing as JSON.
// Each name is a browser of its own.
func lendVisitors(t *testing.T, issuer string) string {
	t.Helper()
	var one sync.Mutex
	browsers := map[string]*visitor{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		one.Lock()
		defer one.Unlock()
		name := r.FormValue("browser")
		v, ok := browsers[name]
		if !ok {
			var err error
			if v, err = newVisitor(issuer); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			browsers[name] = v
		}
		l, err := v.visit(r.Context(), r.FormValue("url"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(l) // whoever asked may be gone
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// addClient registers a client at `ingam dev` as an operator does, and returns what the command prints about it.
func addClient(t *testing.T, facts devFacts, input, id string, flags ...string) (secret string) {
	t.Helper()
	args := append([]string{"client", "add", id, "--data-dir", facts.DataDir, "-o", "json"}, flags...)
	r := runProgram(nil, program(t, "ingam"), input, args...)
	var made struct {
		Secret string `json:"client_secret"`
	}
	if err := json.Unmarshal([]byte(r.stdout), &made); r.status != exitDone || err != nil {
		t.Fatalf("%v: exit %d: %s%s", args, r.status, r.stdout, r.stderr)
	}
	return made.Secret
}
