package authserver_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
)

const signsURI = "https://signs.example.test/cb"

// object is a request object of the client "signs", changes put in; nil takes a claim out.
func (r *rig) object(changes map[string]any) string {
	r.t.Helper()
	claims := map[string]any{
		"iss": "signs", "aud": issuer, "client_id": "signs", "redirect_uri": signsURI, "response_type": "code", "scope": "openid profile",
		"state": "signed", "code_challenge": challenge(verifier), "code_challenge_method": "S256",
	}
	for name, value := range changes {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
	return r.sign(claims)
}

// signedRequest is the request that has the object.
func signedRequest(object string, pairs ...string) url.Values {
	q := url.Values{"client_id": {"signs"}, "redirect_uri": {signsURI}, "request": {object}}
	for i := 0; i+1 < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	return q
}

// A14, RFC 7519 §4.1.4: exp bounds when a request may come, not how fast the person types. Who brings an object that has
// expired is refused.
func TestARequestObjectThatExpiresWhileThePersonTypesIsAnswered(t *testing.T) {
	bubble(t, func(t testing.TB, r *rig) {
		r.seedSignIn()
		r.seedSigning()
		r.changeClient("signs", func(c *storage.Client) { c.FirstParty = false })
		p := r.person()
		object := r.object(map[string]any{"exp": time.Now().Add(time.Minute).Unix(), "prompt": "login"})
		pg, late := p.authorize(signedRequest(object)), p.authorize(signedRequest(object))
		time.Sleep(5 * time.Minute)
		pg = p.signInAt(pg, "alice", "wonderland")
		if !pg.has("/consent") {
			t.Fatalf("signed in after five minutes: %s", pg.at)
		}
		time.Sleep(4 * time.Minute)
		consented := p.form(pg, "/consent").fields.Get("continue")
		if q := p.atClient(p.allow(pg), signsURI); q.Get("code") == "" || q.Get("state") != "signed" {
			t.Errorf("allowed after nine minutes: %v", q)
		}
		// The bare request is as expired as it is, and what was said for this one says nothing for another.
		p.wantError(p.authorize(signedRequest(object)), signsURI, "invalid_request_object")
		_, seen, _ := strings.Cut(consented, "ingam_seen=")
		seen, _, _ = strings.Cut(seen, "&")
		for name, q := range map[string]url.Values{
			"another object":       signedRequest(r.object(map[string]any{"exp": time.Now().Add(-2 * time.Minute).Unix()}), "ingam_seen", seen),
			"another parameter":    signedRequest(object, "ingam_seen", seen, "nonce", "other"),
			"another time":         signedRequest(object, "ingam_seen", "9"+seen),
			"a time without proof": signedRequest(object, "ingam_seen", strings.Split(seen, ".")[0]),
		} {
			if q := p.wantError(p.authorize(q), signsURI, "invalid_request_object"); q.Has("code") {
				t.Errorf("%s: %v", name, q)
			}
		}
		if pg := p.open(consented); !pg.has("/login") { // prompt=login, and the proof has been used
			t.Errorf("the same address within its time: %s", pg.at)
		}
		time.Sleep(time.Minute)
		p.wantError(p.open(consented), signsURI, "invalid_request_object")
		p.wantError(p.signInAt(late, "alice", "wonderland"), signsURI, "invalid_request_object")
	})
}

// A17: an object that stays good has no end for the person.
func TestAProofForARequestObjectThatIsStillGoodCounts(t *testing.T) {
	bubble(t, func(t testing.TB, r *rig) {
		r.seedSignIn()
		r.seedSigning()
		p := r.person()
		pg := p.authorize(signedRequest(r.object(map[string]any{"exp": time.Now().Add(time.Hour).Unix(), "prompt": "login"})))
		time.Sleep(30 * time.Minute)
		if q := p.atClient(p.signInAt(pg, "alice", "wonderland"), signsURI); q.Get("code") == "" {
			t.Errorf("got %v", q)
		}
	})
}

// A14, OIDC Core §6.1: what stands in the object and beside it is the same in both; RFC 6749 §3.1: and once.
func TestTheResponseTypeBesideARequestObjectIsTheOneInIt(t *testing.T) {
	r := newRig(t).seedSignIn()
	r.seedSigning()
	p := r.person()
	p.signInAt(p.authorize(request("ours", oursURI)), "alice", "wonderland")
	for _, strict := range []bool{false, true} {
		r.changeClient("signs", func(c *storage.Client) { c.RequireSignedRequest = strict })
		object := r.object(nil)
		for name, q := range map[string]url.Values{"the same": signedRequest(object, "response_type", "code"), "none beside it": signedRequest(object)} {
			if q := p.atClient(p.authorize(q), signsURI); q.Get("code") == "" {
				t.Errorf("%s: %v", name, q)
			}
		}
		p.wantError(p.authorize(signedRequest(object, "response_type", "token")), signsURI, "invalid_request")
		p.wantError(p.authorize(signedRequest(r.object(map[string]any{"response_type": "token"}), "response_type", "code")), signsURI, "invalid_request")
		q := p.wantError(p.open("/oauth2/auth?"+signedRequest(object).Encode()+"&request="+object), signsURI, "invalid_request")
		if !strings.Contains(q.Get("error_description"), "'request'") {
			t.Errorf("request twice: %v", q)
		}
		// Only in the object it is enough; only beside it, it is for a client that need not sign.
		q = p.atClient(p.authorize(signedRequest(r.object(map[string]any{"response_type": nil}), "response_type", "code")), signsURI)
		if q.Has("code") == strict {
			t.Errorf("response_type beside the object alone, strict=%v: %v", strict, q)
		}
	}
	r.changeClient("signs", func(c *storage.Client) { c.RequireSignedRequest = false })
	p.wantError(p.open("/oauth2/auth?"+signedRequest(r.object(nil), "state", "1").Encode()+"&state=2"), signsURI, "invalid_request")
}
