package oauth

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/go-jose/go-jose/v4/json"
)

// jwtClaims are the claims of a JWT that a client made (RFC 7519 §4), not read yet.
type jwtClaims map[string]json.RawMessage

// readClaims reads a payload. This decoder minds upper and lower case in names and refuses a name that comes twice.
func readClaims(payload []byte) (jwtClaims, error) {
	var claims jwtClaims
	if err := json.Unmarshal(payload, &claims); err != nil || claims == nil {
		return nil, errors.New("its payload is not a JSON object with each name once")
	}
	return claims, nil
}

// text answers a claim that is a string, "" if there is none.
func (c jwtClaims) text(name string) (string, error) {
	raw, has := c[name]
	if !has {
		return "", nil
	}
	var value *string
	if err := json.Unmarshal(raw, &value); err != nil || value == nil {
		return "", fmt.Errorf("its %s is not a string", name)
	}
	return *value, nil
}

// list answers a claim that is a string or an array of them (RFC 7519 §4.1.3), nil if there is none.
func (c jwtClaims) list(name string) ([]string, error) {
	raw, has := c[name]
	if !has {
		return nil, nil
	}
	var values []*string
	if json.Unmarshal(raw, &values) != nil {
		value, err := c.text(name)
		if err != nil {
			return nil, fmt.Errorf("its %s is neither a string nor an array of strings", name)
		}
		return []string{value}, nil
	}
	texts := make([]string, 0, len(values))
	for _, value := range values {
		if value == nil {
			return nil, fmt.Errorf("its %s is neither a string nor an array of strings", name)
		}
		texts = append(texts, *value)
	}
	return texts, nil
}

// time answers a NumericDate (RFC 7519 §2: seconds, fractions allowed), zero if there is none.
func (c jwtClaims) time(name string) (time.Time, error) {
	raw, has := c[name]
	if !has {
		return time.Time{}, nil
	}
	seconds, err := strconv.ParseFloat(string(raw), 64) // JSON has no spelling of NaN or infinity
	// The upper bound is the year 5138; what is beyond would wrap around.
	if err != nil || seconds < 1 || seconds > 1e11 {
		return time.Time{}, fmt.Errorf("its %s is not a time in seconds since 1970", name)
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*1e9)), nil
}

// current checks exp, nbf and iat as far as they are there, with [clockSkew].
func (c jwtClaims) current(now time.Time) error {
	exp, err := c.time("exp")
	if err != nil {
		return err
	}
	// RFC 7519 §4.1.4: not on or after it.
	if !exp.IsZero() && !now.Before(exp.Add(clockSkew)) {
		return errors.New("it has expired (exp)")
	}
	for _, name := range []string{"nbf", "iat"} {
		from, err := c.time(name)
		if err != nil {
			return err
		}
		if from.After(now.Add(clockSkew)) {
			return fmt.Errorf("its time has not come (%s)", name)
		}
	}
	return nil
}
