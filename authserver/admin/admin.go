// Package admin is the administration of users and clients over HTTP: JSON in, JSON out, under /admin/v1/.
//
// There is one way to change a user or a client of a running server, and it is this handler. The command line is a
// client of it: over data_dir/admin.sock when a server runs, and inside its own process when none does, so that both
// validate, hash and audit alike. What the package decides, in one place each:
//
//   - the rules for a client and a user: [CheckClient], [CheckUser], which the loaders of configuration files call too;
//   - what ends sign-ins: a new password, disabling and removal; see [storage.User].Epoch;
//   - how a client secret is made, shown once and rotated with an overlap: secret.go.
//
// # Who may call it
//
// The handler does not ask who is calling. It belongs behind a socket file of mode 0600 or a listener with
// credentials of its own, never on the public port (threats G3). As a second fence it refuses whatever a web page can
// send: each change must be application/json, and a request that carries Origin or Sec-Fetch-Site is turned away.
//
// # Answers
//
// Errors are {"error":"…","error_description":"…"}. A record that comes from a file of the operator answers 409
// read_only and names the file. A failure of the store is 503, never "not found". No answer holds a hash but the backup,
// which is given over the socket only; a secret is in exactly one answer, the one that made it.
package admin

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/ingam/ingam/authserver/audit"
	"github.com/ingam/ingam/authserver/credential"
	"github.com/ingam/ingam/storage"
)

// Config is what the handler works with. Store and Hasher are required.
type Config struct {
	Store  storage.Store
	Hasher *credential.Hasher
	Audit  *audit.Recorder
	// Log receives failures of the store, once each; nil discards.
	Log *slog.Logger
	// EndSessions, if not nil, ends the browser sessions of a user and has the clients behind them told; see
	// authserver.Server.EndSessions.
	EndSessions func(ctx context.Context, userID string) error
	// Source is the kind of store ("bolt", "redis"), for the first line of backups.
	Source string
	// SpoolDir, if not empty, is a folder of this server's own where a backup is written whole before it is sent. A store
	// whose snapshots get in the way of writers (bolt's do) needs it: whoever reads the backup may be slow.
	SpoolDir string
}

// api is the handler's state: only what it was given.
type api struct {
	store  storage.Store
	hasher *credential.Hasher
	audit  *audit.Recorder
	log    *slog.Logger
	// endSessions is Config.EndSessions.
	endSessions func(ctx context.Context, userID string) error

	source string
	spool  string
}

// handler answers a request, or returns why not; api.serve turns the error into the answer.
type handler func(w http.ResponseWriter, r *http.Request) error

// methods are the handlers of one path.
type methods map[string]handler

// New returns the admin API. It panics where Store or Hasher is missing: that is a mistake of the program.
func New(c Config) http.Handler {
	if c.Store == nil || c.Hasher == nil {
		panic("admin.New: Config needs a Store and a Hasher")
	}
	a := &api{
		store: c.Store, hasher: c.Hasher, audit: c.Audit, log: c.Log, source: c.Source, spool: c.SpoolDir, endSessions: c.EndSessions,
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	mux := http.NewServeMux()
	for path, m := range a.routes() {
		mux.Handle(path, a.serve(m))
	}
	mux.Handle("/", a.serve(nil))
	return mux
}

// routes is the whole API on one screen.
func (a *api) routes() map[string]methods {
	return map[string]methods{
		"/admin/v1/status": {http.MethodGet: a.status},
		"/admin/v1/backup": {http.MethodGet: a.backup},

		"/admin/v1/users":                     {http.MethodGet: a.listUsers, http.MethodPost: a.createUser},
		"/admin/v1/users/{username}":          {http.MethodGet: a.showUser, http.MethodDelete: a.removeUser},
		"/admin/v1/users/{username}/password": {http.MethodPut: a.changePassword},
		"/admin/v1/users/{username}/disable":  {http.MethodPost: a.disableUser},
		"/admin/v1/users/{username}/enable":   {http.MethodPost: a.enableUser},

		"/admin/v1/clients": {http.MethodGet: a.listClients, http.MethodPost: a.createClient},
		"/admin/v1/clients/{client_id}": {
			http.MethodGet: a.showClient, http.MethodPut: a.replaceClient, http.MethodDelete: a.removeClient,
		},
		"/admin/v1/clients/{client_id}/secret": {http.MethodPost: a.rotateSecret},

		"/admin/v1/logouts": {http.MethodGet: a.listLogouts},
	}
}

// serve picks the handler for the method and answers with its error, if any.
func (a *api) serve(m methods) http.Handler {
	allow := slices.Sorted(maps.Keys(m))
	if _, ok := m[http.MethodGet]; ok {
		allow = append(allow, http.MethodHead)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		h, ok := m[method]
		var err error
		switch {
		case len(m) == 0:
			err = &failure{status: http.StatusNotFound, code: CodeNotFound, description: "there is nothing at this address"}
		case !ok:
			w.Header().Set("Allow", strings.Join(allow, ", ")) // RFC 9110 §15.5.6
			err = &failure{
				status: http.StatusMethodNotAllowed, code: CodeMethodNotAllowed,
				description: "this address takes " + strings.Join(allow, ", "),
			}
		default:
			if err = refuseBrowsers(r); err == nil {
				r.Body = http.MaxBytesReader(w, r.Body, maxBody)
				err = h(w, r)
			}
		}
		if err != nil {
			a.fail(w, r, err)
		}
	})
}

// refuseBrowsers turns away what a web page can make a browser send (threats G3): cross-site forms carry one of three
// content types, none of them JSON, and scripts are announced by these headers, also after DNS rebinding.
func refuseBrowsers(r *http.Request) error {
	for _, name := range []string{"Origin", "Sec-Fetch-Site"} {
		if r.Header.Get(name) != "" {
			return &failure{
				status: http.StatusForbidden, code: CodeForbidden,
				description: "the admin API does not answer browsers (the request carries " + name + ")",
			}
		}
	}
	if r.Method == http.MethodPost || r.Method == http.MethodPut {
		return requireJSON(r)
	}
	return nil
}

// status tells that the server is up and its store answers.
func (a *api) status(w http.ResponseWriter, r *http.Request) error {
	if err := a.store.Ping(r.Context()); err != nil {
		return storeFailure(err)
	}
	s := Status{Status: "ok"}
	if info, ok := debug.ReadBuildInfo(); ok {
		s.Version = info.Main.Version
	}
	return answer(w, http.StatusOK, s)
}

// address is where a request came from, for audit events; "" for the socket and for this process, which have none.
func address(r *http.Request) string {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return from.Addr().String()
}
