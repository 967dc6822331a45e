package memory_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/memory"
	"github.com/ingam/ingam/storage/storagetest/property"
)

// T12: grants and limits of the memory store do what a plain model does, whatever is asked of them, to the nanosecond.
func TestTheMemoryStoreDoesWhatAPlainModelDoes(t *testing.T) {
	property.Holds(t, property.Count(10_000, 100_000), likeThePlainModel(t, func(s *memory.Store) storage.Store { return s }))
}

// likeThePlainModel is the property. The whole play is drawn before it begins, so that only the store lives in a bubble.
func likeThePlainModel(t *testing.T, open func(*memory.Store) storage.Store) func(*rapid.T) {
	t.Helper()
	plays := rapid.SliceOfN(rapid.Custom(drawMove), 1, 30)
	return func(rt *rapid.T) {
		play := plays.Draw(rt, "play")
		var difference string
		synctest.Test(t, func(t *testing.T) {
			s, m := open(memory.New()), newPlain()
			for i, mv := range play {
				got, want := mv.on(t.Context(), s), mv.onPlain(m)
				if !reflect.DeepEqual(got, want) {
					difference = fmt.Sprintf("move %d, %+v: the store answers %+v, the model %+v", i, mv, got, want)
					return
				}
			}
		})
		if difference != "" {
			rt.Fatal(difference)
		}
	}
}

// move is one call of a verb, or time that passes.
type move struct {
	verb string
	id   string // of the grant, or key of the mark

	// Of a new grant: how long it lives. A mark lives for ends.
	idle, ends time.Duration
	revoked    bool
	// Of a rotation: it presents the current generation plus ahead.
	ahead    int64
	rotation storage.Rotation
	old      bool // and comes from somebody who saw another version of the user
	// Of a user: what becomes of them.
	user storage.User
	gone bool

	keys  []string // of budgets
	units int

	wait time.Duration
	edge bool // wait until something ends, and wait longer
}

var lengths = rapid.SampledFrom([]time.Duration{0, 1, time.Millisecond, time.Second, time.Second + 1, 10 * time.Second, time.Minute})

func drawMove(t *rapid.T) move {
	mv := move{verb: rapid.SampledFrom([]string{
		"create", "rotate", "rotate", "rotate", "grant", "recall", "revoke", "user", "spend", "spend", "refund", "remember",
		"remembered", "sleep", "sleep", "sweep",
	}).Draw(t, "verb"), id: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "id")}
	switch mv.verb {
	case "create":
		mv.idle, mv.ends = lengths.Draw(t, "idle"), lengths.Draw(t, "ends")
		mv.revoked = rapid.IntRange(0, 7).Draw(t, "revoked") == 0
	case "rotate":
		mv.ahead = rapid.SampledFrom([]int64{0, 0, 0, -1, -1, -2, 1}).Draw(t, "ahead")
		mv.rotation = storage.Rotation{
			GrantID: mv.id, Attempt: rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, "attempt"),
			Grace: lengths.Draw(t, "grace"), IdleLifetime: lengths.Draw(t, "idle"), Fence: rapid.Bool().Draw(t, "fence"),
			UserID:    rapid.SampledFrom([]string{"", "u"}).Draw(t, "user"),
			UserEpoch: rapid.SampledFrom([]uint64{1, 1, 2}).Draw(t, "epoch"),
		}
		mv.old = rapid.IntRange(0, 3).Draw(t, "old") == 0
	case "user":
		mv.user = storage.User{
			ID: "u", Username: "u", Epoch: rapid.SampledFrom([]uint64{1, 1, 2}).Draw(t, "epoch"),
			Disabled: rapid.IntRange(0, 3).Draw(t, "disabled") == 0,
		}
		mv.gone = rapid.IntRange(0, 3).Draw(t, "gone") == 0
	case "spend":
		mv.keys = rapid.SliceOfNDistinct(rapid.SampledFrom(slices.Sorted(maps.Keys(budgets))), 1, 2, rapid.ID[string]).Draw(t, "budgets")
	case "refund":
		mv.keys = rapid.SliceOfN(rapid.SampledFrom(slices.Sorted(maps.Keys(budgets))), 1, 2).Draw(t, "budgets")
		mv.units = rapid.IntRange(0, 4).Draw(t, "units")
	case "remember":
		mv.ends = lengths.Draw(t, "ends")
	case "sleep":
		mv.wait, mv.edge = lengths.Draw(t, "wait"), rapid.Bool().Draw(t, "edge")
	}
	return mv
}

// budgets are those that are spent, by their keys.
var budgets = map[string]storage.Budget{
	"p": {Key: "p", Burst: 3, Every: time.Second},
	"q": {Key: "q", Burst: 1, Every: 10 * time.Second},
}

// reply is what a verb answered.
type reply struct {
	err     error // a sentinel or nil
	grant   storage.Grant
	outcome storage.Outcome
	wait    time.Duration
	yes     bool
}

// newborn is the grant of a move "create".
func (mv move) newborn() storage.Grant {
	now := time.Now().UTC().Round(0)
	g := storage.Grant{
		ID: mv.id, ClientID: "c", UserID: "u", UserEpoch: 1, Scopes: []string{"s"}, Audience: []string{"api"}, Nonce: []byte("n"),
		AuthTime: now, Generation: 1, BornAt: now, IdleExpiresAt: now.Add(mv.idle), ExpiresAt: now.Add(mv.ends), Revoked: mv.revoked,
	}
	if mv.revoked {
		g.RevokedReason = "born so"
	}
	return g
}

// on plays the move on a store. What is read of it to prepare a call goes through the store, too.
func (mv move) on(ctx context.Context, s storage.Store) (r reply) {
	switch mv.verb {
	case "create":
		r.err = s.CreateGrant(ctx, mv.newborn())
	case "rotate":
		g, errGrant := s.Grant(ctx, mv.id)
		u, errUser := s.User(ctx, "u")
		if r.err = errors.Join(unknown(errGrant), unknown(errUser)); r.err == nil {
			r.outcome, r.grant, r.err = s.Rotate(ctx, mv.asking(g, u))
		}
	case "grant":
		r.grant, r.err = s.Grant(ctx, mv.id)
	case "recall":
		r.grant, r.err = s.RecallGrant(ctx, mv.id)
	case "revoke":
		r.err = s.RevokeGrant(ctx, mv.id, "revoked "+mv.id)
	case "user":
		r.err = mv.changeUser(ctx, s)
	case "spend":
		var list []storage.Budget
		for _, key := range mv.keys {
			list = append(list, budgets[key])
		}
		r.wait, r.err = s.Spend(ctx, list...)
	case "refund":
		var list []storage.Refund
		for _, key := range mv.keys {
			list = append(list, storage.Refund{Budget: budgets[key], Units: mv.units})
		}
		r.err = s.Refund(ctx, list...)
	case "remember":
		r.yes, r.err = s.Remember(ctx, mv.id, time.Now().Add(mv.ends))
	case "remembered":
		r.yes, r.err = s.Remembered(ctx, mv.id)
	case "sweep":
		_, r.err = s.Sweep(ctx, 1) // nobody may notice
	}
	return r
}

func (mv move) changeUser(ctx context.Context, s storage.Store) error {
	old, err := s.User(ctx, "u")
	switch {
	case mv.gone && err == nil:
		return s.DeleteUser(ctx, "u")
	case mv.gone:
		return nil
	case errors.Is(err, storage.ErrNotFound):
		return s.CreateUser(ctx, mv.user)
	}
	mv.user.Version = old.Version
	return s.ReplaceUser(ctx, mv.user)
}

// unknown is an error that is no answer.
func unknown(err error) error {
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	return err
}

// asking is the rotation for a grant and a user as they are now; zero for one that is not there.
func (mv move) asking(g storage.Grant, u storage.User) storage.Rotation {
	ask := mv.rotation
	ask.Generation, ask.UserVersion = uint64(max(0, int64(g.Generation)+mv.ahead)), u.Version
	if mv.old {
		ask.UserVersion--
	}
	return ask
}

// plain is the model: maps of what was ever written, and nothing is ever removed.
type plain struct {
	grants map[string]storage.Grant
	user   *storage.User
	debts  map[string]time.Duration // what of a budget is spent, in time that pays for it
	at     time.Time                // of the debts
	marks  map[string]time.Time
}

func newPlain() *plain {
	return &plain{grants: map[string]storage.Grant{}, debts: map[string]time.Duration{}, at: time.Now(), marks: map[string]time.Time{}}
}

func (m *plain) grant(id string) (storage.Grant, error) {
	if g, ok := m.grants[id]; ok && time.Now().Before(g.IdleExpiresAt) && time.Now().Before(g.ExpiresAt) {
		return g, nil
	}
	return storage.Grant{}, storage.ErrNotFound
}

// onPlain plays the move on the model, after the store, and lets time pass for both.
func (mv move) onPlain(m *plain) (r reply) {
	elapsed := time.Since(m.at)
	m.at = time.Now()
	for key, debt := range m.debts {
		m.debts[key] = max(0, debt-elapsed)
	}
	switch mv.verb {
	case "create":
		if _, err := m.grant(mv.id); err == nil {
			r.err = storage.ErrExists
			return r
		}
		m.grants[mv.id] = mv.newborn()
	case "rotate":
		return mv.rotatePlain(m)
	case "grant", "recall":
		r.grant, r.err = m.grant(mv.id)
	case "revoke":
		if g, err := m.grant(mv.id); err == nil && !g.Revoked {
			g.Revoked, g.RevokedReason = true, "revoked "+mv.id
			m.grants[mv.id] = g
		}
	case "user":
		version := uint64(1)
		if m.user != nil {
			version = m.user.Version + 1
		}
		if m.user = nil; !mv.gone {
			m.user = new(mv.user)
			m.user.Version = version
		}
	case "spend":
		for _, key := range mv.keys {
			b := budgets[key]
			most := time.Duration(b.Burst) * b.Every
			if r.wait = m.debts[key] + b.Every - most; r.wait > 0 {
				return r
			}
			r.wait = 0
			m.debts[key] += b.Every
		}
	case "refund":
		for _, key := range mv.keys {
			m.debts[key] = max(0, m.debts[key]-time.Duration(mv.units)*budgets[key].Every)
		}
	case "remember":
		if r.yes = !time.Now().Before(m.marks[mv.id]); r.yes {
			m.marks[mv.id] = time.Now().Add(mv.ends)
		}
	case "remembered":
		r.yes = time.Now().Before(m.marks[mv.id])
	case "sleep":
		time.Sleep(m.until(mv))
	}
	return r
}

func (mv move) rotatePlain(m *plain) (r reply) {
	g, err := m.grant(mv.id)
	if err != nil {
		r.err = err
		return r
	}
	var u storage.User
	if m.user != nil {
		u = *m.user
	}
	ask := mv.asking(g, u)
	if r.outcome = ask.DecideUser(u, m.user != nil); r.outcome != 0 && !g.Revoked {
		r.grant = g
		return r
	}
	r.outcome, r.grant, _ = ask.Decide(g, time.Now().UTC().Round(0))
	m.grants[mv.id] = r.grant
	return r
}

// until is how long to sleep: now and then exactly to the next end of something.
func (m *plain) until(mv move) time.Duration {
	if !mv.edge {
		return mv.wait
	}
	ends := []time.Time{m.grants[mv.id].IdleExpiresAt, m.grants[mv.id].ExpiresAt, m.marks[mv.id]}
	for key, b := range budgets {
		ends = append(ends, m.at.Add(m.debts[key]), m.at.Add(m.debts[key]+b.Every-time.Duration(b.Burst)*b.Every))
	}
	shortest := mv.wait
	for _, end := range ends {
		if d := time.Until(end); d > 0 && (shortest == mv.wait || d < shortest) {
			shortest = d
		}
	}
	return shortest
}
