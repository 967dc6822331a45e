package credential

import (
	"strings"
	"sync"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestEverySpellingOfAUsernameIsOne(t *testing.T) { // row L6
	for want, spellings := range map[string][]string{
		"alice":             {"alice", "Alice", "ALICE", "aLiCe", "Ａｌｉｃｅ"},
		"alice@example.com": {"Alice@Example.COM", "alice＠example.com"},
		"zoë":               {"zoë", "ZOË", "zoe\u0308", "ZOE\u0308"},
		"åke":               {"åke", "\u212bke", "A\u030aKE"}, // the sign of the unit Ångström
		"ольга":             {"Ольга", "ОЛЬГА"},
		"木村":                {"木村"},
		"a.b-c_d+e":         {"A.B-C_D+E"},
	} {
		for _, s := range spellings {
			if got, err := CanonicalUsername(s); got != want || err != nil {
				t.Errorf("CanonicalUsername(%q) = %q, %v; want %q", s, got, err, want)
			}
		}
	}
}

func TestWhatHasNoCanonicalSpellingIsNoUsername(t *testing.T) { // row L6
	long := strings.Repeat("x", MaxUsernameBytes)
	if got, err := CanonicalUsername(long); got != long || err != nil {
		t.Errorf("%d bytes: %v", len(long), err)
	}
	for _, s := range []string{
		"", long + "x", strings.Repeat("é", 65), strings.Repeat("x", 1<<20),
		"alice bob", " alice", "alice ", "alice\t", "ali\x00ce", "ali\u0085ce", "alice\n", "ali\x7fce",
		"ali\u200bce", "ali\u00adce", "ali\u202ece", "\xff\xfe", "alice\xc3", "ﬁn", "Ⅳ", "😀", "\u00a0",
	} {
		if got, err := CanonicalUsername(s); err == nil || got != "" {
			t.Errorf("CanonicalUsername(%.40q) = %q, want an error", s, got)
		}
	}
}

func TestCanonicalSpellingsAreFoundInParallel(t *testing.T) {
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 200 {
				if got, err := CanonicalUsername("ＺＯE\u0308"); got != "zoë" || err != nil {
					t.Errorf("%q, %v", got, err)
					return
				}
			}
		})
	}
	all.Wait()
}

func FuzzCanonicalUsername(f *testing.F) {
	for _, s := range []string{"alice", "Ａｌｉｃｅ", "zoe\u0308", "ΟΔΥΣΣΕΥΣ", "İstanbul", "ǅ", "ᏸ", "ｶﾞ", "שלום", "a\u0345", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, err := CanonicalUsername(s)
		if err != nil {
			if name != "" {
				t.Errorf("%q: %q beside %v", s, name, err)
			}
			return
		}
		if again, err := CanonicalUsername(name); again != name || err != nil {
			t.Errorf("%q is %q is %q, %v", s, name, again, err)
		}
		if len(name) < 1 || len(name) > MaxUsernameBytes || !utf8.ValidString(name) ||
			strings.ContainsFunc(name, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }) {
			t.Errorf("%q is %q", s, name)
		}
	})
}

func TestANewPasswordIsLongEnoughAndNotTheName(t *testing.T) { // row L13
	for _, c := range []struct{ password, username, want string }{
		{"12345678", "alice", "everybody tries first"},
		{"1234567x", "alice", ""},
		{"1234567", "alice", "at least 8 characters; this one has 7"},
		{"密码密码密码密码", "alice", ""},
		{"密码密码密码密", "alice", "this one has 7"},
		{"        ", "alice", ""},
		{"", "alice", "this one has 0"},
		{strings.Repeat("x", 1024), "alice", ""},
		{strings.Repeat("x", 1025), "alice", "at most 1024 bytes; this one has 1025"},
		{"12345678\xff", "alice", "valid UTF-8"},
		{"alice.smith", "alice.smith", "must not be the username"},
		{"ALICE.Smith", "alice.smith", "must not be the username"},
		{"ａｌｉｃｅ.smith", "alice.smith", "must not be the username"},
		{"alice.smith!", "alice.smith", ""},
	} {
		err := CheckPassword(c.password, c.username)
		if (err == nil) != (c.want == "") || (err != nil && !strings.Contains(err.Error(), c.want)) {
			t.Errorf("CheckPassword(%.20q, %q) = %v, want %q", c.password, c.username, err, c.want)
		}
		if err != nil && c.password != "" && strings.Contains(err.Error(), c.password) {
			t.Errorf("the message has the password in it: %v", err)
		}
	}
}
