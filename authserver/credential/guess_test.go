package credential

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestOneAddressCannotTryOnePasswordOnEverybody(t *testing.T) { // row L4
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, HasherConfig{})
		for i := range 30 {
			if err := d.guess(t.Context(), elsewhere, fmt.Sprintf("user%d", i), wrong); !refused(err) {
				t.Fatalf("guess %d: %v", i+1, err)
			}
		}
		d.add(t, "alice", cheapHash(), false)
		for _, name := range []string{"alice", "nobody", "no name"} {
			_, work, _, err := d.try(t.Context(), elsewhere, name, right)
			var limit *ThrottledError
			if !errors.As(err, &limit) || limit.RetryAfter != 10*time.Second || len(work) != 0 {
				t.Errorf("%q after 30 guesses: %v, computed %v", name, err, work)
			}
		}
		if err := d.guess(t.Context(), home, "alice", right); err != nil {
			t.Errorf("from another address: %v", err)
		}
		time.Sleep(10 * time.Second)
		if err := d.guess(t.Context(), elsewhere, "nobody", wrong); !refused(err) {
			t.Errorf("ten seconds later: %v", err)
		}
		if err := d.guess(t.Context(), elsewhere, "nobody", wrong); !throttled(err) {
			t.Errorf("and once more: %v", err)
		}
	})
}

func TestManyAddressesCannotTryOneAccount(t *testing.T) { // rows L5, L10
	for _, name := range []string{"alice", "nobody", "no name"} {
		synctest.Test(t, func(t *testing.T) {
			d := newDesk(t, HasherConfig{})
			d.add(t, "alice", cheapHash(), false)
			for i := range 20 {
				if err := d.guess(t.Context(), address(i), name, wrong); !refused(err) {
					t.Fatalf("guess %d: %v", i+1, err)
				}
			}
			_, work, _, err := d.try(t.Context(), address(20), name, right)
			if err == nil || err.Error() != "too many attempts to sign in; the next one is possible in 1m0s" || len(work) != 0 {
				t.Errorf("%q after 20 guesses: %v, computed %v", name, err, work)
			}
			time.Sleep(time.Minute)
			if err := d.guess(t.Context(), address(21), name, wrong); !refused(err) {
				t.Errorf("a minute later: %v", err)
			}
			if err := d.guess(t.Context(), address(22), name, wrong); !throttled(err) {
				t.Errorf("and once more: %v", err)
			}
		})
	}
}

// One address takes less of an account's budgets than refills, however long and fast it guesses: a person who comes from
// somewhere new is let in at once.
func TestOneAddressCannotLockAPersonOutOfNewDevices(t *testing.T) { // row L5
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, HasherConfig{})
		d.add(t, "alice", cheapHash(), false)
		guesses := 0
		for begun, n := time.Now(), 0; time.Since(begun) < 24*time.Hour; n++ {
			switch err := d.guess(t.Context(), elsewhere, "alice", wrong); {
			case refused(err):
				guesses++
			case !throttled(err):
				t.Fatal(err)
			}
			time.Sleep(10 * time.Second)
			if n%300 != 0 { // once in 50 minutes
				continue
			}
			if err := d.guess(t.Context(), address(n), "alice", wrong); !refused(err) { // a success would empty the count
				t.Fatalf("from somewhere new after %v: %v", time.Since(begun), err)
			}
		}
		if guesses < 50 || guesses > 50+24*2+1 {
			t.Errorf("%d guesses from one address in a day, want 50 and one each half hour", guesses)
		}
		if err := d.guess(t.Context(), home, "alice", right); err != nil {
			t.Error(err)
		}
	})
}

// Who shares an address with a person learns nothing from how long there is to wait: not whether the name is somebody's,
// and not whether they sign in from there. (Who also empties the account's budget from elsewhere does: it is what a known
// device is exempt from.)
func TestTheWaitIsTheSameWhetherOrNotSomebodySignsInFromThere(t *testing.T) { // row L10
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, HasherConfig{})
		d.add(t, "alice", cheapHash(), false)
		d.add(t, "bob", cheapHash(), false)
		if err := d.guess(t.Context(), home, "alice", right); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"alice", "bob", "nobody"} {
			d.Guesses.Address = Rate{1000, time.Hour}
			for range 10 {
				if err := d.guess(t.Context(), home, name, wrong); !refused(err) {
					t.Fatal(name, err)
				}
			}
			var limit *ThrottledError
			if err := d.guess(t.Context(), home, name, wrong); !errors.As(err, &limit) || limit.RetryAfter != 2*time.Minute {
				t.Errorf("%s after 10 guesses: %v, want 2 minutes", name, err)
			}
		}
	})
}

func TestTheDelayGrowsForAnAttackerWhoNeverStops(t *testing.T) { // row L5
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, HasherConfig{})
		d.add(t, "alice", cheapHash(), false)
		begun, guesses := time.Now(), 0
		var longest time.Duration
		for i := 0; time.Since(begun) <= 24*time.Hour; i++ {
			var limit *ThrottledError
			switch err := d.guess(t.Context(), address(i), "alice", wrong); {
			case refused(err):
				guesses++
			case errors.As(err, &limit):
				longest = max(longest, limit.RetryAfter)
				time.Sleep(limit.RetryAfter)
			default:
				t.Fatal(err)
			}
		}
		if guesses != 100+24*4 {
			t.Errorf("%d guesses in a day, want 100 and one each quarter of an hour", guesses)
		}
		if longest <= time.Minute || longest > 15*time.Minute {
			t.Errorf("the longest delay was %v", longest)
		}
		d.add(t, "bob", cheapHash(), false)
		for i := range 9 {
			if err := d.guess(t.Context(), address(60000+i), "bob", wrong); !refused(err) {
				t.Errorf("somebody else: %v", err)
			}
		}
		time.Sleep(16 * time.Minute)
		if err := d.guess(t.Context(), home, "alice", right); err != nil {
			t.Errorf("the account is not locked, only slow: %v", err)
		}
	})
}

func TestAllSpellingsOfANameShareOneBudget(t *testing.T) { // row L6
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, HasherConfig{})
		spellings := []string{"zoë", "ZOË", "Zoe\u0308", "zOe\u0308", "ｚｏë"}
		for i := range 20 {
			if err := d.guess(t.Context(), address(i), spellings[i%len(spellings)], wrong); !refused(err) {
				t.Fatalf("guess %d: %v", i+1, err)
			}
		}
		for i, name := range spellings {
			if err := d.guess(t.Context(), address(100+i), name, right); !throttled(err) {
				t.Errorf("%q: %v", name, err)
			}
		}
		if err := d.guess(t.Context(), address(200), "zoe", wrong); !refused(err) {
			t.Errorf("another name: %v", err)
		}
	})
}

func TestTwoHundredGuessesAtOnceAreCountedBeforeTheyAreCompared(t *testing.T) { // row L7
	for what, c := range map[string]struct {
		name func(i int) string
		from func(i int) netip.Addr
		want int64
	}{
		"one account":           {func(int) string { return "alice" }, address, 20},
		"one account, no user":  {func(int) string { return "nobody" }, address, 20},
		"one address":           {func(i int) string { return fmt.Sprintf("user%d", i) }, func(int) netip.Addr { return home }, 30},
		"one account, one /64":  {func(int) string { return "alice" }, subnet, 10},
		"many accounts one /64": {func(i int) string { return fmt.Sprintf("user%d", i) }, subnet, 30},
	} {
		d := newDesk(t, HasherConfig{MaxHashes: 4, MaxQueue: 200, MaxWait: time.Minute})
		d.add(t, "alice", cheapHash(), false)
		var compared atomic.Int64
		begin := make(chan struct{})
		var all sync.WaitGroup
		for i := range 200 {
			all.Go(func() {
				<-begin
				at := Attempt{Username: c.name(i), Password: wrong, Address: c.from(i)}
				switch _, err := d.Authenticate(t.Context(), at); {
				case refused(err):
					compared.Add(1)
				case !throttled(err):
					t.Error(err)
				}
			})
		}
		close(begin)
		all.Wait()
		if compared.Load() != c.want || int64(len(d.work)) != c.want {
			t.Errorf("%s: %d answers, %d computations, want %d", what, compared.Load(), len(d.work), c.want)
		}
	}
}

// subnet is an address of one IPv6 /64.
func subnet(i int) netip.Addr {
	a := netip.MustParseAddr("2001:db8:1:2::").As16()
	a[8], a[15] = byte(i), byte(i)
	return netip.AddrFrom16(a)
}

func TestASuccessEndsTheCountOfFailuresOfTheAccount(t *testing.T) { // row L5
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, HasherConfig{})
		d.add(t, "alice", cheapHash(), false)
		for round := range 20 { // 180 failures are more than Sustained holds
			for i := range 9 {
				if err := d.guess(t.Context(), address(100*round+i), "alice", wrong); !refused(err) {
					t.Fatalf("round %d: %v", round, err)
				}
			}
			if err := d.guess(t.Context(), address(100*round+9), "alice", right); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
		}
	})
}

func TestASuccessGivesBackTheAccountAndOneUnitOfTheAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, HasherConfig{})
		d.add(t, "alice", cheapHash(), false)
		for round := range 2 {
			for range 9 {
				if err := d.guess(t.Context(), home, "alice", wrong); !refused(err) {
					t.Fatalf("round %d: %v", round, err)
				}
			}
			if err := d.guess(t.Context(), home, "alice", right); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
		}
		for range 50 {
			if err := d.guess(t.Context(), home, "alice", right); err != nil {
				t.Fatalf("the right password only: %v", err)
			}
		}
		// 18 of 30 units of the address are spent, and an account of one's own does not earn them back.
		for i := range 12 {
			if err := d.guess(t.Context(), home, fmt.Sprintf("user%d", i), wrong); !refused(err) {
				t.Fatalf("guess %d: %v", i+1, err)
			}
		}
		if err := d.guess(t.Context(), home, "user", wrong); !throttled(err) {
			t.Errorf("the address has nothing left, and got %v", err)
		}
	})
}

func TestABusyServerCostsTheAccountNothing(t *testing.T) { // rows L5, L11
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, HasherConfig{MaxHashes: 1, MaxQueue: 1, MaxWait: time.Second})
		d.Guesses.Address = Rate{Burst: 30, Every: time.Hour}
		d.add(t, "alice", cheapHash(), false)
		d.Hasher.computing = func(string) { time.Sleep(time.Hour) }
		go func() { _, _ = d.Hasher.Hash(t.Context(), right) }()
		synctest.Wait()
		for i := range 40 {
			err := d.guess(t.Context(), elsewhere, "alice", wrong)
			if i < 30 && !errors.Is(err, ErrBusy) || i >= 30 && !throttled(err) {
				t.Fatalf("attempt %d on a busy server: %v; the address pays, 30 times", i+1, err)
			}
		}
		time.Sleep(time.Hour)
		d.Hasher.computing = nil
		for i := range 10 {
			if err := d.guess(t.Context(), address(i), "alice", wrong); !refused(err) {
				t.Errorf("guess %d: %v", i+1, err)
			}
		}
	})
}

func TestWhoeverHangsUpHasMadeAGuess(t *testing.T) { // rows L5, L11
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, HasherConfig{})
		d.Hasher.computing = func(string) { time.Sleep(time.Second) }
		for i := range 20 {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Millisecond, cancel)
			if err := d.guess(ctx, address(i), "alice", wrong); !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if err := d.guess(t.Context(), home, "alice", wrong); !throttled(err) {
			t.Errorf("after twenty guesses nobody waited for: %v", err)
		}
	})
}

func TestAnAddressIsWhatOneSubscriberHas(t *testing.T) { // row L9
	for _, c := range []struct{ a, b, key string }{
		{"192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1"},
		{"2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"},
		{"fe80::1%eth0", "fe80::2%eth1", "fe80::/64"},
	} {
		a, b := AddressPrefix(netip.MustParseAddr(c.a)), AddressPrefix(netip.MustParseAddr(c.b))
		if a != c.key || b != c.key {
			t.Errorf("%s is %s, %s is %s; want %s", c.a, a, c.b, b, c.key)
		}
	}
	for _, c := range [][2]string{{"192.0.2.1", "192.0.2.2"}, {"2001:db8:1:2::1", "2001:db8:1:3::1"}} {
		if AddressPrefix(netip.MustParseAddr(c[0])) == AddressPrefix(netip.MustParseAddr(c[1])) {
			t.Errorf("%s and %s are one", c[0], c[1])
		}
	}
	if got := AddressPrefix(netip.Addr{}); got != "none" {
		t.Errorf("no address is %q", got)
	}
}

// A home has many networks of IPv6, and is one subscriber all the same.
func TestOneHomeCannotLockAPersonOutOfNewDevices(t *testing.T) { // row L5
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, HasherConfig{})
		d.add(t, "alice", cheapHash(), false)
		for i := range 50 {
			_ = d.guess(t.Context(), netip.MustParseAddr(fmt.Sprintf("2001:db8:77:%x::1", i)), "alice", wrong)
		}
		if err := d.guess(t.Context(), netip.MustParseAddr("2001:db8:78::1"), "alice", right); err != nil {
			t.Errorf("from another home: %v", err)
		}
	})
}

// Budgets of a device that are configured to be as good as those of the account would let one address empty them.
func TestADeviceHasHalfOfItsAccountAtMost(t *testing.T) { // row L5
	for _, c := range []struct{ account, device, want Rate }{
		{Rate{10, time.Minute}, Rate{10, 30 * time.Second}, Rate{5, 2 * time.Minute}},
		{Rate{5, time.Minute}, Rate{}, Rate{2, 2 * time.Minute}},
		{Rate{100, time.Second}, Rate{3, time.Hour}, Rate{3, time.Hour}},
		{Rate{1, time.Minute}, Rate{}, Rate{1, 2 * time.Minute}},
	} {
		if got := (GuessLimits{Account: c.account, Device: c.device}).withDefaults().Device; got != c.want {
			t.Errorf("account %v, device %v: %v, want %v", c.account, c.device, got, c.want)
		}
	}
}

func TestTheStoreLearnsNoNamesFromTheBudgets(t *testing.T) { // row G1
	for _, b := range (GuessLimits{}).budgets(home, accountKey("Hunter2", "hunter2"), deviceKey("id-1", home), false) {
		if strings.Contains(strings.ToLower(b.Key), "hunter2") {
			t.Error(b.Key)
		}
	}
	if accountKey("Hunter2", "hunter2") != accountKey("HUNTER2", "hunter2") {
		t.Error("the account's key depends on how the name was typed")
	}
	if accountKey("a b", "") == accountKey("a  b", "") || accountKey("a", "") == accountKey("x", "a") {
		t.Error("what is no username shares a budget")
	}
}

func TestALimitLeftOutIsTheDefault(t *testing.T) {
	g := GuessLimits{Account: Rate{Burst: 3}, Device: Rate{Every: time.Second}, Address: Rate{5, time.Second}}.withDefaults()
	want := GuessLimits{
		Account: Rate{20, time.Minute}, Device: Rate{10, 2 * time.Minute},
		Address: Rate{5, time.Second}, Sustained: Rate{100, 15 * time.Minute},
	}
	if g != want {
		t.Errorf("%+v, want %+v", g, want)
	}
}
