package resource

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

//go:generate go test -run ^(TestTokenVectorsAreUpToDate|TestEveryKeySetKeepsWhatItShould)$ -update .

var update = flag.Bool("update", false, "sign testdata/tokens.json anew")

const (
	vectorsFile  = "testdata/tokens.json"
	testIssuer   = "https://id.example.com"
	testAudience = "https://api.example.com"
)

// testNow is the moment at which the tokens of the vectors are judged.
var testNow = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// vectorFile is testdata/tokens.json: what any verifier of our access tokens has to
// accept and to refuse, row by row of the threat list.
type vectorFile struct {
	About    string          `json:"about"`
	Now      time.Time       `json:"now"`
	Issuer   string          `json:"issuer"`
	Audience []string        `json:"audience"`
	JWKS     json.RawMessage `json:"jwks"`
	Vectors  []vector        `json:"vectors"`
}

type vector struct {
	Row        string   `json:"row"`
	Name       string   `json:"name"`
	Algorithms []string `json:"algorithms,omitempty"` // of the verifier; RS256 if absent
	Token      string   `json:"token,omitempty"`
	Repeat     *repeat  `json:"repeat,omitempty"` // instead of a token too long to print
	Recipe     string   `json:"recipe,omitempty"` // for rows about key sets: what Test does
	Test       string   `json:"test,omitempty"`
	Status     int      `json:"status"` // of the answer to a request with this token
	Reason     string   `json:"reason,omitempty"`
}

// repeat stands for Before, then Unit N times, then After.
type repeat struct {
	Before string `json:"before,omitempty"`
	Unit   string `json:"unit"`
	N      int    `json:"n"`
	After  string `json:"after,omitempty"`
}

func (v vector) token() string {
	if r := v.Repeat; r != nil {
		return r.Before + strings.Repeat(r.Unit, r.N) + r.After
	}
	return v.Token
}

func loadVectors(t testing.TB) vectorFile {
	t.Helper()
	data, err := os.ReadFile(vectorsFile)
	if err != nil {
		t.Fatal(err)
	}
	var f vectorFile
	if err := json.Unmarshal(data, &f); err != nil {
		t.Fatal(err)
	}
	if len(f.Vectors) < 120 {
		t.Fatalf("%s has %d vectors, want at least 120", vectorsFile, len(f.Vectors))
	}
	return f
}

// countingKeys counts how often the verifier asks for a key.
type countingKeys struct {
	KeySet
	asked atomic.Int32
}

func (c *countingKeys) Key(ctx context.Context, kid string) (*jose.JSONWebKey, error) {
	c.asked.Add(1)
	return c.KeySet.Key(ctx, kid)
}

// vectorVerifier returns a verifier of the file's world, and the count of its questions.
func vectorVerifier(t testing.TB, f vectorFile, algorithms []string) (*Verifier, *countingKeys) {
	t.Helper()
	keys, err := NewStaticKeySet(f.JWKS, supportedAlgorithms...)
	if err != nil {
		t.Fatal(err)
	}
	counting := &countingKeys{KeySet: keys}
	v, err := New(Config{Issuer: f.Issuer, Audience: f.Audience, Algorithms: algorithms, Keys: counting})
	if err != nil {
		t.Fatal(err)
	}
	v.now = func() time.Time { return f.Now }
	return v, counting
}

// reasonsAfterKey are those for which the verifier has to ask for a key. For all
// others it must not: whatever such a token says, it can cause no fetch.
var reasonsAfterKey = []*InvalidTokenError{
	errUnknownKey, errKeyMismatch, errSignature, errUTF8, errClaimsJSON, errClaimRepeated, errClaimType,
	errClaimMissing, errBound, errIssuer, errAudience, errExpired, errNotYetValid, errIssuedLater, errLifetime, errScope,
}

func TestEveryVectorGetsItsAnswer(t *testing.T) {
	f := loadVectors(t)
	for _, vec := range f.Vectors {
		if vec.Test != "" {
			continue
		}
		t.Run(vec.Row+" "+vec.Name, func(t *testing.T) {
			v, keys := vectorVerifier(t, f, vec.Algorithms)
			token := vec.token()
			got, err := v.Verify(t.Context(), token)
			if vec.Status == http.StatusOK {
				if err != nil {
					t.Fatalf("got %v, want the token accepted", err)
				}
				agreesWithGoJose(t, f, token, got)
			} else {
				var invalid *InvalidTokenError
				if got != nil || !errors.Is(err, ErrInvalidToken) || !errors.As(err, &invalid) {
					t.Fatalf("got %v, %v; want an invalid token", got, err)
				}
				if invalid.Reason != vec.Reason {
					t.Errorf("got reason %q, want %q", invalid.Reason, vec.Reason)
				}
				late := slices.ContainsFunc(reasonsAfterKey, func(e *InvalidTokenError) bool { return e.Reason == vec.Reason })
				if asked := keys.asked.Load() > 0; asked != late && vec.Reason != errBase64.Reason {
					t.Errorf("asked for a key: %v, want %v", asked, late)
				}
			}
			if got := statusOf(v, token); got != vec.Status {
				t.Errorf("got status %d, want %d", got, vec.Status)
			}
		})
	}
}

// statusOf returns the status of a request that bears token.
func statusOf(v *Verifier, token string) int {
	h := v.Require()(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

// agreesWithGoJose checks an accepted token with a second verifier: it has to find
// the signature good and read the same claims.
func agreesWithGoJose(t *testing.T, f vectorFile, token string, got *AccessToken) {
	t.Helper()
	var algs []jose.SignatureAlgorithm
	for _, alg := range supportedAlgorithms {
		algs = append(algs, jose.SignatureAlgorithm(alg))
	}
	parsed, err := jwt.ParseSigned(token, algs)
	if err != nil {
		t.Fatalf("go-jose: %v", err)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(f.JWKS, &set); err != nil {
		t.Fatal(err)
	}
	var want jwt.Claims
	if err := parsed.Claims(&set, &want); err != nil {
		t.Fatalf("go-jose: %v", err)
	}
	if got.Issuer != want.Issuer || got.Subject != want.Subject || got.ID != want.ID ||
		!slices.Equal(got.Audience, want.Audience) || got.ExpiresAt.Unix() != want.Expiry.Time().Unix() {
		t.Errorf("got %+v, go-jose says %+v", got, want)
	}
}

func TestEveryRowOfTheThreatListHasVectors(t *testing.T) {
	counts := make(map[string]int)
	accepted := 0
	for _, vec := range loadVectors(t).Vectors {
		counts[vec.Row]++
		if vec.Status == http.StatusOK {
			accepted++
		}
	}
	for _, row := range strings.Fields("J1 J2 J3 J4 J5 J6 J7 J8 J9 J10 J11 J12 J13 J14 J15 J16 J17 J18 J19 J20 J21 " +
		"J22 J23 J24 J25 J26 J27") {
		if counts[row] == 0 {
			t.Errorf("row %s has no vector", row)
		}
	}
	if accepted < 20 {
		t.Errorf("got %d accepted vectors, want at least 20 for the rest to differ from", accepted)
	}
}

func TestRecipesNameTestsThatExist(t *testing.T) {
	var source strings.Builder
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file.Name(), "_test.go") {
			data, err := os.ReadFile(file.Name())
			if err != nil {
				t.Fatal(err)
			}
			source.Write(data)
		}
	}
	for _, vec := range loadVectors(t).Vectors {
		if vec.Test == "" {
			continue
		}
		if !regexp.MustCompile(`(?m)^func ` + regexp.QuoteMeta(vec.Test) + `\(`).MatchString(source.String()) {
			t.Errorf("%s %s: there is no %s", vec.Row, vec.Name, vec.Test)
		}
	}
}

// TestTokenVectorsAreUpToDate compares the rows of the file with those of the
// generator, all but the tokens: some algorithms sign differently each time. With
// -update it writes the file.
func TestTokenVectorsAreUpToDate(t *testing.T) {
	if *update {
		if _, err := os.Stat(testKeysFile); errors.Is(err, os.ErrNotExist) {
			if err := os.WriteFile(testKeysFile, newTestKeys(t), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := vectorFile{
		About: "Access tokens and what a resource server has to answer at the moment `now`. The keys are test-only: " +
			"their private halves are in test-only-keys.json. Made by `go generate ./resource`.",
		Now:      testNow,
		Issuer:   testIssuer,
		Audience: []string{testAudience},
		JWKS:     publicJWKS(t, allTestKids...),
		Vectors:  makeVectors(t),
	}
	if *update {
		data, err := json.MarshalIndent(want, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(vectorsFile, append(data, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got := loadVectors(t)
	if len(got.Vectors) != len(want.Vectors) {
		t.Fatalf("got %d vectors, the generator makes %d; run go generate", len(got.Vectors), len(want.Vectors))
	}
	seen := make(map[string]bool)
	for i, g := range got.Vectors {
		w := want.Vectors[i]
		if g.Row != w.Row || g.Name != w.Name || g.Status != w.Status || g.Reason != w.Reason || g.Test != w.Test {
			t.Errorf("got %s %q %d %q, the generator makes %s %q %d %q; run go generate",
				g.Row, g.Name, g.Status, g.Reason, w.Row, w.Name, w.Status, w.Reason)
		}
		if seen[g.Row+g.Name] {
			t.Errorf("%s %q is there twice", g.Row, g.Name)
		}
		seen[g.Row+g.Name] = true
	}
}
