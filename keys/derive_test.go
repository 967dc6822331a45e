package keys

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"sync"
	"testing"

	"github.com/ingam/ingam/storage"
)

func TestDerivedSecretsAreThoseOfTheGoldenRing(t *testing.T) {
	r, _ := goldenRing(t)
	g, _ := loadGolden(t)
	got := r.Derive(g.Purpose)
	if len(got) != len(g.Derived) {
		t.Fatalf("%d secrets", len(got))
	}
	for i, want := range g.Derived {
		if hex.EncodeToString(got[i]) != want {
			t.Errorf("secret %d is another one than when its tokens were made", i)
		}
	}
}

func TestEachPurposeAndEachKeyHasItsOwnSecret(t *testing.T) {
	r, _ := goldenRing(t)
	seen := map[string]string{}
	for _, purpose := range []string{"", "a", "b", "a ", "refresh token"} {
		for i, secret := range r.Derive(purpose) {
			name := fmt.Sprintf("%q of key %d", purpose, i)
			if len(secret) != 32 {
				t.Errorf("%s has %d bytes", name, len(secret))
			}
			if other, ok := seen[string(secret)]; ok {
				t.Errorf("%s is that of %s", name, other)
			}
			seen[string(secret)] = name
		}
	}
	for _, k := range r.current().secrets {
		if _, ok := seen[string(k.secret)]; ok {
			t.Error("a derived secret is the ring's own")
		}
	}
}

func TestDeriveComputesOnceUntilTheRingChanges(t *testing.T) {
	r, store := goldenRing(t)
	before := r.Derive("x")
	if again := r.Derive("x"); &again[0] != &before[0] {
		t.Error("computed again")
	}
	// K9: after a rotation the old secret still verifies, and the new one makes.
	g, master := loadGolden(t)
	fresh := newMACKey(testSealer(t, master), at(24))
	store.change(t, func(k *storage.KeyRing) { k.Keys = append(k.Keys, fresh); k.Keys[3].ForgetAt = at(0) })
	if err := r.Reload(context.Background()); err != nil {
		t.Fatal(err)
	}
	after := r.Derive("x")
	if len(after) != 2 || bytes.Equal(after[0], before[0]) || !bytes.Equal(after[1], before[0]) {
		t.Errorf("after a rotation: %d secrets, want the new one and then %s", len(after), g.Ring.Keys[2].ID)
	}
}

func TestACacheComputesForManyButKeepsOneAndEnds(t *testing.T) {
	var c cache[*int]
	var wg sync.WaitGroup
	kept := make([]*int, 50)
	for i := range kept {
		wg.Go(func() { kept[i] = c.put("same", new(int)) })
		wg.Go(func() { c.put(fmt.Sprint(i%10), new(int)) })
	}
	wg.Wait()
	for _, k := range kept {
		if k != kept[0] {
			t.Fatal("two values were kept under one name")
		}
	}
	for i := range 3 * cacheSize {
		if c.put(fmt.Sprint("more", i), new(int)) == nil {
			t.Fatal("a full cache must still hand the value through")
		}
	}
	if n := len(*c.values.Load()); n != cacheSize {
		t.Errorf("%d values are kept", n)
	}
	if got, ok := c.get("same"); !ok || got != kept[0] {
		t.Error("an early value was lost")
	}
}
