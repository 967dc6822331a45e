package history

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ingam/ingam/storage"
)

// Worker runs the clients of p.Process against s, which Prepare has filled, and writes an event for each call to w, as
// lines of JSON. It returns the first error that kept a client from going on; failures of the store do not.
func Worker(ctx context.Context, s storage.Store, p Plan, w io.Writer) error {
	return work(ctx, s, p, newHall(groupSize), w)
}

func work(ctx context.Context, s storage.Store, p Plan, m meeting, w io.Writer) error {
	p = p.withDefaults()
	if p.Unknown > 0 {
		s = Flaky(s, p.Unknown, p.Seed+uint64(p.Process)<<32)
	}
	// A client that cannot go on would let its group wait for ever.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	crew := &crew{plan: p, store: s, meeting: m, known: make([]atomic.Uint64, p.Families), deadline: time.Now().Add(p.Deadline)}
	var clients []*client
	var wg sync.WaitGroup
	for i := p.Process; i < p.Clients; i += p.Processes {
		c := newClient(crew, i)
		clients = append(clients, c)
		wg.Go(func() {
			if err := c.run(ctx); err != nil {
				cancel(fmt.Errorf("history: client %d: %w", i, err))
			}
		})
	}
	wg.Wait()
	buffered := bufio.NewWriter(w)
	lines := json.NewEncoder(buffered)
	var errs []error
	for _, c := range clients {
		for _, e := range c.notes.events {
			errs = append(errs, lines.Encode(e))
		}
	}
	return errors.Join(context.Cause(ctx), errors.Join(errs...), buffered.Flush())
}

// crew is what the clients of a process share.
type crew struct {
	plan     Plan
	store    storage.Store
	meeting  meeting
	known    []atomic.Uint64 // the newest generation of each family that somebody was given
	deadline time.Time
}

// learn notes that somebody was given a generation.
func (c *crew) learn(family int, generation uint64) {
	for known := &c.known[family]; ; {
		old := known.Load()
		if old >= generation || known.CompareAndSwap(old, generation) {
			return
		}
	}
}

// client is one goroutine.
type client struct {
	*crew
	id       int
	random   *rand.Rand
	notes    *notes
	users    map[int]storage.User // as this client has last seen them
	attempts int
}

func newClient(c *crew, id int) *client {
	return &client{
		crew: c, id: id, notes: &notes{client: id, grace: c.plan.Grace}, users: map[int]storage.User{},
		random: rand.New(rand.NewPCG(c.plan.Seed, uint64(id))), //nolint:gosec // repeatable on purpose
	}
}

func (c *client) run(ctx context.Context) error {
	switch c.plan.Mode {
	case Mixed:
		return c.mix(ctx)
	case Honest:
		return c.refreshTogether(ctx)
	case Raced:
		return c.race(ctx)
	}
	return fmt.Errorf("unknown mode %q", c.plan.Mode)
}

// In a mixed run 16 clients are a troop that walks through its own share of the families, 3 of them at a time. More
// clients in a family at once would make the search for an order take for ever.
const (
	troopSize = 16
	width     = 3
)

func (c *client) mix(ctx context.Context) error {
	for i := range c.plan.Families {
		if !c.plan.codeIsRaced(i) {
			c.learn(i, 1)
		}
	}
	troops := max(1, c.plan.Clients/troopSize)
	share := c.plan.Families / troops
	for step := range c.plan.Steps {
		if ctx.Err() != nil || time.Now().After(c.deadline) {
			return ctx.Err()
		}
		nth := min(step*share/c.plan.Steps+c.random.IntN(width), share-1)
		c.mixOnce(ctx, nth*troops+c.id/troopSize%troops)
	}
	return nil
}

// mixOnce does one thing to a family.
func (c *client) mixOnce(ctx context.Context, i int) {
	family, user := c.plan.family(i)
	known := c.known[i].Load()
	switch dice := c.random.IntN(100); {
	case dice < 2 && c.plan.Ends:
		revoke(ctx, c.store, c.notes, family)
	case dice < 4 && c.plan.Ends:
		c.changeUser(ctx, i, true)
	case dice < 8:
		c.changeUser(ctx, i, false)
	case dice < 16:
		if out := readGrant(ctx, c.store, c.notes, family); !out.Unknown && out.Refused == "" {
			c.learn(i, out.Generation)
		}
	case dice < 20 && c.plan.Thieves && known > 0:
		c.present(ctx, i, user, c.random.Uint64N(known))
	default:
		c.present(ctx, i, user, known)
	}
}

// changeUser disables the user, or changes something that leaves their sign-ins alive.
func (c *client) changeUser(ctx context.Context, i int, disable bool) {
	family, user := c.plan.family(i)
	for ctx.Err() == nil {
		u, out := readUser(ctx, c.store, c.notes, family, user)
		if out.Unknown || out.Refused != "" {
			return
		}
		c.users[i] = u
		if disable {
			u.Disabled, u.Epoch = true, u.Epoch+1
		}
		u.Claims = map[string]any{"name": c.attempt()}
		if out := replaceUser(ctx, c.store, c.notes, family, u); out.Refused != "conflict" {
			return
		}
	}
}

// attempt returns a new id.
func (c *client) attempt() string {
	c.attempts++
	return fmt.Sprintf("%d.%d", c.id, c.attempts)
}

// present redeems a generation, as the engine does: an outdated user is read again. After a failure it asks again or lets
// it be.
func (c *client) present(ctx context.Context, i int, user string, generation uint64) {
	attempt := c.attempt()
	for range 4 {
		out := c.presentOnce(ctx, i, user, generation, attempt)
		if out.success() {
			c.learn(i, generation+1)
		}
		again := out.Outcome == storage.Outdated || out.Unknown && c.random.IntN(2) == 0
		if !again {
			return
		}
	}
}

func (c *client) presentOnce(ctx context.Context, i int, user string, generation uint64, attempt string) Output {
	u, ok := c.users[i]
	if !ok {
		u = storage.User{Version: firstVersion, Epoch: firstEpoch}
	}
	family, _ := c.plan.family(i)
	out := rotate(ctx, c.store, c.notes, user, Input{
		Kind: KindRotate, Family: family, Generation: generation, Attempt: attempt,
		UserVersion: u.Version, UserEpoch: firstEpoch, // of the grant, which is as old as the user
	})
	if out.Outcome == storage.Outdated {
		if u, read := readUser(ctx, c.store, c.notes, family, user); !read.Unknown && read.Refused == "" {
			c.users[i] = u
		}
	}
	return out
}

// settle presents a generation until the store has answered.
func (c *client) settle(ctx context.Context, i int, generation uint64) error {
	_, user := c.plan.family(i)
	for attempt := c.attempt(); ; {
		out := c.presentOnce(ctx, i, user, generation, attempt)
		if !out.Unknown && out.Outcome != storage.Outdated || ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// group returns the group of this client, 8 neighbours, whom the processes share.
func (c *client) group() (number int, name string) {
	return c.id / groupSize, fmt.Sprintf("group %d", c.id/groupSize)
}

// refreshTogether is mode Honest.
func (c *client) refreshTogether(ctx context.Context) error {
	i, name := c.group()
	for generation := uint64(1); generation <= uint64(c.plan.Steps); generation++ {
		if err := c.settle(ctx, i, generation); err != nil {
			return err
		}
		if err := c.meeting.arrive(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// raceEvery is how many families a group races through before it gathers again.
const raceEvery = 4

// race is mode Raced.
func (c *client) race(ctx context.Context) error {
	group, name := c.group()
	groups := c.plan.Clients / groupSize
	for n, i := 0, group; i < c.plan.Families; n, i = n+1, i+groups {
		if n%raceEvery == 0 {
			if err := c.meeting.arrive(ctx, name); err != nil {
				return err
			}
		}
		generation := uint64(1)
		if c.plan.codeIsRaced(i) {
			generation = 0
		}
		if err := c.settle(ctx, i, generation); err != nil {
			return err
		}
	}
	return nil
}
