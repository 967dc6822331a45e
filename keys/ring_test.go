package keys

import (
	"bytes"
	"context"
	"crypto/rsa"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ingam/ingam/storage"
)

func TestTheFirstOpenMakesAKeyThatSignsAndASecret(t *testing.T) {
	store := &fakeStore{}
	r := mustOpen(t, Config{Store: store, Master: NewMasterKey()}) // the one test that makes a key of its own
	infos := r.Keys()
	if len(infos) != 2 {
		t.Fatalf("%d keys", len(infos))
	}
	for _, k := range infos {
		if k.State != StateActive || time.Since(k.Created) > time.Minute || !nameable(k.ID, maxNameID) {
			t.Errorf("made %+v", k)
		}
	}
	public := r.current().signing.public
	if public.N.BitLen() != 2048 || public.E != 65537 {
		t.Errorf("RSA of %d bits with e=%d", public.N.BitLen(), public.E)
	}
	if got := r.Algorithms(); len(got) != 1 || got[0] != "RS256" {
		t.Errorf("Algorithms() = %q", got)
	}
	if n := len(r.Derive("x")); n != 1 {
		t.Errorf("%d secrets", n)
	}
}

func TestARestartKeepsTheKeys(t *testing.T) {
	store, master := &fakeStore{}, NewMasterKey()
	before := mustOpen(t, testConfig(t, store, master, 0))
	token := mustSign(t, before, "JWT", `{"sub":"alice"}`)
	after := mustOpen(t, testConfig(t, store, master, 1))
	assertSame(t, before, after)
	if _, err := after.Verify(token, "JWT"); err != nil {
		t.Errorf("a token from before the restart: %v", err)
	}
	if store.puts != 1 {
		t.Errorf("the ring was written %d times", store.puts)
	}
}

// assertSame fails unless the two rings sign, publish and derive the same.
func assertSame(t *testing.T, a, b *Ring) {
	t.Helper()
	if !bytes.Equal(a.JWKS().Body, b.JWKS().Body) || a.JWKS().ETag != b.JWKS().ETag {
		t.Error("the two publish different keys")
	}
	if mustSign(t, a, "JWT", `{}`) != mustSign(t, b, "JWT", `{}`) {
		t.Error("the two sign with different keys")
	}
	if !bytes.Equal(a.Derive("x")[0], b.Derive("x")[0]) {
		t.Error("the two derive different secrets")
	}
}

// K4: both have found no ring and made keys of their own before either of them writes.
func TestTwoNodesThatStartAtOnceAgree(t *testing.T) {
	var both sync.WaitGroup
	both.Add(2)
	store := &fakeStore{before: func() { both.Done(); both.Wait() }}
	master := NewMasterKey()
	var rings [2]*Ring
	var nodes sync.WaitGroup
	for n := range rings {
		c := testConfig(t, store, master, n)
		nodes.Go(func() {
			var err error
			if rings[n], err = Open(context.Background(), c); err != nil {
				t.Error(err)
			}
		})
	}
	nodes.Wait()
	if t.Failed() {
		return
	}
	assertSame(t, rings[0], rings[1])
	if store.puts != 1 {
		t.Errorf("%d rings were stored", store.puts)
	}
}

func TestOfTwoNodesWithDifferentMasterKeysTheLoserIsToldSo(t *testing.T) {
	store := &fakeStore{}
	winner := testConfig(t, store, NewMasterKey(), 0)
	store.before = func() { store.before = nil; mustOpen(t, winner) }
	if _, err := Open(context.Background(), testConfig(t, store, NewMasterKey(), 1)); !errors.Is(err, ErrWrongMasterKey) {
		t.Errorf("the loser: %v", err)
	}
	mustOpen(t, winner)
}

// K1, K4: keys that cannot be used are a matter for a person. New ones would end every session and hide the cause.
func TestARingThatIsThereIsNeverReplaced(t *testing.T) {
	g, master := loadGolden(t)
	for name, c := range map[string]struct {
		edit   func(*storage.KeyRing)
		master MasterKey
		want   error
	}{
		"another master key":   {func(*storage.KeyRing) {}, NewMasterKey(), ErrWrongMasterKey},
		"a changed byte":       {func(k *storage.KeyRing) { k.Keys[0].Sealed[40] ^= 1 }, master, ErrDamaged},
		"swapped secrets":      {func(k *storage.KeyRing) { swap(&k.Keys[0].Sealed, &k.Keys[1].Sealed) }, master, ErrDamaged},
		"swapped names":        {func(k *storage.KeyRing) { swap(&k.Keys[2].ID, &k.Keys[3].ID) }, master, ErrDamaged},
		"one record twice":     {func(k *storage.KeyRing) { k.Keys = append(k.Keys, k.Keys[0]) }, master, ErrDamaged},
		"an empty secret part": {func(k *storage.KeyRing) { k.Keys[3].Sealed = nil }, master, ErrDamaged},
		"no keys at all":       {func(k *storage.KeyRing) { k.Keys = nil }, master, ErrNoActiveKey},
		"no key that signs":    {func(k *storage.KeyRing) { k.Keys = k.Keys[2:] }, master, ErrNoActiveKey},
		"no secret":            {func(k *storage.KeyRing) { k.Keys = k.Keys[:2] }, master, ErrNoActiveKey},
		"no secret any more": {
			func(k *storage.KeyRing) { k.Keys[2].RetireAt, k.Keys[3].ForgetAt = at(0), at(0) }, master, ErrNoActiveKey,
		},
	} {
		t.Run(name, func(t *testing.T) {
			store := storeWith(t, g.Ring)
			store.change(t, c.edit)
			before := store.bytes()
			r, err := Open(context.Background(), testConfig(t, store, c.master, 0))
			if !errors.Is(err, c.want) || r != nil {
				t.Errorf("Open: %v, %v; want %v", r, err, c.want)
			}
			if !bytes.Equal(store.bytes(), before) {
				t.Error("the stored ring was changed")
			}
			// The same ring, arriving at a server that runs: it goes on with what it has.
			running, store := goldenRing(t)
			token := mustSign(t, running, "JWT", `{}`)
			store.change(t, c.edit)
			switch err := running.Reload(context.Background()); {
			case errors.Is(c.want, ErrDamaged) && !errors.Is(err, ErrDamaged):
				t.Errorf("Reload: %v", err)
			case errors.Is(c.want, ErrDamaged) && mustSign(t, running, "JWT", `{}`) != token:
				t.Error("the keys in use changed")
			}
		})
	}
}

func swap[T any](a, b *T) { *a, *b = *b, *a }

func TestAFailureOfTheStorePassesThrough(t *testing.T) {
	away := errors.New("connection refused")
	for name, store := range map[string]*fakeStore{"reading": {getErr: away}, "writing": {putErr: away}} {
		_, err := Open(context.Background(), testConfig(t, store, NewMasterKey(), 0))
		if !errors.Is(err, away) || !storage.IsFailure(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	r, store := goldenRing(t)
	store.getErr = away
	if err := r.Reload(context.Background()); !errors.Is(err, away) || !storage.IsFailure(err) {
		t.Errorf("Reload: %v", err)
	}
	mustSign(t, r, "JWT", `{}`) // and the ring goes on
	if _, err := Open(context.Background(), testConfig(t, &fakeStore{drop: true}, NewMasterKey(), 0)); err == nil {
		t.Error("a store that forgets what it took went unnoticed")
	}
}

func TestOpenRefusesWhatItCannotWorkWith(t *testing.T) {
	noKey := func() (*rsa.PrivateKey, error) { return nil, errors.New("no randomness today") }
	for name, c := range map[string]Config{
		"no store":          {Master: NewMasterKey()},
		"no master key":     {Store: &fakeStore{}},
		"a negative age":    {Store: &fakeStore{}, Master: NewMasterKey(), JWKSMaxAge: -1},
		"no key to be made": {Store: &fakeStore{}, Master: NewMasterKey(), generate: noKey},
	} {
		if _, err := Open(context.Background(), c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestReloadTakesANewerRing(t *testing.T) {
	r, store := goldenRing(t)
	before, tag := mustSign(t, r, "JWT", `{}`), r.JWKS().ETag
	if err := r.Reload(context.Background()); err != nil || r.JWKS().ETag != tag {
		t.Fatalf("nothing changed, and yet: %v", err)
	}
	store.change(t, func(k *storage.KeyRing) { k.Keys[0].RetireAt = time.Now() })
	if err := r.Reload(context.Background()); err != nil {
		t.Fatal(err)
	}
	if mustSign(t, r, "JWT", `{}`) == before {
		t.Error("the retired key still signs")
	}
	if _, err := r.Verify(before, "JWT"); err != nil || r.JWKS().ETag != tag {
		t.Errorf("the retired key must stay published: %v", err)
	}
}

// K8: withdrawing must work even where it leaves the server without a key.
func TestAWithdrawnKeyIsGoneAtTheNextReload(t *testing.T) {
	r, store := goldenRing(t)
	token := mustSign(t, r, "JWT", `{}`)
	store.change(t, func(k *storage.KeyRing) { k.Keys[0].ForgetAt, k.Keys[1].ForgetAt = at(0), at(0) })
	if err := r.Reload(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := string(r.JWKS().Body); got != `{"keys":[]}` {
		t.Errorf("still published: %s", got)
	}
	if _, err := r.Verify(token, "JWT"); !errors.Is(err, ErrInvalidToken) {
		t.Errorf("its token: %v", err)
	}
	if _, err := r.Sign(context.Background(), "JWT", []byte(`{}`)); !errors.Is(err, ErrNoActiveKey) {
		t.Errorf("Sign: %v", err)
	}
}

// K5: a restored backup brings back keys that were withdrawn.
func TestAnOlderRingThanTheOneInUseIsRefused(t *testing.T) {
	for name, restore := range map[string]func(*fakeStore, []byte){
		"an older version": func(f *fakeStore, backup []byte) { f.text = backup },
		"no ring":          func(f *fakeStore, _ []byte) { f.text = nil },
		"another ring with the same version": func(f *fakeStore, _ []byte) {
			f.text = bytes.Replace(f.text, []byte(`"created_at":"2026-01-01`), []byte(`"created_at":"2026-01-03`), 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, store := goldenRing(t)
			backup := store.bytes()
			store.change(t, func(k *storage.KeyRing) { k.Keys[0].ForgetAt = at(0) })
			if err := r.Reload(context.Background()); err != nil {
				t.Fatal(err)
			}
			token := mustSign(t, r, "JWT", `{}`)
			restore(store, backup)
			if err := r.Reload(context.Background()); !errors.Is(err, ErrRolledBack) {
				t.Errorf("Reload: %v", err)
			}
			if mustSign(t, r, "JWT", `{}`) != token {
				t.Error("the keys in use changed")
			}
		})
	}
}

// K3: a rotation that lies in the ring happens by the clock, without a reload, on every node at the same moment.
func TestTheClockMovesKeysOn(t *testing.T) {
	g, master := loadGolden(t)
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		store := storeWith(t, g.Ring)
		store.change(t, func(k *storage.KeyRing) {
			k.Keys[0].ActivateAt = start.Add(time.Hour) // the newer key
			k.Keys[1].RetireAt = start.Add(time.Hour)
			k.Keys[1].ForgetAt = start.Add(3 * time.Hour)
		})
		r := mustOpen(t, Config{Store: store, Master: master})
		signer := func() string { return r.current().signing.id }
		both := r.JWKS()
		if signer() != g.Ring.Keys[1].ID {
			t.Error("the next key signs before its time")
		}
		token := mustSign(t, r, "JWT", `{}`)
		time.Sleep(time.Hour)
		if signer() != g.Ring.Keys[0].ID {
			t.Error("the next key does not sign at its time")
		}
		if r.JWKS().ETag != both.ETag {
			t.Error("nothing published has changed, but the ETag has")
		}
		time.Sleep(2*time.Hour - time.Nanosecond)
		if _, err := r.Verify(token, "JWT"); err != nil {
			t.Errorf("an instant before the old key is forgotten: %v", err)
		}
		time.Sleep(time.Nanosecond)
		if _, err := r.Verify(token, "JWT"); !errors.Is(err, ErrInvalidToken) {
			t.Errorf("the old key is forgotten: %v", err)
		}
		if r.JWKS().ETag == both.ETag {
			t.Error("the forgotten key is still published")
		}
	})
}

func TestTheListOfKeysTellsTheirStates(t *testing.T) {
	r, store := goldenRing(t)
	store.change(t, func(k *storage.KeyRing) { k.Keys[2].ForgetAt = at(1) })
	if err := r.Reload(context.Background()); err != nil {
		t.Fatal(err)
	}
	got := map[string]State{}
	for _, k := range r.Keys() {
		got[k.ID] = k.State
	}
	g, _ := loadGolden(t)
	for i, want := range []State{StateActive, StateRetired, StateForgotten, StateActive} {
		if id := g.Ring.Keys[i].ID; got[id] != want {
			t.Errorf("%s is %s, want %s", id, got[id], want)
		}
	}
}
