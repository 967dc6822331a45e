package credential

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"
)

// MinPasswordLength is the shortest new password, in characters (ASVS 5.0 §6.2.1).
const MinPasswordLength = 8

// MaxUsernameBytes is the longest canonical username, in bytes of UTF-8.
const MaxUsernameBytes = 128

// CanonicalUsername returns the one spelling under which a username is stored, compared and counted, by the profile
// UsernameCaseMapped of RFC 8265 §3.3: full and half width become plain, capitals small, accents composed. "ALICE",
// "Alice" and "Ａｌｉｃｅ" are "alice"; e-mail addresses are fine. The canonical spelling of a canonical spelling is
// itself.
//
// It is an error if there is none: with spaces, control characters, symbols, invalid UTF-8, or a result of no or more
// than MaxUsernameBytes bytes.
func CanonicalUsername(s string) (string, error) {
	const wrong = "a username has 1 to %d bytes of letters, digits and ASCII punctuation, without spaces: this one %s"
	switch {
	case s == "":
		return "", fmt.Errorf(wrong, MaxUsernameBytes, "is empty")
	case len(s) > 4*MaxUsernameBytes: // no spelling of an acceptable name is that long
		return "", fmt.Errorf(wrong, MaxUsernameBytes, "is longer")
	case !utf8.ValidString(s):
		return "", fmt.Errorf(wrong, MaxUsernameBytes, "is not valid UTF-8")
	}
	// The steps of the profile can undo each other, so that one round is not always enough (RFC 8264 §7, end).
	for range 4 {
		once, err := precis.UsernameCaseMapped.String(s)
		if err != nil {
			return "", fmt.Errorf(wrong, MaxUsernameBytes, "has other characters")
		}
		if once != s {
			s = once
			continue
		}
		if s == "" || len(s) > MaxUsernameBytes {
			return "", fmt.Errorf(wrong, MaxUsernameBytes, fmt.Sprintf("comes to %d", len(s)))
		}
		return s, nil
	}
	return "", fmt.Errorf(wrong, MaxUsernameBytes, "has no stable spelling")
}

// CheckPassword tells whether a user may have this new password: MinPasswordLength characters, at most
// MaxPasswordBytes bytes, valid UTF-8, not the username, and none of those that are tried first ([IsCommon]). There are no
// rules about kinds of characters: they make passwords harder to remember, not to guess (NIST SP 800-63B-4 §3.1.1.2). The
// message is meant for the person and does not contain the password.
func CheckPassword(password, username string) error {
	switch {
	case !utf8.ValidString(password):
		return errors.New("the password must be valid UTF-8")
	case len(password) > MaxPasswordBytes:
		return fmt.Errorf("the password must have at most %d bytes; this one has %d", MaxPasswordBytes, len(password))
	case utf8.RuneCountInString(password) < MinPasswordLength:
		return fmt.Errorf("the password must have at least %d characters; this one has %d",
			MinPasswordLength, utf8.RuneCountInString(password))
	case sameName(password, username):
		return errors.New("the password must not be the username")
	case IsCommon(password):
		return errors.New("the password is one of those that everybody tries first; choose one that is yours alone")
	}
	return nil
}

func sameName(password, username string) bool {
	if strings.EqualFold(password, username) {
		return true
	}
	a, errA := CanonicalUsername(password)
	b, errB := CanonicalUsername(username)
	return errA == nil && errB == nil && a == b
}
