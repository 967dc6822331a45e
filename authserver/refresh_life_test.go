package authserver_test

import (
	"context"
	"testing"
	"time"

	"github.com/ingam/ingam/authserver"
	"github.com/ingam/ingam/keys"
	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/memory"
)

func lifetimes(idle, absolute time.Duration) option {
	return func(c *authserver.Config, _ *authserver.Dependencies) {
		c.RefreshIdleLifetime, c.RefreshAbsoluteLifetime = idle, absolute
	}
}

// R13
func TestAnUnusedTokenExpires(t *testing.T) {
	for unused, live := range map[time.Duration]bool{time.Hour - time.Millisecond: true, time.Hour: false} {
		onRefresh(t, func(t testing.TB, r *rig) {
			first := r.signInAt("cli")
			time.Sleep(40 * time.Minute)
			second := r.wantLive(first) // idleness is counted from here
			time.Sleep(unused)
			if live {
				r.wantLive(second)
			} else {
				r.wantDead(second)
			}
		}, lifetimes(time.Hour, 24*time.Hour))
	}
}

// R13: ASVS 10.4.8: from the birth of the family, however it is refreshed.
func TestAFamilyEndsAtItsAbsoluteLifetime(t *testing.T) {
	onRefresh(t, func(t testing.TB, r *rig) {
		born := time.Now()
		token := r.signInAt("cli")
		for time.Since(born) < 5*time.Hour-40*time.Minute {
			time.Sleep(40 * time.Minute)
			token = r.wantLive(token)
		}
		time.Sleep(time.Until(born.Add(5*time.Hour - time.Millisecond)))
		token = r.wantLive(token)
		time.Sleep(time.Millisecond)
		r.wantDead(token)
	}, lifetimes(time.Hour, 5*time.Hour))
}

// R16: a store that has lost a write is found out by the token that it does not know.
func TestATokenFromTheFutureEndsTheFamilyAndIsReported(t *testing.T) {
	r := newRig(t)
	token := r.signInAt("cli")
	forgetful := newRigOn(t, r.store, withStore(func(s storage.Store) storage.Store { return losing{s} }))
	lost := forgetful.wantLive(token)
	r.wantDead(lost)
	r.wantEvent("rollback.detected")
	r.wantDead(token)
}

// losing is a store that acknowledges rotations and forgets them.
type losing struct{ storage.Store }

func (s losing) Rotate(ctx context.Context, rotation storage.Rotation) (storage.Outcome, storage.Grant, error) {
	g, err := s.Grant(ctx, rotation.GrantID)
	outcome, after, _ := rotation.Decide(g, time.Now())
	return outcome, after, err
}

// A refresh token is bound to the secrets of its server: another server's is a forgery.
func TestATokenOfAnotherServerIsRefused(t *testing.T) {
	r := newRig(t)
	theirs := newRig(t, func(_ *authserver.Config, d *authserver.Dependencies) {
		ring, err := keys.Open(t.Context(), keys.Config{Store: memory.New(), Master: keys.NewMasterKey()})
		must(t, err)
		d.Keys = ring
	})
	a, b := theirs.signInAt("cli"), r.signInAt("cli")
	r.wantDead(a)
	theirs.wantDead(b)
	theirs.wantLive(a)
	r.wantLive(b)
}
