package oauth

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/storagetest/property"
)

// scoping is how scopes are read and compared: by this package, or by a mutant.
type scoping struct {
	parse     func(param string) ([]string, error)
	within    func(requested, allowed, fallback []string) ([]string, string)
	intersect func(a, b []string) []string
}

var careful = scoping{parse: parseScope, within: within, intersect: intersect}

// T12, A18, R12: RFC 6749 §3.3, §6
func TestNoMoreScopesAreGrantedThanAskedForAndAllowed(t *testing.T) {
	property.Holds(t, property.Count(10_000, 100_000), grantsNoMore(careful))
}

var (
	goodScopes = []string{"openid", "a", "b", "c", "A", "ab", "urn:x/y?z"}
	badScopes  = []string{`a"`, `\b`, "é", "a\tb", "a\x00", "\u00a0", "a\n"}
)

// drawParam draws a scope parameter and tells the tokens in it.
func drawParam(t *rapid.T, from ...string) (param string, tokens []string) {
	if len(from) > 0 {
		tokens = rapid.SliceOfN(rapid.SampledFrom(from), 0, 6).Draw(t, "tokens")
	}
	var b strings.Builder
	for i, token := range tokens {
		b.WriteString(token)
		if i+1 < len(tokens) || rapid.IntRange(0, 9).Draw(t, "trailing space") == 0 {
			b.WriteString(strings.Repeat(" ", rapid.IntRange(1, 2).Draw(t, "spaces")))
		}
	}
	return b.String(), tokens
}

// mostly answers the likely values three times out of four, and else all: most requests should be good ones.
func mostly(t *rapid.T, likely, all []string) []string {
	if rapid.IntRange(0, 3).Draw(t, "unlikely") == 0 {
		return all
	}
	return likely
}

// drawSome draws some of the values, each once, in any order.
func drawSome(t *rapid.T, label string, from ...string) []string {
	if len(from) == 0 {
		return nil
	}
	return rapid.SliceOfNDistinct(rapid.SampledFrom(from), 0, len(from), rapid.ID[string]).Draw(t, label)
}

// grantsNoMore is the property: a parameter is read, held against what is allowed, and cut down to what is still allowed.
func grantsNoMore(as scoping) func(*rapid.T) {
	return func(t *rapid.T) {
		alphabet := goodScopes
		if rapid.IntRange(0, 3).Draw(t, "bad characters") == 0 {
			alphabet = slices.Concat(goodScopes, badScopes)
		}
		param, tokens := drawParam(t, alphabet...)
		if rapid.IntRange(0, 20).Draw(t, "endless") == 0 {
			param += strings.Repeat(" a", maxScopes)
		}
		bad := strings.Count(param, " ") >= maxScopes || slices.ContainsFunc(tokens, func(s string) bool { return slices.Contains(badScopes, s) })
		requested, err := as.parse(param)
		if bad != (err != nil) {
			t.Fatalf("%q is read as %q, %v", param, requested, err)
		}
		if err != nil {
			return
		}
		if once := unique(tokens); !slices.Equal(requested, once) {
			t.Fatalf("%q is read as %q, not %q", param, requested, once)
		}
		allowed := drawSome(t, "allowed", goodScopes...)
		fallback := drawSome(t, "fallback", allowed...)
		granted, refused := as.within(requested, allowed, fallback)
		i := slices.IndexFunc(requested, func(s string) bool { return !slices.Contains(allowed, s) })
		switch {
		case i >= 0 && (refused != requested[i] || len(granted) > 0):
			t.Fatalf("%q of %q: %q are granted, %q is refused, not %q", requested, allowed, granted, refused, requested[i])
		case i < 0 && refused != "":
			t.Fatalf("%q of %q: %q is refused", requested, allowed, refused)
		case i < 0 && len(requested) > 0 && !slices.Equal(granted, requested):
			t.Fatalf("%q of %q: %q are granted", requested, allowed, granted)
		case i < 0 && len(requested) == 0 && !slices.Equal(granted, fallback):
			t.Fatalf("nothing of %q: %q are granted, not %q", allowed, granted, fallback)
		}
		before := slices.Clone(granted)
		registered := drawSome(t, "registered later", goodScopes...)
		left := as.intersect(granted, registered)
		if !slices.Equal(granted, before) {
			t.Fatalf("%q became %q when it was compared", before, granted)
		}
		var kept []string
		for _, s := range granted {
			if slices.Contains(registered, s) {
				kept = append(kept, s)
			}
		}
		if !slices.Equal(left, kept) || !slices.Equal(left, unique(left)) {
			t.Fatalf("%q and %q have %q in common, not %q", granted, registered, kept, left)
		}
	}
}

// unique is each value once, where it came first.
func unique(values []string) (once []string) {
	for i, v := range values {
		if slices.Index(values, v) == i {
			once = append(once, v)
		}
	}
	return once
}

// Each is wrong in one way, and must be found.
func TestWrongScopesAreFound(t *testing.T) {
	for name, wrong := range map[string]func(s *scoping){
		"tokens count twice": func(s *scoping) { s.parse = func(p string) ([]string, error) { return strings.Fields(p), nil } },
		"tokens are sorted":  func(s *scoping) { s.parse = sorted },
		"a tab separates, too": func(s *scoping) {
			s.parse = func(p string) ([]string, error) { return parseScope(strings.ReplaceAll(p, "\t", " ")) }
		},
		"there is no end":                func(s *scoping) { s.parse = endless },
		"case does not matter":           func(s *scoping) { s.parse = func(p string) ([]string, error) { return parseScope(strings.ToLower(p)) } },
		"what is not allowed is granted": func(s *scoping) { s.within = func(r, _, f []string) ([]string, string) { return within(r, r, f) } },
		"what is not allowed is left out": func(s *scoping) {
			s.within = func(r, a, f []string) ([]string, string) { return within(intersect(r, a), a, f) }
		},
		"all that is allowed is granted":     func(s *scoping) { s.within = func(_, a, _ []string) ([]string, string) { return a, "" } },
		"without a wish all is granted":      func(s *scoping) { s.within = func(r, a, _ []string) ([]string, string) { return within(r, a, a) } },
		"a prefix is enough":                 func(s *scoping) { s.within = prefixes },
		"the order is that of the others":    func(s *scoping) { s.intersect = func(a, b []string) []string { return intersect(b, a) } },
		"what was registered later is added": func(s *scoping) { s.intersect = func(a, b []string) []string { return unique(slices.Concat(a, b)) } },
		"what is compared is written to": func(s *scoping) {
			s.intersect = func(a, b []string) []string {
				return slices.DeleteFunc(a, func(s string) bool { return !slices.Contains(b, s) })
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			as := careful
			wrong(&as)
			property.Refuted(t, 10_000, grantsNoMore(as))
		})
	}
}

func sorted(param string) ([]string, error) {
	tokens, err := parseScope(param)
	slices.Sort(tokens)
	return tokens, err
}

func endless(param string) ([]string, error) {
	return parseScope(strings.ReplaceAll(param, strings.Repeat(" a", maxScopes), ""))
}

func prefixes(requested, allowed, fallback []string) ([]string, string) {
	for _, one := range requested {
		for _, other := range allowed {
			if strings.HasPrefix(other, one) {
				allowed = append(slices.Clone(allowed), one)
				break
			}
		}
	}
	return within(requested, allowed, fallback)
}

// A18, R12: the whole way through the token endpoint. A refresh never has a scope that was not granted at the sign-in, or
// for which the client is not registered any more; one that asks for such is refused, and its token is not consumed.
func TestARefreshNeverWidensTheScope(t *testing.T) {
	property.Holds(t, property.Count(1000, 10_000), neverWidens(newRig(t), nil))
}

// neverWidens is the property. tamper, if any, puts something wrong behind the back of the model.
func neverWidens(r *rig, tamper func(*rapid.T, *rig, *storage.Client, *storage.Grant)) func(*rapid.T) {
	clients := 0
	return func(t *rapid.T) {
		clients++
		// Strict rotation: a token that was consumed in spite of a refusal would end the grant.
		c := storage.Client{ID: fmt.Sprint("client", clients), Public: true, GrantTypes: []string{"password", "refresh_token"}, RefreshGrace: new(time.Duration(0))}
		c.Scopes = drawSome(t, "registered", goodScopes...)
		c.DefaultScopes = drawSome(t, "defaults", c.Scopes...)
		must(r.t, r.store.CreateClient(r.t.Context(), c))
		c.Version = 1
		r.store.recalledGrant = nil

		param, tokens := drawParam(t, mostly(t, c.Scopes, goodScopes)...)
		a := r.token("grant_type", "password", "client_id", c.ID, "username", "alice", "password", "x", "scope", param)
		asked := unique(tokens)
		granted, ok := asked, len(intersect(asked, c.Scopes)) == len(asked)
		if len(asked) == 0 {
			granted = c.DefaultScopes
		}
		if r.judge(t, a, ok, granted); !ok {
			return
		}
		atBirth, token := granted, a.str("refresh_token")
		for range rapid.IntRange(1, 4).Draw(t, "refreshes") {
			c.Scopes = drawSome(t, "registered", goodScopes...)
			stored := c
			g := r.grantOf(token)
			if tamper != nil {
				tamper(t, r, &stored, &g)
			}
			must(r.t, r.store.ReplaceClient(r.t.Context(), stored))
			c.Version++
			param, tokens := drawParam(t, mostly(t, atBirth, goodScopes)...)
			a := r.token("grant_type", "refresh_token", "client_id", c.ID, "refresh_token", token, "scope", param)
			asked := unique(tokens)
			if len(asked) == 0 {
				asked = atBirth
			}
			granted := intersect(asked, c.Scopes)
			ok := len(intersect(asked, atBirth)) == len(asked) && (len(granted) > 0 || len(asked) == 0)
			if r.judge(t, a, ok, granted); ok {
				token = a.str("refresh_token")
			}
		}
	}
}

// judge holds an answer against what is due: those scopes in the answer and in the access token, or invalid_scope.
func (r *rig) judge(t *rapid.T, a answer, ok bool, granted []string) {
	if !ok {
		if a.StatusCode != http.StatusBadRequest || a.str("error") != "invalid_scope" {
			t.Fatalf("got %d %v, want invalid_scope", a.StatusCode, a.body)
		}
		return
	}
	if a.StatusCode != http.StatusOK {
		t.Fatalf("got %d %v, want the scopes %q", a.StatusCode, a.body, granted)
	}
	payload, err := r.keys.Verify(a.str("access_token"), "at+jwt")
	must(r.t, err)
	claims := map[string]any{}
	must(r.t, json.Unmarshal(payload, &claims))
	inToken, _ := claims["scope"].(string)
	if scopes := strings.Join(granted, " "); a.str("scope") != scopes || inToken != scopes {
		t.Fatalf("got %v with %q in the token, want the scopes %q", a.body, inToken, scopes)
	}
}

// grantOf is the grant of a refresh token.
func (r *rig) grantOf(token string) storage.Grant {
	parsed, ok := r.Engine.refresh.parse(token)
	if !ok {
		r.t.Fatalf("%q is no refresh token", token)
	}
	g, err := r.store.Store.Grant(r.t.Context(), parsed.grantID)
	must(r.t, err)
	return g
}

// Each of these servers has something else before it than the model, which has to notice.
func TestAServerThatWidensTheScopeIsFound(t *testing.T) {
	for name, tamper := range map[string]func(*rapid.T, *rig, *storage.Client, *storage.Grant){
		"the grant has grown": func(_ *rapid.T, r *rig, _ *storage.Client, g *storage.Grant) {
			g.Scopes = goodScopes
			r.store.recalledGrant = g
		},
		"the client keeps what it was registered for": func(_ *rapid.T, _ *rig, c *storage.Client, _ *storage.Grant) {
			c.Scopes = goodScopes
		},
		"the grant is forgotten": func(_ *rapid.T, _ *rig, c *storage.Client, g *storage.Grant) { c.Scopes = g.Scopes[:0:0] },
		"the token was consumed": func(_ *rapid.T, r *rig, _ *storage.Client, g *storage.Grant) {
			_, _, err := r.store.Store.Rotate(r.t.Context(), storage.Rotation{GrantID: g.ID, Generation: g.Generation, IdleLifetime: time.Hour})
			must(r.t, err)
		},
	} {
		t.Run(name, func(t *testing.T) { property.Refuted(t, 10_000, neverWidens(newRig(t), tamper)) })
	}
}
