package login

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
)

// newEpoch ends all that the user has without removing it, as a new password does.
func newEpoch(t *testing.T, r *rig, id string) {
	t.Helper()
	u, err := r.store.User(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	u.Epoch++
	if err := r.store.ReplaceUser(t.Context(), u); err != nil {
		t.Fatal(err)
	}
}

// L3: a session of another epoch signs nobody in, so it is no place where the person is signed in.
func TestASessionOfAnEndedEpochIsNotListed(t *testing.T) {
	r := newRig(t)
	b, phone := r.browser(), r.browser()
	phone.userAgent = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile Safari/604.1"
	b.mustSignIn("alice", alicePassword)
	phone.mustSignIn("alice", alicePassword)
	wantText(t, b.get("/account"), "Safari on iOS", "Sign out everywhere else")
	newEpoch(t, r, "usr_alice")
	b.mustSignIn("alice", alicePassword)
	page := b.get("/account")
	wantText(t, page, "Firefox on Linux")
	if strings.Contains(page.text, "Safari on iOS") || strings.Contains(page.text, "everywhere else") {
		t.Errorf("the session of before is listed:\n%s", page.text)
	}
}

// A grant of another epoch gives no token, so its app has no access.
func TestAnAppWithAGrantOfAnEndedEpochOnlyIsNotListed(t *testing.T) {
	r := newRig(t)
	b := r.browser()
	before := grantOf("g1", "old-app", "usr_alice", now())
	if err := r.store.CreateGrant(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	b.mustSignIn("alice", alicePassword)
	wantText(t, b.get("/account"), "old-app")
	newEpoch(t, r, "usr_alice")
	after := grantOf("g2", "new-app", "usr_alice", now())
	after.UserEpoch = 2
	if err := r.store.CreateGrant(t.Context(), after); err != nil {
		t.Fatal(err)
	}
	b.mustSignIn("alice", alicePassword)
	page := b.get("/account")
	wantText(t, page, "new-app")
	if strings.Contains(page.text, "old-app") {
		t.Errorf("an app without access is listed:\n%s", page.text)
	}
}

// sessionAt stores a session of alice that was last used at a time.
func sessionAt(t *testing.T, r *rig, id, userAgent string, seen time.Time) {
	t.Helper()
	err := r.pages.sessions.Create(t.Context(), storage.Session{
		ID: id, UserID: "usr_alice", UserEpoch: 1, SecretHash: []byte("hash"), UserAgent: userAgent, AuthTime: seen, BornAt: seen, SeenAt: seen,
		IdleExpiresAt: seen.Add(time.Hour), ExpiresAt: seen.Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestTheSessionsThatWereUsedLastAreShownHoweverManyThereAre(t *testing.T) {
	r := newRig(t)
	b := r.browser()
	b.mustSignIn("alice", alicePassword)
	for i := range maxListed {
		sessionAt(t, r, fmt.Sprint("old-", i), "curl/8", now().Add(-time.Duration(i+1)*time.Second))
	}
	sessionAt(t, r, "late", "Whale/4", now().Add(time.Second)) // it ends last, so the store names it last
	page := b.get("/account")
	current, late, old := strings.Index(page.text, "Firefox on Linux"), strings.Index(page.text, "Whale"), strings.Index(page.text, "curl")
	if current < 0 || late < current || old < late {
		t.Errorf("this browser at %d, the one used last at %d, the others from %d", current, late, old)
	}
	if n := strings.Count(page.text, `action="/account/sessions/end"`); n != maxListed {
		t.Errorf("%d sessions are shown, want %d", n, maxListed)
	}
	if strings.Contains(page.text, fmt.Sprintf(`value="old-%d"`, maxListed-1)) || !strings.Contains(page.text, `value="old-0"`) {
		t.Error("what was used last does not come first")
	}
}

// WCAG 2.2, 2.4.6: who hears only the buttons can tell them apart.
func TestTheButtonsOfAlikeDevicesHaveDifferentNames(t *testing.T) {
	r := newRig(t)
	b := r.browser()
	b.mustSignIn("alice", alicePassword)
	for i := range 3 {
		sessionAt(t, r, fmt.Sprint("s", i), b.userAgent, now().Add(-time.Duration(i+1)*time.Minute))
	}
	text := b.get("/account").text
	names := map[string]bool{}
	for _, button := range regexp.MustCompile(`<button class="small" id="(end-\d+)" aria-labelledby="([^"]+)">`).FindAllStringSubmatch(text, -1) {
		name := ""
		for _, id := range strings.Fields(button[2]) {
			found := regexp.MustCompile(`(?s) id="`+id+`"[^>]*>(.*?)</(?:strong|span|button)>`).FindAllStringSubmatch(text, -1)
			if len(found) != 1 {
				t.Fatalf("%d elements %s", len(found), id)
			}
			name += found[0][1] + " "
		}
		if !strings.HasPrefix(name, "Sign out Firefox on Linux ") {
			t.Errorf("a button is named %q", name)
		}
		names[name] = true
	}
	if len(names) != 4 {
		t.Errorf("names %v", names)
	}
}
