package credential

import (
	"errors"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

const (
	maxBcryptCost  = 14 // 2^14 rounds
	bcryptLength   = 60 // $2b$12$, 22 characters of salt, 31 of hash
	bcryptReads    = 72 // bytes of the password
	bcryptAlphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
)

// bcryptHash is $2b$12$… as it was stored. The letters a, b and y tell which bugs its maker did not have; to a correct
// implementation they are the same.
type bcryptHash string

// matches does the work for every password, and lets only those match that bcrypt reads whole; see CheckHash.
func (h bcryptHash) matches(password string) (bool, error) {
	whole := len(password) <= bcryptReads && !strings.Contains(password, "\x00")
	err := bcrypt.CompareHashAndPassword([]byte(h), []byte(password[:min(len(password), bcryptReads)]))
	if errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
		return false, nil
	}
	return err == nil && whole, err
}

func (bcryptHash) current(Params) bool { return false }

func (bcryptHash) scheme() string { return "bcrypt" }

// parseBcrypt reads a string whose prefix was recognized already.
func parseBcrypt(phc string) (storedHash, error) {
	if len(phc) != bcryptLength || phc[6] != '$' {
		return nil, errors.New("bcrypt must look like $2b$12$ and 53 characters, 60 in all")
	}
	cost := strings.TrimPrefix(phc[4:6], "0") // two digits on paper: 04 to 31
	if _, err := number("bcrypt cost", cost, bcrypt.MinCost, maxBcryptCost); err != nil {
		return nil, err
	}
	if strings.Trim(phc[7:], bcryptAlphabet) != "" {
		return nil, errors.New("bcrypt salt and hash must be of the characters ./A-Za-z0-9")
	}
	return bcryptHash(phc), nil
}
