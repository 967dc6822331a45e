// Package outbound is the one HTTP client by which the server talks to addresses that others chose: where a client keeps
// its keys (jwks_uri), and where it hears of logouts (backchannel_logout_uri).
//
// Such an address may name a machine that only this server reaches (threats G5, server-side request forgery). So there
// is https only, no redirect and no proxy, and the addresses that a name resolves to are looked at when the connection is
// made, not before: a name that answers differently the second time gains nothing. See policy.go for what is refused.
package outbound

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
)

const (
	// timeout bounds a whole exchange, from the look-up of the name to the last byte of the answer.
	timeout = 5 * time.Second
	// defaultMaxBytes bounds a body where the caller names no other size.
	defaultMaxBytes = 64 << 10
	// maxHeaderBytes bounds the header of an answer.
	maxHeaderBytes = 16 << 10
)

// Config says what is allowed beside public https addresses. Its zero value allows nothing else.
type Config struct {
	// CAFile is a file of certificates (PEM) that are trusted beside those of the system; "" means none.
	CAFile string
	// AllowedNetworks are reachable although they are private.
	AllowedNetworks []netip.Prefix
	// AllowLoopbackHTTP lets localhost, 127.0.0.0/8 and [::1], named as such, be reached, also by plain http. For development.
	AllowLoopbackHTTP bool
	// UserAgent is what the client calls itself; "" means "ingam".
	UserAgent string

	resolver *net.Resolver // of tests; nil means the system's
}

// Client makes guarded requests. Make it with [New]; it is safe for concurrent use and keeps no connection open.
type Client struct {
	http      *http.Client
	policy    policy
	userAgent string
	timeout   time.Duration
}

// New makes a client. It reads the certificates of the system and of Config.CAFile, once.
func New(cfg Config) (*Client, error) {
	roots, err := trusted(cfg.CAFile)
	if err != nil {
		return nil, err
	}
	c := &Client{
		policy:    policy{allowed: slices.Clone(cfg.AllowedNetworks), loopbackHTTP: cfg.AllowLoopbackHTTP},
		userAgent: cfg.UserAgent,
		timeout:   timeout,
	}
	if c.userAgent == "" {
		c.userAgent = "ingam"
	}
	dialer := &net.Dialer{Timeout: timeout, KeepAlive: -1, Resolver: cfg.resolver, ControlContext: c.policy.control}
	c.http = &http.Client{
		Transport: &http.Transport{
			Proxy:                  nil, // a proxy of the environment would resolve names itself, behind our back
			DialContext:            dialer.DialContext,
			TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			DisableKeepAlives:      true,
			DisableCompression:     true, // a small answer must not become a large one
			MaxResponseHeaderBytes: maxHeaderBytes,
		},
		// A redirect would lead where nobody registered.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

// trusted answers the certificates of the system and of the file.
func trusted(file string) (*x509.CertPool, error) {
	roots, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("outbound: certificates of the system: %w", err)
	}
	if file == "" {
		return roots, nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("outbound: CA file: %w", err) // names the file itself
	}
	n := 0
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("outbound: CA file %s: has a block %q; only CERTIFICATE belongs there", file, block.Type)
		}
		n++
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("outbound: CA file %s: certificate %d: %w", file, n, err)
		}
		roots.AddCert(cert)
	}
	if n == 0 {
		return nil, fmt.Errorf("outbound: CA file %s: has no certificate in PEM form (-----BEGIN CERTIFICATE-----)", file)
	}
	return roots, nil
}

// Get answers the body and the header of an answer 200. A body of more than maxBytes (0 means 64 KiB) is an error, and so
// is any other status. An address that must not be called gives a *[RefusedError].
func (c *Client) Get(ctx context.Context, address string, maxBytes int64) (body []byte, header http.Header, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	answer, err := c.do(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	host := answer.Request.URL.Host
	if answer.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("outbound: GET %s: answered status %d, not 200", host, answer.StatusCode)
	}
	if maxBytes <= 0 {
		maxBytes = defaultMaxBytes
	}
	body, err = io.ReadAll(io.LimitReader(answer.Body, maxBytes+1))
	if err == nil {
		err = ctx.Err() // an end that came with the deadline may be a cut
	}
	if err != nil {
		return nil, nil, fmt.Errorf("outbound: GET %s: %w", host, err)
	}
	if int64(len(body)) > maxBytes {
		return nil, nil, fmt.Errorf("outbound: GET %s: answer is larger than %d bytes", host, maxBytes)
	}
	return body, answer.Header, nil
}

// PostForm sends a form and answers the status, whatever it is; the body of the answer is not read. An address that must
// not be called, and a redirect, give a *[RefusedError].
func (c *Client) PostForm(ctx context.Context, address string, form url.Values) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	answer, err := c.do(ctx, http.MethodPost, address, []byte(form.Encode()))
	if err != nil {
		return 0, err
	}
	_ = answer.Body.Close()
	return answer.StatusCode, nil
}

// do sends one request. Errors name the host, never the whole address: its query may hold a secret.
func (c *Client) do(ctx context.Context, method, address string, form []byte) (*http.Response, error) {
	target, err := c.policy.checkURL(address)
	if err != nil {
		return nil, err
	}
	ctx = context.WithValue(ctx, targetKey{}, dialTarget{
		host: target.Hostname(), plain: target.Scheme == "http", loopback: loopbackName(target.Hostname()),
	})
	r, err := http.NewRequestWithContext(ctx, method, target.String(), bytes.NewReader(form))
	if err != nil {
		return nil, fmt.Errorf("outbound: %s %s: cannot make the request", method, target.Host)
	}
	r.Header.Set("User-Agent", c.userAgent)
	r.Header.Set("Accept", "application/json, */*;q=0.1")
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return nil, describe(method, target, err)
	}
	// At the deadline net/http closes the connection, and still takes an answer that races with that.
	if err := ctx.Err(); err != nil {
		_ = answer.Body.Close()
		return nil, describe(method, target, err)
	}
	if answer.StatusCode >= 300 && answer.StatusCode < 400 {
		_ = answer.Body.Close()
		return nil, &RefusedError{
			Host: target.Hostname(),
			Rule: fmt.Sprintf("it answers with a redirect (%d), and none is followed: register the address it leads to", answer.StatusCode),
		}
	}
	return answer, nil
}

// describe takes the address out of the error of net/http.
func describe(method string, target *url.URL, err error) error {
	if refused := (*RefusedError)(nil); errors.As(err, &refused) {
		return refused
	}
	if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("outbound: %s %s: no whole answer in time: %w", method, target.Host, err)
	}
	// net/http says this of an https address behind which plain http is spoken.
	if strings.Contains(err.Error(), "server gave HTTP response to HTTPS client") {
		return fmt.Errorf("outbound: %s %s: speaks plain http, not https: %w", method, target.Host, err)
	}
	return fmt.Errorf("outbound: %s %s: %w", method, target.Host, err)
}
