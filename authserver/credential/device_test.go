package credential

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// Row L5: whoever empties the budget of an account does not lock out the person at home.
func TestAnAttackerElsewhereDoesNotLockOutThePersonAtHome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, HasherConfig{})
		d.add(t, "alice", cheapHash(), false)
		if err := d.guess(t.Context(), home, "alice", right); err != nil {
			t.Fatal(err)
		}
		drain := func() {
			for i := range 30 {
				if err := d.guess(t.Context(), address(i), "alice", wrong); throttled(err) {
					return
				}
			}
			t.Error("the account's budget has no end")
		}
		for hour := range 24 {
			drain()
			if err := d.guess(t.Context(), home, "ALICE", right); err != nil {
				t.Fatalf("at home in hour %d: %v", hour, err)
			}
			if err := d.guess(t.Context(), elsewhere, "alice", right); !throttled(err) {
				t.Fatalf("hour %d: the sign-in at home filled the account's budget for the attacker: %v", hour, err)
			}
			time.Sleep(time.Hour)
		}
		drain()
		for i := range 10 { // home has a limit too, its own
			if err := d.guess(t.Context(), home, "alice", wrong); !refused(err) {
				t.Fatalf("guess %d at home: %v", i+1, err)
			}
		}
		var limit *ThrottledError
		if err := d.guess(t.Context(), home, "alice", right); !errors.As(err, &limit) || limit.RetryAfter != 2*time.Minute {
			t.Errorf("at home after 10 guesses: %v", err)
		}
		time.Sleep(2 * time.Minute)
		if err := d.guess(t.Context(), home, "alice", right); err != nil {
			t.Errorf("two minutes later: %v", err)
		}
	})
}

// Row L5: somebody who signs in every day, and once in a month's holidays, is never locked out at home.
func TestADeviceInUseStaysKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, HasherConfig{})
		d.add(t, "alice", cheapHash(), false)
		drain := func() {
			for i := range 30 {
				_ = d.guess(t.Context(), address(i), "alice", wrong)
			}
		}
		if err := d.guess(t.Context(), home, "alice", right); err != nil {
			t.Fatal(err)
		}
		for day := range 100 {
			drain()
			if err := d.guess(t.Context(), home, "alice", right); err != nil {
				t.Fatalf("at home on day %d: %v", day, err)
			}
			time.Sleep(24 * time.Hour)
		}
		for range 5 {
			time.Sleep(29 * 24 * time.Hour)
			drain()
			if err := d.guess(t.Context(), home, "alice", right); err != nil {
				t.Fatalf("at home after 29 days: %v", err)
			}
		}
		time.Sleep(2 * devicePeriod)
		drain()
		if err := d.guess(t.Context(), home, "alice", right); !throttled(err) {
			t.Errorf("at home after 60 days: %v, want the account's budget", err)
		}
	})
}

func TestADeviceIsKnownToItsUserOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, HasherConfig{})
		d.add(t, "alice", cheapHash(), false)
		d.add(t, "bob", cheapHash(), false)
		marked := func(name, password string) bool {
			_, _, calls, _ := d.try(t.Context(), home, name, password)
			return slices.Contains(calls, "Remember")
		}
		if marked("alice", wrong) {
			t.Error("a wrong password made the device known")
		}
		if !marked("alice", right) || marked("alice", right) {
			t.Error("the first sign-in marks the device, the second finds it marked")
		}
		if !marked("bob", right) {
			t.Error("alice's device was known to bob")
		}
		u, err := d.store.UserByName(t.Context(), "alice")
		if err != nil {
			t.Fatal(err)
		}
		u.Username = "alison"
		if err := d.store.ReplaceUser(t.Context(), u); err != nil {
			t.Fatal(err)
		}
		if marked("alison", right) {
			t.Error("a new username made the device unknown")
		}
	})
}
