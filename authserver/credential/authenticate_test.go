package credential

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/ingam/ingam/storage"
)

func TestTheRightPasswordSignsInUnderEverySpelling(t *testing.T) {
	d := newDesk(t, HasherConfig{})
	want := d.add(t, "zoë", cheapHash(), false)
	for _, name := range []string{"zoë", "ZOË", "Zoe\u0308"} {
		u, work, _, err := d.try(t.Context(), home, name, right)
		if err != nil || u.ID != want.ID || u.Version != 1 || len(work) != 1 {
			t.Errorf("%q: %v, version %d, %d computations, %v", name, u.ID, u.Version, len(work), err)
		}
	}
}

// Row L10: one error, as many computations of the same cost, and the same calls to the store.
func TestEveryRefusalIsTheSameAndCostsTheSame(t *testing.T) {
	d := newDesk(t, HasherConfig{})
	d.Log = slog.New(slog.DiscardHandler)
	d.add(t, "alice", cheapHash(), false)
	d.add(t, "disabled", cheapHash(), true)
	d.add(t, "nopassword", "", false)
	d.add(t, "emptypassword", newArgon2idHash(cheap, "").String(), false)
	d.add(t, "broken", "$argon2id$v=19$m=64", false)
	d.add(t, "file", "plain text by mistake", true)
	for i, c := range []struct{ class, name, password string }{
		{"wrong password", "alice", wrong},
		{"unknown user", "nobody", right},
		{"disabled, right password", "disabled", right},
		{"disabled, wrong password", "disabled", wrong},
		{"no password, any", "nopassword", right},
		{"no password, empty", "nopassword", ""},
		{"empty password stored and typed", "emptypassword", ""},
		{"empty password", "alice", ""},
		{"empty password of nobody", "nobody", ""},
		{"too long a password", "alice", strings.Repeat("x", MaxPasswordBytes+1)},
		{"too long a password of nobody", "nobody", strings.Repeat("x", MaxPasswordBytes+1)},
		{"a password that is not UTF-8", "alice", "\xff\xff"},
		{"a stored hash that cannot be read", "broken", right},
		{"a stored hash that is none", "file", right},
	} {
		u, work, calls, err := d.try(t.Context(), address(i), c.name, c.password)
		if !refused(err) || err.Error() != "the username or the password is wrong" {
			t.Errorf("%s: %v", c.class, err)
		}
		if !slices.Equal(work, []string{"argon2id"}) {
			t.Errorf("%s: computed %v, want one argon2id", c.class, work)
		}
		if !slices.Equal(calls, []string{"UserByName", "Remembered", "Remembered", "Spend"}) {
			t.Errorf("%s: asked the store %v", c.class, calls)
		}
		if u.ID != "" || u.PasswordHash != "" {
			t.Errorf("%s: a user beside the error: %v", c.class, u)
		}
	}
	for _, name := range []string{"", "alice smith", "ali\x00ce", "\xff", strings.Repeat("x", 4096)} {
		_, work, calls, err := d.try(t.Context(), home, name, right)
		if !refused(err) || !slices.Equal(work, []string{"argon2id"}) ||
			!slices.Equal(calls, []string{"Remembered", "Remembered", "Spend"}) {
			t.Errorf("%.20q, which can be nobody's name: %v, computed %v, asked %v", name, err, work, calls)
		}
	}
	if d.Hasher.decoy.params != cheap {
		t.Errorf("the decoy has %+v, not the current parameters", d.Hasher.decoy.params)
	}
}

func TestADisabledUserIsRefusedOnlyAfterTheWork(t *testing.T) {
	d := newDesk(t, HasherConfig{})
	u := d.add(t, "alice", cheapHash(), true)
	if err := d.guess(t.Context(), home, "alice", right); !refused(err) {
		t.Errorf("disabled: %v", err)
	}
	u.Disabled = false
	if err := d.store.ReplaceUser(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	if err := d.guess(t.Context(), home, "alice", right); err != nil {
		t.Errorf("enabled again: %v", err)
	}
}

func TestASignInAsksTheStoreAsLittleAsPossible(t *testing.T) {
	d := newDesk(t, HasherConfig{})
	d.add(t, "alice", cheapHash(), false)
	for i, want := range [][]string{
		{"UserByName", "Remembered", "Remembered", "Spend", "Remember", "Refund"},
		{"UserByName", "Remembered", "Spend", "Refund"},
		{"UserByName", "Remembered", "Spend", "Refund"},
	} {
		if _, _, calls, err := d.try(t.Context(), home, "alice", right); err != nil || !slices.Equal(calls, want) {
			t.Errorf("sign-in %d: asked %v, want %v; %v", i+1, calls, want, err)
		}
	}
}

func TestAnOldHashIsReplacedAtTheNextSignIn(t *testing.T) { // row L12
	seen := map[string]bool{}
	for _, v := range vectors(t) {
		stored, err := parse(v.Hash)
		if err != nil || !v.Match || stored.current(cheap) || seen[stored.scheme()] {
			continue
		}
		seen[stored.scheme()] = true
		d := newDesk(t, HasherConfig{MaxHashes: 1})
		d.add(t, "alice", v.Hash, false)
		if err := d.guess(t.Context(), home, "alice", v.Password+"!"); !refused(err) {
			t.Errorf("%s: wrong password: %v", v.Hash, err)
		}
		if u, err := d.store.UserByName(t.Context(), "alice"); err != nil || u.PasswordHash != v.Hash || u.Version != 1 {
			t.Errorf("%s: changed by a wrong password: version %d, %v", v.Hash, u.Version, err)
		}
		got, work, _, err := d.try(t.Context(), home, "alice", v.Password)
		if err != nil || !slices.Equal(work, []string{stored.scheme(), "argon2id"}) {
			t.Errorf("%s: %v, computed %v", v.Hash, err, work)
		}
		now, err := d.store.UserByName(t.Context(), "alice")
		if err != nil || now.Version != 2 || got.Version != 2 || now.PasswordHash != got.PasswordHash {
			t.Errorf("%s: stored version %d, returned version %d, %v", v.Hash, now.Version, got.Version, err)
		}
		if now.Epoch != 7 || !strings.HasPrefix(now.PasswordHash, "$argon2id$v=19$m=64,t=1,p=1$") {
			t.Errorf("%s: epoch %d, hash %s", v.Hash, now.Epoch, now.PasswordHash)
		}
		if _, work, _, err = d.try(t.Context(), home, "alice", v.Password); err != nil || !slices.Equal(work, []string{"argon2id"}) {
			t.Errorf("%s: the sign-in after: %v, computed %v", v.Hash, err, work)
		}
	}
	if len(seen) != 3 {
		t.Errorf("tried %v, want all three schemes", seen)
	}
}

func TestASignInSucceedsThoughTheNewHashCannotBeStored(t *testing.T) { // row L12
	old := newArgon2idHash(Params{32, 1, 1}, right).String()
	for _, failure := range []error{storage.ErrConflict, storage.ErrReadOnly, storage.ErrNotFound, errDown} {
		var log bytes.Buffer
		d := newDesk(t, HasherConfig{})
		d.Log = slog.New(slog.NewTextHandler(&log, nil))
		d.add(t, "alice", old, false)
		d.store.fail("ReplaceUser", failure)
		u, _, _, err := d.try(t.Context(), home, "alice", right)
		if err != nil || u.PasswordHash != old || u.Version != 1 {
			t.Errorf("%v: %v, version %d", failure, err, u.Version)
		}
		if told := strings.Contains(log.String(), "could not be replaced"); told != storage.IsFailure(failure) {
			t.Errorf("%v: log has %q", failure, log.String())
		}
	}
}

func TestTheHashOfAUserFromAFileIsLeftAlone(t *testing.T) { // row L12
	d := newDesk(t, HasherConfig{})
	d.Users = fileUsers{d.store, newArgon2idHash(Params{32, 1, 1}, right).String()}
	_, work, calls, err := d.try(t.Context(), home, "alice", right)
	if err != nil || len(work) != 1 || slices.Contains(calls, "ReplaceUser") {
		t.Errorf("%v, computed %v, asked %v", err, work, calls)
	}
}

type fileUsers struct {
	*spy
	phc string
}

func (f fileUsers) UserByName(context.Context, string) (storage.User, error) {
	return storage.User{ID: "1", Username: "alice", PasswordHash: f.phc, Source: "users.d/alice.yaml"}, nil
}

func TestAFailureOfTheStoreIsNeverAWrongPassword(t *testing.T) {
	for _, method := range []string{"UserByName", "Remembered", "Spend"} {
		for _, password := range []string{right, wrong} {
			d := newDesk(t, HasherConfig{})
			d.add(t, "alice", cheapHash(), false)
			d.store.fail(method, errDown)
			_, work, _, err := d.try(t.Context(), home, "alice", password)
			if !errors.Is(err, errDown) || errors.Is(err, ErrInvalidCredentials) || errors.Is(err, ErrBusy) || throttled(err) {
				t.Errorf("%s down: %v", method, err)
			}
			if len(work) != 0 {
				t.Errorf("%s down: a password was compared, uncounted", method)
			}
		}
	}
}

func TestBookkeepingAfterAProvenPasswordFailsOnlyIntoTheLog(t *testing.T) {
	for _, method := range []string{"Remember", "Refund"} {
		var log bytes.Buffer
		d := newDesk(t, HasherConfig{})
		d.Log = slog.New(slog.NewTextHandler(&log, nil))
		d.add(t, "alice", cheapHash(), false)
		d.store.fail(method, errDown)
		if err := d.guess(t.Context(), home, "alice", right); err != nil {
			t.Errorf("%s down: %v", method, err)
		}
		if got := log.String(); !strings.Contains(got, errDown.Error()) || !strings.Contains(got, "user=id-alice") {
			t.Errorf("%s down: log has %q", method, got)
		}
	}
}

func TestAClientThatHangsUpAfterTheProofGetsItsAttemptBack(t *testing.T) {
	d := newDesk(t, HasherConfig{})
	d.Guesses.Account = Rate{Burst: 1, Every: 1 << 60}
	d.add(t, "alice", cheapHash(), false)
	for i := range 3 {
		ctx, hangUp := context.WithCancel(t.Context())
		d.store.during = func(method string) {
			if method == "Remember" {
				hangUp()
			}
		}
		if err := d.guess(ctx, address(i), "alice", right); err != nil || ctx.Err() == nil {
			t.Errorf("sign-in %d: %v, hung up: %v", i+1, err, ctx.Err())
		}
	}
}

func TestNothingPrintsWhatWasTyped(t *testing.T) { // row G1
	at := Attempt{Username: "canary-name", Password: "canary-password", Address: home}
	var out bytes.Buffer
	slog.New(slog.NewTextHandler(&out, nil)).Info("text", "attempt", at, "list", []any{at}, "pointer", &at)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("json", "attempt", at)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb+verb, at, &at)
	}
	d := newDesk(t, HasherConfig{})
	d.Log = slog.New(slog.NewTextHandler(&out, nil))
	d.add(t, "canary-name", "canary-password", false)
	fmt.Fprint(&out, d.guess(t.Context(), home, "canary-name", "canary-password"))
	fmt.Fprint(&out, d.guess(t.Context(), home, "canary-name!", "canary-password"))
	if strings.Contains(out.String(), "canary-password") || strings.Contains(out.String(), "canary-name!") ||
		strings.Count(out.String(), "canary-name") != 1 { // the id of the user with the broken hash
		t.Error(out.String())
	}
	if hexed := fmt.Sprintf("%x", at.Password); strings.Contains(out.String(), hexed) {
		t.Error(out.String())
	}
	if !strings.Contains(out.String(), home.String()) {
		t.Error("the address, which is no secret, is missing")
	}
}
