package history

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ingam/ingam/storage"
)

// Mode is what the clients of a run are like.
type Mode string

// The modes.
const (
	// Mixed: everybody presents what they believe to be current in families that all share, reads, and changes users.
	// Slow ones are late and look like thieves. A code is raced by many in every fifth family.
	Mixed Mode = "mixed"
	// Honest: eight tabs of one browser share a family. They refresh at the same time, and wait for each other before
	// they use what they got. Nobody may be logged out.
	Honest Mode = "honest"
	// Raced: eight clients present the same code, or the same refresh token, once.
	Raced Mode = "raced"
)

// groupSize is how many clients share a family in modes Honest and Raced.
const groupSize = 8

// Plan is what a run does. It is the same for all processes of the run, but for Process.
type Plan struct {
	Seed uint64 `json:"seed"`
	Mode Mode   `json:"mode"`
	// Grace is the grace window of refresh tokens: 0, or long against a run. Codes never have one.
	Grace time.Duration `json:"grace"`
	// Thieves present old generations now and then (Mixed only).
	Thieves bool `json:"thieves,omitempty"`
	// Ends lets clients revoke grants and disable users (Mixed only).
	Ends bool `json:"ends,omitempty"`
	// Unknown is the share of calls that fail, before or after their effect.
	Unknown float64 `json:"unknown,omitempty"`

	// Clients is the number of goroutines over all processes, 0 for 64. It is a multiple of 8.
	Clients int `json:"clients"`
	// Families is how many there are. 0 means 256, in mode Honest one for 8 clients. In mode Raced the first half are codes.
	Families int `json:"families"`
	// Steps is how often a client does something, 0 for 120 (Mixed) or 24 (Honest). In mode Raced each client presents
	// each token of its group once.
	Steps int `json:"steps"`
	// Deadline ends a Mixed run that is slow, 0 for 5 s.
	Deadline time.Duration `json:"deadline"`
	// Processes is how many share the clients, 0 for 1; Process is which one this is.
	Processes int `json:"processes"`
	Process   int `json:"process,omitempty"`
}

func (p Plan) withDefaults() Plan {
	set := func(field *int, value int) {
		if *field == 0 {
			*field = value
		}
	}
	set(&p.Clients, 64)
	set(&p.Processes, 1)
	switch p.Mode {
	case Honest:
		p.Families = p.Clients / groupSize
		set(&p.Steps, 24)
	case Mixed:
		set(&p.Families, 256)
		set(&p.Steps, 120)
	}
	if p.Deadline == 0 {
		p.Deadline = 5 * time.Second
	}
	return p
}

// Rules are those that the histories of the plan are judged by.
func (p Plan) Rules() Rules {
	return Rules{Window: p.Grace, Honest: p.Mode == Honest}
}

// family returns the ids of a grant and of its user.
func (p Plan) family(i int) (grant, user string) {
	if p.Mode == Raced { // not judged by the model, which wants a user for each family
		return fmt.Sprintf("family-%d", i), "user"
	}
	return fmt.Sprintf("family-%d", i), fmt.Sprintf("user-%d", i)
}

// codeIsRaced tells whether clients find the family at generation 0. The codes of the others are redeemed by Prepare.
func (p Plan) codeIsRaced(i int) bool {
	switch p.Mode {
	case Mixed:
		return i%5 == 0
	case Raced:
		return i < p.Families/2
	}
	return false
}

// userHasChanged tells whether the user of a family has been changed since the clients last saw them, so that every run
// shows what happens then, however soon its families die.
func (p Plan) userHasChanged(i int) bool { return p.Mode == Mixed && i%3 == 0 }

const (
	firstVersion = 1 // of a user, as CreateUser sets it
	firstEpoch   = 1
	idleLifetime = time.Hour
)

// preparers is how many goroutines Prepare uses, so that a store that syncs a disk can share the cost.
const preparers = 64

// Prepare creates the families of a run in an empty store, redeems the codes that nobody will race, and changes some of the
// users. It returns what it did as far as the judge needs to know.
func Prepare(ctx context.Context, s storage.Store, p Plan) ([]Event, error) {
	p = p.withDefaults()
	if p.Mode == Raced {
		if err := createUser(ctx, s, "user"); err != nil {
			return nil, err
		}
	}
	return eachFamily(p, func(n *notes, i int) error { return prepareFamily(ctx, s, p, n, i) })
}

func prepareFamily(ctx context.Context, s storage.Store, p Plan, n *notes, i int) error {
	id, user := p.family(i)
	if p.Mode != Raced {
		if err := createUser(ctx, s, user); err != nil {
			return err
		}
	}
	now := time.Now().UTC()
	g := storage.Grant{
		ID: id, ClientID: "client", UserID: user, UserEpoch: firstEpoch, Scopes: []string{"openid"}, Nonce: []byte(id),
		AuthTime: now, BornAt: now, IdleExpiresAt: now.Add(idleLifetime), ExpiresAt: now.Add(2 * idleLifetime),
	}
	if err := insist(func() error { return s.CreateGrant(ctx, g) }); err != nil {
		return fmt.Errorf("history: create grant: %w", err)
	}
	if !p.codeIsRaced(i) {
		if err := redeemCode(ctx, s, n, id, user); err != nil {
			return err
		}
	}
	if p.userHasChanged(i) {
		return renameUser(ctx, s, n, id, user)
	}
	return nil
}

func redeemCode(ctx context.Context, s storage.Store, n *notes, id, user string) error {
	out := known(func() Output {
		return rotate(ctx, s, n, user, Input{
			Kind: KindRotate, Family: id, Attempt: id + ".code", UserVersion: firstVersion, UserEpoch: firstEpoch,
		})
	})
	if out.Outcome != storage.Rotated {
		return fmt.Errorf("history: the first redemption of the code of %s: %+v", id, out)
	}
	return nil
}

// renameUser changes what a user is called, which ends none of their sign-ins.
func renameUser(ctx context.Context, s storage.Store, n *notes, id, user string) error {
	out := known(func() Output {
		u, out := readUser(ctx, s, n, id, user)
		if !out.Unknown && out.Refused == "" {
			u.Claims = map[string]any{"name": "renamed"}
			out = replaceUser(ctx, s, n, id, u)
		}
		return out
	})
	if out.Unknown || out.Refused != "" {
		return fmt.Errorf("history: change the user of %s: %+v", id, out)
	}
	return nil
}

func createUser(ctx context.Context, s storage.Store, id string) error {
	u := storage.User{ID: id, Username: id, Epoch: firstEpoch}
	if err := insist(func() error { return s.CreateUser(ctx, u) }); err != nil {
		return fmt.Errorf("history: create user: %w", err)
	}
	return nil
}

// tries is how often the same is asked of a store that fails, as it may on a busy machine. During a run nobody is so patient.
const tries = 20

// insist asks until the store does not fail.
func insist(create func() error) error {
	err := create()
	for try := 1; storage.IsFailure(err) && try < tries; try++ {
		if err = create(); errors.Is(err, storage.ErrExists) {
			return nil // it had been done
		}
	}
	return err
}

// known asks until the answer is known.
func known(ask func() Output) Output {
	out := ask()
	for try := 1; out.Unknown && try < tries; try++ {
		out = ask()
	}
	return out
}

// Finish reads every family when a run is over.
func Finish(ctx context.Context, s storage.Store, p Plan) ([]Event, error) {
	p = p.withDefaults()
	return eachFamily(p, func(n *notes, i int) error {
		id, _ := p.family(i)
		if out := known(func() Output { return readGrant(ctx, s, n, id) }); out.Unknown {
			return fmt.Errorf("history: the store failed when the run was over: grant %s", id)
		}
		return nil
	})
}

// eachFamily calls f for each family, several at a time, and joins the notes.
func eachFamily(p Plan, f func(n *notes, i int) error) ([]Event, error) {
	var wg sync.WaitGroup
	parts, errs := make([]*notes, preparers), make([]error, preparers)
	for w := range preparers {
		parts[w] = &notes{client: -1}
		wg.Go(func() {
			for i := w; i < p.Families && errs[w] == nil; i += preparers {
				errs[w] = f(parts[w], i)
			}
		})
	}
	wg.Wait()
	var events []Event
	for w := range preparers {
		if errs[w] != nil {
			return nil, errs[w]
		}
		events = append(events, parts[w].events...)
	}
	return events, nil
}
