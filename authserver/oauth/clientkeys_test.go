package oauth

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/ingam/ingam/authserver/outbound"
	"github.com/ingam/ingam/storage"
)

// C4: a key is for the algorithms of its kind, or for the one it names; keys of no use cost the others nothing.
func TestAKeySetKeepsTheKeysThatAreOfUse(t *testing.T) {
	changed := func(name string, changes object) string { return publicJWK(t, name, changes) }
	private, err := json.Marshal(jose.JSONWebKey{Key: testKeys()["rsa"], KeyID: "rsa"})
	must(t, err)
	all := "rsa:RS256+PS256"
	for name, c := range map[string]struct {
		set  json.RawMessage
		want string
	}{
		"one of each kind":             {jwks(t, "rsa", "ec", "ed"), "rsa:RS256+PS256 ec:ES256 ed:EdDSA"},
		"for one algorithm":            {jwks(t, changed("rsa", object{"alg": "PS256"})), "rsa:PS256"},
		"EdDSA by its newer name":      {jwks(t, changed("ed", object{"alg": "Ed25519"})), "ed:EdDSA"},
		"for signatures":               {jwks(t, changed("rsa", object{"use": "sig", "key_ops": []string{"verify"}})), all},
		"without a kid":                {jwks(t, changed("rsa", object{"kid": nil})), ":RS256+PS256"},
		"no keys: all were taken back": {jwks(t), ""},
		"for encryption":               {jwks(t, "rsa", changed("rsa-2", object{"use": "enc"})), all},
		"for other operations":         {jwks(t, "rsa", changed("rsa-2", object{"key_ops": []string{"encrypt"}})), all},
		"for an algorithm of another":  {jwks(t, "rsa", changed("rsa-2", object{"alg": "ES256"}), changed("ec", object{"alg": "RS256"})), all},
		"for RS384":                    {jwks(t, "rsa", changed("rsa-2", object{"alg": "RS384"})), all},
		"RSA of 1024 bits":             {jwks(t, "rsa", "rsa-small"), all},
		"P-384":                        {jwks(t, "rsa", "ec-384", changed("ec-384", object{"alg": "ES256"})), all},
		"a point off the curve":        {jwks(t, "rsa", changed("ec", object{"x": strings.Repeat("A", 43)})), all},
		"unknown kinds":                {jwks(t, `{"kty":"AKP","kid":"new","pub":"AAAA"}`, `{"kty":"OKP","crv":"X25519","x":"AAAA"}`, "rsa"), all},
		"symmetric":                    {jwks(t, "rsa", `{"kty":"oct","kid":"hs","alg":"HS256","k":"AAAA"}`), all},
		"private":                      {jwks(t, "rsa-2", string(private)), "rsa-2:RS256+PS256"},
		"public beside private":        {jwks(t, "rsa-2", "rsa", string(private)), "rsa-2:RS256+PS256"},
		"not objects":                  {jwks(t, "1", `"x"`, "null", "[]", "rsa"), all},
		"a name twice":                 {jwks(t, `{"kid":"x",`+publicJWK(t, "rsa-2", nil)[1:], "rsa"), all},
		"a kid that is a number":       {jwks(t, changed("rsa-2", object{"kid": 1}), "rsa"), all},
		"100 keys":                     {jwks(t, append(slices.Repeat([]string{`{"kty":"X"}`}, 99), "rsa")...), all},
		"101 keys":                     {jwks(t, append(slices.Repeat([]string{`{"kty":"X"}`}, 100), "rsa")...), "error"},
		"null":                         {json.RawMessage(`null`), "error"},
		"no list":                      {json.RawMessage(`{}`), "error"},
		"a list of null":               {json.RawMessage(`{"keys":null}`), "error"},
		"an object for a list":         {json.RawMessage(`{"keys":{}}`), "error"},
		"a web page":                   {json.RawMessage(`<html></html>`), "error"},
		"a key alone":                  {json.RawMessage(publicJWK(t, "rsa", nil)), "error"},
	} {
		set, err := parseKeySet(c.set)
		var kept []string
		for _, k := range set {
			kept = append(kept, k.id+":"+strings.Join(k.algs, "+"))
		}
		got := strings.Join(kept, " ")
		if err != nil {
			got = "error"
		}
		if got != c.want {
			t.Errorf("%s: got %q (%v), want %q", name, got, err, c.want)
		}
	}
}

func TestASignatureThatNamesNoKeyMayBeByAnyThatFits(t *testing.T) {
	set, err := parseKeySet(jwks(t, "rsa", "rsa-2", "ec", "ed"))
	must(t, err)
	for _, c := range []struct {
		kid, alg string
		want     int
	}{
		{"rsa", "RS256", 1},
		{"rsa", "PS256", 1},
		{"", "RS256", 2},
		{"", "ES256", 1},
		{"ed", "EdDSA", 1},
		{"rsa", "ES256", 0},
		{"ec", "RS256", 0},
		{"unknown", "RS256", 0},
		{"", "HS256", 0},
		{"", "none", 0},
		{"", "", 0},
	} {
		if got := set.candidates(c.kid, c.alg); len(got) != c.want {
			t.Errorf("kid %q, alg %q: %d keys, want %d", c.kid, c.alg, len(got), c.want)
		}
	}
	many, err := parseKeySet(jwks(t, slices.Repeat([]string{"ec"}, 50)...))
	must(t, err)
	if got := many.candidates("", "ES256"); len(got) != maxCandidates {
		t.Errorf("%d keys would be tried", len(got))
	}
}

// remote is a client with its keys at an address, in a bubble of time.
type remote struct {
	*clientKeys
	t      *testing.T
	server *keyServer
	client storage.Client
}

func inRemote(t *testing.T, run func(r *remote)) {
	t.Helper()
	testKeys() // outside of the bubble
	synctest.Test(t, func(t *testing.T) {
		server := &keyServer{body: jwks(t, "rsa")}
		run(&remote{
			clientKeys: newClientKeys(server, slog.New(slog.DiscardHandler)), t: t, server: server,
			client: storage.Client{ID: "app", JWKSURI: "https://app.example.test/jwks"},
		})
	})
}

// look wants n keys of that kid, or an error for -1, after that many fetches in all.
func (r *remote) want(kid string, n, fetches int) {
	r.t.Helper()
	alg := "RS256"
	if strings.HasPrefix(kid, "ec") {
		alg = "ES256"
	}
	found, err := r.keys(context.Background(), r.client, kid, alg)
	if (err != nil) != (n < 0) || n >= 0 && len(found) != n {
		r.t.Errorf("%s: got %d keys and %v, want %d", kid, len(found), err, n)
	}
	if got := r.server.count(); got != fetches {
		r.t.Errorf("%s: %d fetches, want %d", kid, got, fetches)
	}
}

func TestKeysAreRememberedForAsLongAsTheAnswerSaysWithinBounds(t *testing.T) {
	for control, life := range map[string]time.Duration{
		"": 5 * time.Minute, "max-age=600": 10 * time.Minute, "public, max-age=\"600\"": 10 * time.Minute, "max-age=3600": time.Hour, "max-age=86400": time.Hour,
		"max-age=10": time.Minute, "max-age=0": time.Minute, "no-store": time.Minute, "max-age=600, no-cache": time.Minute, "max-age=x": 5 * time.Minute,
		"max-age=-1": 5 * time.Minute, "max-age=99999999999": 5 * time.Minute,
	} {
		inRemote(t, func(r *remote) {
			r.server.header = http.Header{"Cache-Control": {control}}
			r.want("rsa", 1, 1)
			time.Sleep(life - time.Second)
			r.want("rsa", 1, 1)
			r.server.publish(jwks(r.t, "rsa-2"), nil)
			time.Sleep(time.Second)
			r.want("rsa", 0, 2) // the client took it back
			r.want("rsa-2", 1, 2)
		})
	}
}

// G5: whoever sends made-up kids makes a client's server answer once in 30 seconds.
func TestAnUnknownKidIsLookedForOnceIn30Seconds(t *testing.T) {
	inRemote(t, func(r *remote) {
		r.want("rsa", 1, 1)
		r.server.publish(jwks(r.t, "rsa", "ec"), nil)
		r.want("ec", 1, 2) // a key that was just rotated in works at once
		r.want("ec-2", 0, 2)
		r.server.publish(jwks(r.t, "rsa", "ec", "ec-2"), nil)
		time.Sleep(missInterval - time.Second)
		for i := range 100 {
			r.want(fmt.Sprint("ec-made-up-", i), 0, 2)
		}
		time.Sleep(time.Second)
		r.want("ec-2", 1, 3)
		r.want("rsa", 1, 3)
	})
}

func TestManyWhoNeedTheSameKeysShareOneFetch(t *testing.T) {
	inRemote(t, func(r *remote) {
		r.server.delay = time.Second
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() { r.want("rsa", 1, 1) })
		}
		wg.Wait()
		r.server.publish(jwks(r.t, "rsa", "ec"), nil)
		for range 100 {
			wg.Go(func() { r.want("ec", 1, 2) })
		}
		wg.Wait()
		if r.want("rsa", 1, 2); len(r.sets) != 1 {
			t.Errorf("%d sets", len(r.sets))
		}
	})
}

func TestTheLastGoodKeysServeForADayWhileTheirServerFails(t *testing.T) {
	for name, broken := range map[string]func(s *keyServer){
		"no answer":  func(s *keyServer) { s.publish(nil, errors.New("connection refused")) },
		"a web page": func(s *keyServer) { s.publish([]byte("<html>"), nil) },
		"null":       func(s *keyServer) { s.publish([]byte("null"), nil) },
	} {
		inRemote(t, func(r *remote) {
			r.want("rsa", 1, 1)
			broken(r.server)
			time.Sleep(keysDefaultTTL)
			r.want("rsa", 1, 2)
			r.want("ec", 0, 2) // and asks no sooner than after 30 s
			time.Sleep(missInterval - time.Second)
			r.want("rsa", 1, 2)
			time.Sleep(time.Second)
			r.want("rsa", 1, 3)
			time.Sleep(keysMaxStale - keysDefaultTTL - missInterval - time.Second)
			r.want("rsa", 1, 4)
			time.Sleep(time.Second)
			r.want("rsa", -1, 4)
			time.Sleep(missInterval)
			r.server.publish(jwks(r.t, "rsa"), nil)
			r.want("rsa", 1, 5)
		})
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

func TestAServerThatNeverAnsweredIsAskedEachFiveSeconds(t *testing.T) {
	inRemote(t, func(r *remote) {
		r.server.publish(nil, errors.New("connection refused"))
		r.want("rsa", -1, 1)
		r.want("ec", -1, 1)
		time.Sleep(failureInterval - time.Second)
		r.want("rsa", -1, 1)
		time.Sleep(time.Second)
		r.want("rsa", -1, 2)
		time.Sleep(failureInterval)
		r.server.publish(jwks(r.t, "rsa"), nil)
		r.want("rsa", 1, 3)
	})
}

func TestWhoGivesUpDoesNotEndTheFetchOfTheOthers(t *testing.T) {
	inRemote(t, func(r *remote) {
		r.server.delay = time.Second
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := r.keys(ctx, r.client, "rsa", "RS256"); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		})
		synctest.Wait()
		r.want("rsa", 1, 1)
		wg.Wait()
		// One that hangs is given up.
		r.server.delay = time.Hour
		time.Sleep(keysDefaultTTL)
		begin := time.Now()
		r.want("rsa", 1, 2)
		if took := time.Since(begin); took > fetchTimeout {
			t.Errorf("took %v", took)
		}
	})
}

func TestTheAddressesThatAreRememberedAreBounded(t *testing.T) {
	inRemote(t, func(r *remote) {
		first := r.client.JWKSURI
		r.want("rsa", 1, 1)
		for i := range maxKeySets - 1 {
			r.client.JWKSURI = fmt.Sprintf("https://app.example.test/%d", i)
			r.want("rsa", 1, 2+i)
		}
		r.client.JWKSURI = first // used again, so not the one to go
		r.want("rsa", 1, maxKeySets)
		r.client.JWKSURI = "https://app.example.test/one-more"
		r.want("rsa", 1, maxKeySets+1)
		r.client.JWKSURI = first
		r.want("rsa", 1, maxKeySets+1)
		r.client.JWKSURI = "https://app.example.test/0" // had to go
		r.want("rsa", 1, maxKeySets+2)
		if len(r.sets) != maxKeySets || r.recent.Len() != maxKeySets {
			t.Errorf("%d and %d sets", len(r.sets), r.recent.Len())
		}
	})
}

// A fetch that fails is in the log, without the query of its address.
func TestAFetchThatFailsIsLoggedOnce(t *testing.T) {
	var logs bytes.Buffer
	keys := newClientKeys(&keyServer{err: errors.New("connection refused")}, slog.New(slog.NewTextHandler(&logs, nil)))
	for range 3 {
		_, _ = keys.keys(t.Context(), storage.Client{JWKSURI: "https://app.example.test/jwks?token=very-secret"}, "", "RS256")
	}
	if got := logs.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "https://app.example.test/jwks") || strings.Contains(got, "very-secret") {
		t.Errorf("logged: %s", got)
	}
}

// O5: keys are parsed in a goroutine of their own, where a panic would end the process.
func TestAPanicOverTheKeysOfAClientIsAFailureOfTheirs(t *testing.T) {
	keys := newClientKeys(panicking{}, slog.New(slog.DiscardHandler))
	if found, err := keys.keys(t.Context(), storage.Client{JWKSURI: "https://app.example.test/jwks"}, "", "RS256"); err == nil {
		t.Errorf("found %v", found)
	}
}

type panicking struct{}

func (panicking) Get(context.Context, string, int64) ([]byte, http.Header, error) {
	panic("index out of range")
}

func TestAClientWithoutKeysHasNone(t *testing.T) {
	for name, c := range map[string]storage.Client{
		"none": {}, "an address, and nobody to call it": {JWKSURI: "https://app.example.test/jwks"}, "no set": {JWKS: json.RawMessage(`{}`)},
	} {
		if found, err := newClientKeys(nil, slog.New(slog.DiscardHandler)).keys(t.Context(), c, "", "RS256"); err == nil || len(found) != 0 {
			t.Errorf("%s: %v, %v", name, found, err)
		}
	}
}

// G5: keys are fetched by the guarded client, which calls no machine of the inside.
func TestAnAddressOfKeysThatLeadsInsideIsNotCalled(t *testing.T) {
	var connections atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(jwks(t, "rsa")) }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.StartTLS()
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))

	c := keyClient(t)
	c.JWKS, c.JWKSURI = nil, server.URL
	store := newKeyStore(t, c)
	for _, row := range []struct {
		allowed     []netip.Prefix
		status      int
		connections int64
	}{{nil, http.StatusUnauthorized, 0}, {[]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, http.StatusOK, 1}} {
		client, err := outbound.New(outbound.Config{CAFile: ca, AllowedNetworks: row.allowed})
		must(t, err)
		var audited bytes.Buffer
		e := newKeyEngine(store, client, slog.New(slog.NewTextHandler(&audited, nil)))
		res := assertToken(t, e, assertion(t, nil, nil))
		if res.StatusCode != row.status || connections.Load() != row.connections {
			t.Errorf("%v: %d %v after %d connections", row.allowed, res.StatusCode, res.body, connections.Load())
		}
		if row.allowed == nil && (!strings.Contains(audited.String(), "127.0.0.1 (loopback)") || strings.Contains(res.str("error_description"), "127.0.0.1")) {
			t.Errorf("the operator is told %s, the client %s", audited.String(), res.str("error_description"))
		}
	}
}
