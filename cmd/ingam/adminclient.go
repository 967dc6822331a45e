package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/ingam/ingam/authserver/admin"
	"github.com/ingam/ingam/authserver/audit"
	"github.com/ingam/ingam/authserver/credential"
)

// adminTimeout bounds one request. The slowest is a password that waits for its turn to be hashed.
const adminTimeout = 30 * time.Second

// adminClient speaks the admin API to a running server, or to the same handler in this process where no server runs.
// The commands cannot tell which, so they validate, hash and audit alike.
type adminClient struct {
	http  *http.Client
	peer  string // for messages
	close func() error
}

// apiError is an error that the admin API answered.
type apiError struct {
	status int
	answer admin.Error
}

func (e *apiError) Error() string { return e.answer.Description }

// withAdmin runs do with a connection to the server of the command's data folder.
func (a *app) withAdmin(cmd *cobra.Command, do func(ctx context.Context, c *adminClient) error) (err error) {
	c, err := a.connectAdmin(cmd)
	if err != nil {
		return err
	}
	if verbose, _ := cmd.Flags().GetBool("verbose"); verbose {
		_, _ = fmt.Fprintln(a.stderr, c.peer)
	}
	err = do(cmd.Context(), c)
	return errors.Join(err, c.close())
}

// connectAdmin asks the socket first and opens the store only when nobody listens there.
func (a *app) connectAdmin(cmd *cobra.Command) (*adminClient, error) {
	cfg, err := a.storeConfig(cmd)
	if err != nil {
		return nil, err
	}
	c, err := connectSocket(cmd.Context(), cfg.DataDir)
	if err != nil || c != nil {
		return c, err
	}
	offline, failure := a.connectOffline(cmd, cfg)
	if failure == nil {
		return offline, nil
	}
	// A server that has just started has the store and is at the socket by now.
	if c, err := connectSocket(cmd.Context(), cfg.DataDir); err == nil && c != nil {
		return c, nil
	}
	return nil, failure
}

// connectSocket returns nil where no server listens. Any other trouble is an error: to go round a server that is there
// but out of reach would be wrong.
func connectSocket(ctx context.Context, dir string) (*adminClient, error) {
	path := filepath.Join(dir, adminSocket)
	conn, err := dialAdminSocket(ctx, dir)
	if err != nil {
		return nil, unlessNobodyListens(path, err)
	}
	_ = conn.Close() // it was only a question
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dialAdminSocket(ctx, dir) },
	}
	return newAdminClient(transport, "using the running server: "+path, func() error {
		transport.CloseIdleConnections()
		return nil
	}), nil
}

// unlessNobodyListens is nil where err says that there is no socket, or one that a crashed server left behind.
func unlessNobodyListens(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOTDIR):
		return nil
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("no permission to connect to %s: run this as the user that runs the server", path)
	}
	return fmt.Errorf("connect to the server: %w", err)
}

// connectOffline opens the store and serves the admin API to this process alone. Failures of the store go to stderr;
// so do audit events with --verbose, since there is no server whose log could hold them.
//
// Taken from the configuration are the store, the cost of hashes and the records of files; what else may be wrong there
// does not stop an administrator.
func (a *app) connectOffline(cmd *cobra.Command, cfg *config) (*adminClient, error) {
	log := slog.New(slog.NewTextHandler(a.stderr, nil))
	hasher, err := credential.NewHasher(cfg.hasher())
	if err != nil {
		return nil, usageError{err}
	}
	store, err := cfg.openOffline(cmd.Context(), log)
	if err != nil {
		return nil, err
	}
	static, problems := cfg.loadStatic()
	if len(problems) > 0 {
		_, _ = fmt.Fprintf(a.stderr, "warning: the clients and users of files are left out, since they have %d problems; "+
			"'ingam config check' lists them\n", len(problems))
		static = staticRecords{}
	}
	all, err := static.over(store)
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	recorder := &audit.Recorder{}
	if verbose, _ := cmd.Flags().GetBool("verbose"); verbose {
		recorder.Log = log
	}
	handler := admin.New(admin.Config{Store: all, Hasher: hasher, Audit: recorder, Log: log, Source: cfg.StorageDriver})
	return newAdminClient(inProcess{handler}, "no server is running: opened the store in "+cfg.storeName(), store.Close), nil
}

func newAdminClient(transport http.RoundTripper, peer string, close func() error) *adminClient {
	return &adminClient{peer: peer, close: close, http: &http.Client{
		Transport: transport, Timeout: adminTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// do sends one request; in and out may be nil. Path segments must have gone through pathOf.
func (c *adminClient) do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader = http.NoBody
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(data)
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://localhost/admin/v1"+path, body)
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(r)
	if err != nil {
		// *url.Error would name an address that means nothing to a person.
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return fmt.Errorf("the server does not answer: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // read to its end below
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("the answer of the server broke off: %w", err)
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		return failureOf(resp.StatusCode, data)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(data, out); err != nil {
		return fmt.Errorf("the answer of the server is not what this version of ingam understands: %w", err)
	}
	return nil
}

// failureOf reads an error of the API. What the API calls a wrong request was a wrong command line.
func failureOf(status int, data []byte) error {
	e := &apiError{status: status}
	if err := json.Unmarshal(data, &e.answer); err != nil || e.answer.Description == "" {
		return fmt.Errorf("the server answered with status %d and nothing that this version of ingam understands", status)
	}
	if status == http.StatusBadRequest {
		return usageError{e}
	}
	return e
}

// answered tells whether err is the answer of the API with that code.
func answered(err error, code string) bool {
	var e *apiError
	return errors.As(err, &e) && e.answer.Code == code
}

// pathOf joins path segments, each escaped. A segment of dots would be taken for a way up.
func pathOf(segments ...string) string {
	var b strings.Builder
	for _, s := range segments {
		s = url.PathEscape(s)
		if strings.Trim(s, ".") == "" {
			s = strings.ReplaceAll(s, ".", "%2E")
		}
		b.WriteString("/" + s)
	}
	return b.String()
}

// inProcess is an http.RoundTripper that calls a handler in this process.
type inProcess struct{ handler http.Handler }

func (t inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	if r.Body == nil {
		r.Body = http.NoBody
	}
	defer func() { _ = r.Body.Close() }() // a RoundTripper closes the body
	w := &answerBuffer{header: http.Header{}}
	t.handler.ServeHTTP(w, r)
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return &http.Response{
		StatusCode: w.status, Status: http.StatusText(w.status), Header: w.header, Request: r,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		ContentLength: int64(w.body.Len()), Body: io.NopCloser(&w.body),
	}, nil
}

// answerBuffer is the ResponseWriter behind inProcess.
type answerBuffer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *answerBuffer) Header() http.Header { return w.header }

func (w *answerBuffer) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

func (w *answerBuffer) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}
