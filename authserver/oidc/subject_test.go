package oidc

import (
	"regexp"
	"testing"

	"github.com/ingam/ingam/storage"
)

// OIDC Core §8.1: the same within a sector, different between sectors and between users, and not the id of the user.
func TestPairwiseNamesBelongToASector(t *testing.T) {
	s := Subjects{Keys: secrets{"only"}}
	sub := func(c storage.Client, user string) string {
		c.Pairwise = true
		return s.Subject(c, user)
	}
	a := storage.Client{ID: "a", RedirectURIs: []string{"https://example.test/a", "https://EXAMPLE.test:8443/b"}}
	b := storage.Client{ID: "b", Sector: "example.test", RedirectURIs: []string{"https://b.test/cb"}}
	c := storage.Client{ID: "c", RedirectURIs: []string{"https://c.test/cb"}}
	if sub(a, "usr_1") != sub(b, "usr_1") {
		t.Error("one sector, two names")
	}
	if sub(a, "usr_1") == sub(c, "usr_1") || sub(a, "usr_1") == sub(a, "usr_2") {
		t.Error("one name for two")
	}
	if !regexp.MustCompile(`^usr_[a-z2-7]{26}$`).MatchString(sub(a, "usr_1")) {
		t.Errorf("got %s", sub(a, "usr_1"))
	}
	if s.Subject(a, "usr_1") != "usr_1" {
		t.Error("a client that is not pairwise knows the user by id")
	}
}

func TestAClientWithoutOneHostIsASectorOfItsOwn(t *testing.T) {
	for name, c := range map[string]struct {
		client storage.Client
		want   string
	}{
		"one host":           {storage.Client{ID: "a", RedirectURIs: []string{"https://one.test/x", "https://one.test/y"}}, "one.test"},
		"registered":         {storage.Client{ID: "a", Sector: "Two.test", RedirectURIs: []string{"https://one.test/x"}}, "two.test"},
		"two hosts":          {storage.Client{ID: "a", RedirectURIs: []string{"https://one.test/x", "https://two.test/y", "https://one.test/"}}, "client:a"},
		"scheme of an app":   {storage.Client{ID: "a", RedirectURIs: []string{"com.example.app:/cb"}}, "client:a"},
		"loopback":           {storage.Client{ID: "a", RedirectURIs: []string{"http://127.0.0.1/cb"}}, "client:a"},
		"loopback, IPv6":     {storage.Client{ID: "a", RedirectURIs: []string{"http://[::1]/cb"}}, "client:a"},
		"loopback, by name":  {storage.Client{ID: "a", RedirectURIs: []string{"http://localhost:8082/cb"}}, "client:a"},
		"no redirect at all": {storage.Client{ID: "a"}, "client:a"},
	} {
		if got := Sector(c.client); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestNamesOutliveTheRotationOfSecrets(t *testing.T) {
	before, after := Subjects{Keys: secrets{"old"}}, Subjects{Keys: secrets{"new", "old"}}
	c := storage.Client{ID: "web", Pairwise: true}
	if before.Subject(c, "usr_1") != after.Subject(c, "usr_1") || before.SID("ses_1", "web") != after.SID("ses_1", "web") {
		t.Error("a rotation has renamed users or sessions")
	}
	if other := (Subjects{Keys: secrets{"foreign"}}); other.Subject(c, "usr_1") == after.Subject(c, "usr_1") {
		t.Error("names do not depend on the secret")
	}
}

func TestPartsOfAMACDoNotRunIntoEachOther(t *testing.T) {
	if string(mac([]byte("k"), "ab", "c")) == string(mac([]byte("k"), "a", "bc")) {
		t.Error("two lists of parts have one MAC")
	}
}
