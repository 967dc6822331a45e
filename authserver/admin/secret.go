package admin

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/ingam/ingam/storage"
)

const (
	secretBytes    = 32 // 256 bits: a plain SHA-256 at rest is enough (threats C3)
	defaultOverlap = 24 * time.Hour
	maxOverlap     = 90 * 24 * time.Hour
)

// newSecret returns a fresh secret and what is kept of it. base64url, so that it needs no escaping in HTTP Basic
// (RFC 6749 §2.3.1) whatever a client's library makes of that rule.
func newSecret(now time.Time) (secret string, kept storage.ClientSecret) {
	random := make([]byte, secretBytes)
	_, _ = rand.Read(random) // never fails: it would end the process
	secret = base64.RawURLEncoding.EncodeToString(random)
	digest := sha256.Sum256([]byte(secret))
	return secret, storage.ClientSecret{Hash: digest[:], CreatedAt: now}
}

// liveSecrets leaves out those that have expired.
func liveSecrets(all []storage.ClientSecret, now time.Time) []storage.ClientSecret {
	return slices.DeleteFunc(slices.Clone(all), func(s storage.ClientSecret) bool {
		return !s.ExpiresAt.IsZero() && !now.Before(s.ExpiresAt)
	})
}

// rotateSecrets puts fresh in front of the secrets of a client and lets the one so far live on for the overlap
// (threats C9). While an older secret still lives from the rotation before, another overlap would need a third, or
// would break the promise made to the second: it is refused. An overlap of 0 ends every older secret now, for a
// secret that has leaked.
func rotateSecrets(
	all []storage.ClientSecret, fresh storage.ClientSecret, overlap time.Duration, now time.Time,
) ([]storage.ClientSecret, error) {
	if overlap == 0 {
		return []storage.ClientSecret{fresh}, nil
	}
	live := liveSecrets(all, now)
	if len(live) >= maxSecrets {
		oldest := live[len(live)-1].ExpiresAt
		return nil, &failure{
			status: http.StatusConflict, code: CodeConflict,
			description: fmt.Sprintf("the client has two live secrets already; the older one ends at %s: rotate after that, "+
				"or with overlap 0s, which ends both at once", oldest.UTC().Format(time.RFC3339)),
		}
	}
	for i := range live {
		if end := now.Add(overlap); live[i].ExpiresAt.IsZero() || end.Before(live[i].ExpiresAt) {
			live[i].ExpiresAt = end
		}
	}
	return append([]storage.ClientSecret{fresh}, live...), nil
}

// overlap reads the duration of a rotation's body.
func (r Rotation) overlap() (time.Duration, error) {
	if r.Overlap == "" {
		return defaultOverlap, nil
	}
	d, err := time.ParseDuration(r.Overlap)
	if err != nil || d < 0 || d > maxOverlap {
		return 0, invalid("overlap: %q is not a duration from 0s to %s, like 1h", r.Overlap, maxOverlap)
	}
	return d, nil
}
