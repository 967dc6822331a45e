package credential

import (
	"strings"
	"testing"
)

// L13, ASVS 5.0 §6.2.4: at least the 3,000 most common passwords are refused, in whatever case.
func TestThePasswordsThatEverybodyTriesFirstAreRefused(t *testing.T) {
	if n := len(commonSet()); n < 3000 {
		t.Fatalf("%d passwords in the list", n)
	}
	for line := range strings.Lines(commonPasswords) {
		word := strings.TrimSuffix(line, "\n")
		if len(word) < MinPasswordLength {
			t.Errorf("%q is refused by another rule already", word)
		}
		if CheckPassword(word, "alice") == nil || CheckPassword(strings.ToUpper(word), "alice") == nil {
			t.Errorf("%q is not refused", word)
		}
	}
	if err := CheckPassword("correct horse battery", "alice"); err != nil {
		t.Error(err)
	}
}
