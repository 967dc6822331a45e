package resource

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// maxJWKSSize bounds what is read of an answer.
	maxJWKSSize = 64 << 10
	// fetchTimeout bounds one fetch from dialing to the last byte.
	fetchTimeout = 3 * time.Second
)

// jwksFetcher gets a JWK set over HTTP.
type jwksFetcher struct {
	url    string
	client *http.Client
}

// fetched is an answer: a body, or the news that it is still the one we have.
type fetched struct {
	notModified bool
	body        []byte
	etag        string
	maxAge      time.Duration // negative if the answer does not say
}

// newJWKSFetcher copies client, since it must not follow redirects: they would let
// the address that was configured hand us another server's keys.
func newJWKSFetcher(rawURL string, client *http.Client, insecureAllowHTTP bool) (*jwksFetcher, error) {
	if err := checkFetchURL(rawURL, insecureAllowHTTP); err != nil {
		return nil, err
	}
	var c http.Client
	if client != nil {
		c = *client
	}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.Jar = nil
	return &jwksFetcher{url: rawURL, client: &c}, nil
}

// checkFetchURL refuses what keys must not be fetched from. Over plain HTTP
// anybody on the way can become the issuer, so it is for loopback only.
func checkFetchURL(rawURL string, insecureAllowHTTP bool) error {
	u, err := url.Parse(rawURL)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		return fmt.Errorf("JWKS URL: %q is not an absolute URL", redact(rawURL))
	case u.User != nil || u.Fragment != "":
		return fmt.Errorf("JWKS URL: %q must have no user, password or fragment", redact(rawURL))
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && (insecureAllowHTTP || isLoopback(u.Hostname())):
		return nil
	case u.Scheme == "http":
		return fmt.Errorf("JWKS URL: %q is plain http to another machine; "+
			"use https, or on a network you trust set insecure-allow-http (in Go: InsecureAllowHTTP)", redact(rawURL))
	default:
		return fmt.Errorf("JWKS URL: %q must begin with https", redact(rawURL))
	}
}

// redact returns a URL fit for a message: its password, if any, is hidden.
func redact(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return "(unreadable)"
	}
	return u.Redacted()
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}

// fetch gets the set, or learns that it still has the given entity tag.
func (f *jwksFetcher) fetch(ctx context.Context, etag string) (_ fetched, err error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url, nil)
	if err != nil {
		return fetched{}, err
	}
	// RFC 7517 §8.5.2.
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	if etag != "" {
		// RFC 9110 §13.1.2.
		req.Header.Set("If-None-Match", etag)
	}
	resp, err := f.client.Do(req)
	if err != nil {
		return fetched{}, fmt.Errorf("fetch JWK set: %w", err)
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	answer := fetched{etag: resp.Header.Get("ETag"), maxAge: maxAge(resp.Header.Get("Cache-Control"))}
	switch {
	case resp.StatusCode == http.StatusNotModified && etag != "":
		answer.notModified = true
		return answer, nil
	case resp.StatusCode != http.StatusOK:
		return fetched{}, fmt.Errorf("fetch JWK set: status %d", resp.StatusCode)
	}
	answer.body, err = io.ReadAll(io.LimitReader(resp.Body, maxJWKSSize+1))
	if err != nil {
		return fetched{}, fmt.Errorf("fetch JWK set: %w", err)
	}
	if len(answer.body) > maxJWKSSize {
		return fetched{}, fmt.Errorf("fetch JWK set: longer than %d bytes", maxJWKSSize)
	}
	return answer, nil
}

// maxAge returns how long a Cache-Control header lets an answer be used
// (RFC 9111 §5.2.2), or a negative duration if it does not say.
func maxAge(cacheControl string) time.Duration {
	age := time.Duration(-1)
	for directive := range strings.SplitSeq(cacheControl, ",") {
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
		switch name {
		case "no-store", "no-cache":
			return 0
		case "max-age":
			seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31)
			if err == nil {
				age = time.Duration(seconds) * time.Second
			}
		}
	}
	return age
}
