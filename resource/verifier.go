package resource

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	defaultLeeway      = 30 * time.Second
	maxLeeway          = 5 * time.Minute
	defaultMaxLifetime = 24 * time.Hour
	defaultCacheSize   = 10_000
)

// Config says which tokens a [Verifier] accepts. Issuer and Audience are required;
// the zero value of everything else is the safe choice.
type Config struct {
	// Issuer is the authorization server's identifier, compared with iss byte by
	// byte: an absolute URL without query and fragment (RFC 8414 §2).
	Issuer string
	// Audience lists the identifiers of this resource server. A token must
	// name one of them in aud.
	Audience []string

	// JWKSURL is where the issuer's keys are fetched from. It defaults to Issuer
	// + "/.well-known/jwks.json", and may be another address than the
	// issuer's where the network needs it.
	JWKSURL string
	// Algorithms is the allow-list of alg: RS256 if empty. RS256, PS256, ES256 and EdDSA
	// can be chosen.
	Algorithms []string
	// Leeway is how far the issuer's clock may be off: 30 seconds if zero, at
	// most 5 minutes.
	Leeway time.Duration
	// MaxLifetime bounds exp - iat: 24 hours if zero.
	MaxLifetime time.Duration
	// CacheSize is how many verified tokens the cache is laid out for, 10,000 if
	// zero. It never holds more than twice as many. Negative means no cache.
	CacheSize int

	// Keys replaces the fetching of keys, and excludes JWKSURL, HTTPClient
	// and InsecureAllowHTTP.
	Keys KeySet
	// HTTPClient fetches the keys; see [RemoteKeySetConfig].
	HTTPClient *http.Client
	// InsecureAllowHTTP allows fetching keys over plain http from another
	// machine; see [RemoteKeySetConfig]. It MUST NOT be set outside a
	// network where nobody can change the traffic.
	InsecureAllowHTTP bool

	// Resource is this server's resource identifier, a URL (RFC 9728 §1.2). If set,
	// challenges point to its metadata.
	Resource string
	// Realm is the realm of challenges; it defaults to Resource or else the first Audience.
	Realm string
	// Logger hears of key fetches that failed; nil means nobody. Tokens are never logged.
	Logger *slog.Logger
}

// Verifier decides whether an access token is good. Make it with [New]; the
// zero Verifier refuses every token. It is safe for concurrent use.
type Verifier struct {
	rules      claimRules
	algorithms []string
	keys       KeySet
	owned      io.Closer // the key set that New made, if it did
	cache      *tokenCache
	resource   string
	challenge  challenge
	now        func() time.Time
}

// New returns a Verifier. Everything that is wrong with cfg is in the one error.
// Unless cfg.Keys is set, it starts a [RemoteKeySet], which Close ends; it does
// not wait for the keys, so that the issuer need not be up.
func New(cfg Config) (*Verifier, error) {
	cfg.setDefaults()
	algorithms, algErr := checkAlgorithms(cfg.Algorithms)
	if err := errors.Join(cfg.validate(), algErr); err != nil {
		return nil, fmt.Errorf("resource: %w", err)
	}
	v := &Verifier{
		rules: claimRules{
			issuer:      cfg.Issuer,
			audience:    slices.Clone(cfg.Audience),
			leeway:      cfg.Leeway,
			maxLifetime: cfg.MaxLifetime,
		},
		algorithms: algorithms,
		keys:       cfg.Keys,
		resource:   cfg.Resource,
		challenge:  newChallenge(cfg.Realm, cfg.Resource),
		now:        time.Now,
	}
	if cfg.CacheSize > 0 {
		v.cache = newTokenCache(cfg.CacheSize)
	}
	if v.keys == nil {
		remote, err := NewRemoteKeySet(RemoteKeySetConfig{
			URL:               cfg.JWKSURL,
			Algorithms:        algorithms,
			HTTPClient:        cfg.HTTPClient,
			InsecureAllowHTTP: cfg.InsecureAllowHTTP,
			Logger:            cfg.Logger,
		})
		if err != nil {
			return nil, fmt.Errorf("resource: %w", err)
		}
		v.keys, v.owned = remote, remote
	}
	return v, nil
}

func (cfg *Config) setDefaults() {
	if cfg.Leeway == 0 {
		cfg.Leeway = defaultLeeway
	}
	if cfg.MaxLifetime == 0 {
		cfg.MaxLifetime = defaultMaxLifetime
	}
	if cfg.CacheSize == 0 {
		cfg.CacheSize = defaultCacheSize
	}
	if cfg.JWKSURL == "" && cfg.Keys == nil && checkIdentifier(cfg.Issuer) == nil {
		cfg.JWKSURL = strings.TrimSuffix(cfg.Issuer, "/") + "/.well-known/jwks.json"
	}
	if cfg.Realm == "" {
		cfg.Realm = cfg.Resource
	}
	if cfg.Realm == "" && len(cfg.Audience) > 0 {
		cfg.Realm = cfg.Audience[0]
	}
}

// validate lists all that is wrong, so that an operator corrects it in one go.
func (cfg *Config) validate() error {
	var errs []error
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if err := checkIdentifier(cfg.Issuer); err != nil {
		add("issuer: %w", err)
	}
	if len(cfg.Audience) == 0 {
		add("audience: at least one is required")
	}
	if slices.Contains(cfg.Audience, "") {
		add("audience: must not contain an empty string")
	}
	if cfg.Leeway < 0 || cfg.Leeway > maxLeeway {
		add("leeway: %v is not between 0 and %v", cfg.Leeway, maxLeeway)
	}
	if cfg.MaxLifetime < 0 {
		add("max lifetime: %v is negative", cfg.MaxLifetime)
	}
	if cfg.Resource != "" {
		if err := checkIdentifier(cfg.Resource); err != nil {
			add("resource: %w", err)
		}
	}
	if strings.ContainsFunc(cfg.Realm, func(r rune) bool { return r < ' ' || r > '~' }) {
		add("realm: %q has characters outside printable ASCII", cfg.Realm)
	}
	if cfg.Keys != nil && (cfg.JWKSURL != "" || cfg.HTTPClient != nil || cfg.InsecureAllowHTTP) {
		add("keys: exclude a JWKS URL, an HTTP client and plain http")
	}
	if cfg.Keys == nil && cfg.JWKSURL != "" {
		if err := checkFetchURL(cfg.JWKSURL, cfg.InsecureAllowHTTP); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// checkIdentifier checks an issuer (RFC 8414 §2) or a resource (RFC 9728 §1.2).
func checkIdentifier(s string) error {
	if s == "" {
		return errors.New("is required")
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return fmt.Errorf("%q is not an http or https URL", redact(s))
	}
	if u.User != nil || u.RawQuery != "" || u.ForceQuery || strings.Contains(s, "#") {
		return fmt.Errorf("%q must have no user, query or fragment", redact(s))
	}
	return nil
}

// Close ends the goroutine that New started, if it did. Verify goes on with the keys
// it has. It may be called more than once.
func (v *Verifier) Close() error {
	if v == nil || v.owned == nil {
		return nil
	}
	return v.owned.Close()
}

// Ready returns nil if the key set has keys, or if it is of a kind that cannot
// tell; otherwise an error that wraps ErrKeysUnavailable.
func (v *Verifier) Ready() error {
	if v == nil || v.keys == nil {
		return ErrKeysUnavailable
	}
	if keys, ok := v.keys.(interface{ Ready() error }); ok {
		return keys.Ready()
	}
	return nil
}

// Verify returns what token says if it is a valid access token for this server.
// Otherwise the error wraps [ErrInvalidToken], with an [InvalidTokenError] that has
// the reason, or [ErrKeysUnavailable]. It does not look at scopes, and does not ask
// whether the token was revoked.
//
// It blocks for at most 250 ms, and only when the token names a key
// that the key set does not have; see [RemoteKeySet].
func (v *Verifier) Verify(ctx context.Context, token string) (*AccessToken, error) {
	if v == nil || v.keys == nil {
		return nil, fmt.Errorf("%w: the Verifier was not made by New", ErrKeysUnavailable)
	}
	// Before anything else: what follows costs time for each byte.
	if len(token) > MaxTokenSize {
		return nil, errTooLong
	}
	now := v.now()
	id := tokenID(token)
	if t, err := v.remembered(ctx, &id, now); t != nil || err != nil {
		return t, err
	}
	jws, err := parseCompact(token, v.algorithms)
	if err != nil {
		return nil, err
	}
	key, err := v.key(ctx, jws.header.kid)
	if err != nil {
		return nil, err
	}
	if err := verifySignature(jws.header.alg, key, jws.signed, jws.sig); err != nil {
		return nil, err
	}
	t, notBefore, err := parseClaims(jws.payload)
	if err != nil {
		return nil, err
	}
	if err := v.rules.check(t, notBefore, now); err != nil {
		return nil, err
	}
	v.cache.put(&cacheEntry{id: id, token: t, kid: jws.header.kid, key: key})
	return t.clone(), nil
}

// key asks the key set, and says whose fault it is if there is no key.
func (v *Verifier) key(ctx context.Context, kid string) (*jose.JSONWebKey, error) {
	key, err := v.keys.Key(ctx, kid)
	switch {
	case errors.Is(err, ErrUnknownKey):
		return nil, errUnknownKey
	case errors.Is(err, ErrKeysUnavailable):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrKeysUnavailable, err)
	case key == nil:
		return nil, fmt.Errorf("%w: the KeySet returned no key", ErrKeysUnavailable)
	}
	return key, nil
}

// remembered returns a copy of a token verified before, if it still counts: not
// after exp (the leeway is for the long way), and only while the very key that
// verified it is still the issuer's. An error is as good as the long way's, which
// would only ask, and maybe wait, for the same key once more.
func (v *Verifier) remembered(ctx context.Context, id *[32]byte, now time.Time) (*AccessToken, error) {
	e := v.cache.get(id)
	if e == nil || !now.Before(e.token.ExpiresAt) {
		return nil, nil
	}
	key, err := v.key(ctx, e.kid)
	if err != nil || key != e.key {
		return nil, err
	}
	return e.token.clone(), nil
}

// tokenID hashes a token by way of the stack: []byte(token) would allocate. The
// common size has its own buffer, since clearing a large one costs more than hashing.
func tokenID(token string) [32]byte {
	var buf [1024]byte
	if len(token) > len(buf) {
		return longTokenID(token)
	}
	return sha256.Sum256(buf[:copy(buf[:], token)])
}

//go:noinline
func longTokenID(token string) [32]byte {
	var buf [MaxTokenSize]byte
	return sha256.Sum256(buf[:copy(buf[:], token)])
}
