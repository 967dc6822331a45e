package oauth

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func tokensOf(secrets ...string) *refreshTokens {
	return &refreshTokens{secrets: func() (all [][]byte) {
		for _, s := range secrets {
			all = append(all, []byte(s))
		}
		return all
	}}
}

// What is out in the world must be readable by every later version. The vector was made by another program (Python).
func TestTheFormOfARefreshTokenDoesNotChange(t *testing.T) {
	const issued = "rt_GRANT.7.LB7StxxVG6DR2Wh7lw4LA1F9L04HK_OJQi6x33ctm1I"
	if got := derive([]byte("secret"), "GRANT", 7, []byte("nonce")); got != issued {
		t.Errorf("derived %s, issued were tokens like %s", got, issued)
	}
	parsed, ok := tokensOf("secret").parse(issued)
	if !ok || parsed.grantID != "GRANT" || parsed.generation != 7 || !parsed.belongsTo([]byte("nonce")) {
		t.Errorf("parsed %+v, %v", parsed, ok)
	}
}

// R7: and what is not exactly the token is no token: every other byte in every place, every prefix, every insertion.
func TestEveryMutationOfARefreshTokenIsRefused(t *testing.T) {
	tokens, nonce := tokensOf("secret"), []byte("nonce")
	token := derive([]byte("secret"), "GRANT", 7, nonce)
	accepted := func(s string) bool {
		parsed, ok := tokens.parse(s)
		return ok && parsed.belongsTo(nonce)
	}
	if !accepted(token) {
		t.Fatal("the token itself is refused")
	}
	for i := range token {
		if accepted(token[:i]) || accepted(token[:i]+token[i+1:]) {
			t.Errorf("accepted without byte %d", i)
		}
		for b := range 256 {
			if byte(b) != token[i] && accepted(token[:i]+string([]byte{byte(b)})+token[i+1:]) {
				t.Errorf("accepted with %#x in place of byte %d", b, i)
			}
			if accepted(token[:i]+string([]byte{byte(b)})+token[i:]) || accepted(token+string([]byte{byte(b)})) {
				t.Errorf("accepted with %#x before byte %d or at the end", b, i)
			}
		}
	}
}

// R7; 1B-9: one token has one spelling.
func TestOtherSpellingsOfARefreshTokenAreRefused(t *testing.T) {
	secret := []byte("secret")
	mac := func(generation uint64) string { return strings.Split(derive(secret, "GRANT", generation, nil), ".")[2] }
	raw, err := base64.RawURLEncoding.DecodeString(mac(1))
	must(t, err)
	if _, ok := tokensOf("secret").parse("rt_GRANT.1." + mac(1)); !ok {
		t.Fatal("the canonical spelling is refused")
	}
	last := mac(1)[len(mac(1))-1]
	sloppy := mac(1)[:len(mac(1))-1] + string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[index(last)|3])
	if sloppy == mac(1) {
		sloppy = mac(1)[:len(mac(1))-1] + "B"
	}
	for _, other := range []string{
		"rt_GRANT.01." + mac(1), "rt_GRANT.+1." + mac(1), "rt_GRANT.-1." + mac(1), "rt_GRANT. 1." + mac(1), "rt_GRANT.1 ." + mac(1), "rt_GRANT.1.0." + mac(1),
		"rt_GRANT.0x1." + mac(1), "rt_GRANT.1e0." + mac(1), "rt_GRANT.1_0." + mac(10), "rt_GRANT.18446744073709551617." + mac(1), "rt_GRANT.." + mac(0),
		"rt_GRANT.1." + mac(1) + "=", "rt_GRANT.1." + mac(1) + "\n", "rt_GRANT.1." + mac(1)[:9] + "\r\n" + mac(1)[9:], "rt_GRANT.1." + sloppy,
		"rt_GRANT.1." + base64.StdEncoding.EncodeToString(raw), "rt_GRANT.1." + fmt.Sprintf("%x", raw), "GRANT.1." + mac(1), "RT_GRANT.1." + mac(1),
		"rt_rt_GRANT.1." + mac(1), " rt_GRANT.1." + mac(1), "rt_grant.1." + mac(1), "rt_.1." + mac(1), "rt_GRANT.1", "rt_GRANT", "rt_", "", "rt_GRANT.1.",
		"rt_GRANT.1." + mac(1)[:22], "rt_GRANT.1." + base64.RawURLEncoding.EncodeToString(append(bytes.Clone(raw), 0)),
		"rt_" + strings.Repeat("G", 300) + ".1." + strings.Split(derive(secret, strings.Repeat("G", 300), 1, nil), ".")[2],
	} {
		if _, ok := tokensOf("secret").parse(other); ok {
			t.Errorf("%q is accepted", other)
		}
	}
}

func index(b byte) int {
	return strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", b)
}

// Parts cannot be shifted into one another, and nothing of the MAC is shared between what it protects.
func TestEachPartOfARefreshTokenChangesTheWholeMAC(t *testing.T) {
	seen := map[string]string{}
	for _, secret := range []string{"s", "secret"} {
		for _, grant := range []string{"A", "AB", "B", ""} {
			for _, generation := range []uint64{0, 1, 256, 1 << 63} {
				for _, nonce := range []string{"", "B", "BB"} {
					what := fmt.Sprintf("%q %q %d %q", secret, grant, generation, nonce)
					h, l := head([]byte(secret), grant, generation), tail([]byte(secret), grant, generation, []byte(nonce))
					for half, b := range map[string][]byte{"tail": l, "head": h} {
						if half == "head" && nonce != "" {
							continue // the head does not know it
						}
						if other, twice := seen[string(b)]; twice {
							t.Errorf("%s of %s is that of %s", half, what, other)
						}
						seen[string(b)] = half + " " + what
					}
				}
			}
		}
	}
}

// R7; 1B-7: a forged token asks the store for the client and nothing else; who has the server's secret but not the
// record's nonce gets no further than reading it.
func TestAForgedRefreshTokenTouchesNoGrant(t *testing.T) {
	r := newRig(t)
	first := want(t, r.signIn("cli"), http.StatusOK, "").str("refresh_token")
	second := want(t, r.refresh("cli", first), http.StatusOK, "").str("refresh_token")
	r.store.reset("")
	for i := len(refreshPrefix); i < len(first); i++ {
		flipped := []byte(first)
		flipped[i] ^= 1
		want(t, r.refresh("cli", string(flipped)), http.StatusBadRequest, "invalid_grant")
		if i < len(first)-22 && len(r.store.verbs) > 0 { // what is left of the second half
			t.Fatalf("byte %d: the store was asked for %v", i, r.store.verbs)
		}
		for _, verb := range r.store.verbs {
			if verb != "RecallGrant" {
				t.Fatalf("byte %d: %v", i, r.store.verbs)
			}
		}
	}
	grant := strings.Split(strings.TrimPrefix(first, refreshPrefix), ".")[0]
	for _, generation := range []uint64{0, 1, 2, 3, 99} { // current, used, future
		forged := derive([]byte("secret"), grant, generation, []byte("another nonce"))
		want(t, r.refresh("cli", forged), http.StatusBadRequest, "invalid_grant")
	}
	want(t, r.refresh("cli", second), http.StatusOK, "")
}

// A secret that was replaced is accepted as long as it is kept, and a retry across the replacement gets the same bytes.
func TestTokensOutliveTheReplacementOfTheServersSecret(t *testing.T) {
	r := newRig(t)
	first := want(t, r.signIn("cli"), http.StatusOK, "").str("refresh_token")
	second := want(t, r.refresh("cli", first), http.StatusOK, "").str("refresh_token")
	r.keys.setSecrets("new", "secret")
	if again := r.refresh("cli", first).str("refresh_token"); again != second {
		t.Error("the retry got another successor")
	}
	third := want(t, r.refresh("cli", second), http.StatusOK, "").str("refresh_token")
	fresh := want(t, r.signIn("cli"), http.StatusOK, "").str("refresh_token")
	r.keys.setSecrets("new")
	want(t, r.refresh("cli", third), http.StatusBadRequest, "invalid_grant")
	want(t, r.refresh("cli", fresh), http.StatusOK, "")
}

// R7: whatever parses is spelled as derive spells it.
func FuzzARefreshTokenHasOneSpelling(f *testing.F) {
	secret := []byte("secret")
	token := derive(secret, "GRANT", 7, []byte("nonce"))
	for _, seed := range []string{
		token, token[3:], token + "=", token + "\n", strings.Replace(token, ".7.", ".07.", 1), strings.Replace(token, ".7.", ".+7.", 1),
		token[:20] + "\r\n" + token[20:], strings.ToUpper(token), "rt_..", "rt_.0.", "", "rt_GRANT.7." + strings.Repeat("A", 43),
	} {
		f.Add(seed)
	}
	tokens := tokensOf("secret", "older")
	f.Fuzz(func(t *testing.T, s string) {
		parsed, ok := tokens.parse(s)
		if !ok {
			return
		}
		mac := append(head(parsed.secret, parsed.grantID, parsed.generation), parsed.tail...)
		if again := fmt.Sprintf("rt_%s.%d.%s", parsed.grantID, parsed.generation, base64.RawURLEncoding.EncodeToString(mac)); again != s {
			t.Errorf("%q is accepted for %q", s, again)
		}
	})
}
