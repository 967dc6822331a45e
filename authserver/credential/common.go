package credential

import (
	_ "embed"
	"strings"
	"sync"
)

// commonPasswords are 4,000 passwords that people choose most, of at least MinPasswordLength characters, in small
// letters, the most common first. They come from the list of @zxcvbn-ts/language-common 4.1.3; its licence is beside them.
//
//go:embed passwords/common.txt
var commonPasswords string

var commonSet = sync.OnceValue(func() map[string]bool {
	set := make(map[string]bool, 4000)
	for line := range strings.Lines(commonPasswords) {
		set[strings.TrimSuffix(line, "\n")] = true
	}
	return set
})

// IsCommon tells whether a password is one of those that are tried first (ASVS 5.0 §6.2.4, row L13), in whatever case.
func IsCommon(password string) bool { return commonSet()[strings.ToLower(password)] }
