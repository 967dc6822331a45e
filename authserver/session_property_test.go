package authserver_test

import (
	"context"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/storagetest/property"
)

// livesHold is the property: whatever two people do in two browsers, they see what the model says.
func livesHold(t *testing.T, wrap func(storage.Store) storage.Store) func(*rapid.T) {
	t.Helper()
	return func(rt *rapid.T) {
		if err := liveThrough(t, wrap, lifeSteps().Draw(rt, "steps")); err != nil {
			rt.Fatal(err)
		}
	}
}

// T12, L1, L3, R14: browser sessions as a state machine.
func TestABrowserIsSignedInExactlyWhenItShouldBe(t *testing.T) {
	property.Holds(t, property.Count(300, 10_000), livesHold(t, func(s storage.Store) storage.Store { return s }))
}

// Two acts of the same second are two: a button that is clicked twice, or two tabs with one request. What the first proves
// is used up by then, and the second must not be asked again (A17).
func TestAnAccountThatIsChosenTwiceAtOnceIsTakenBothTimes(t *testing.T) {
	bubble(t, func(t testing.TB, r *rig) {
		r.seedSignIn()
		p := r.person()
		client := lifeClients[0]
		choice := request(client.id, client.redirect, "prompt", "select_account")
		p.signInAt(p.authorize(choice), "alice", "wonderland")
		first, second := p.form(p.authorize(choice), "/login/choose"), p.form(p.authorize(choice), "/login/choose")
		for _, f := range []webForm{first, second} {
			if code, failure := answerTo(p.submit(f, "decision", "continue"), client.redirect); code == "" {
				t.Errorf("alice chose her account and the client gets %q", failure)
			}
		}
	})
}

// T12: stores that are wrong in one way. The property finds each of them, or it would prove nothing.
func TestBrowserSessionsThatAreWrongInOneWayAreFound(t *testing.T) {
	for what, wrap := range map[string]func(storage.Store) storage.Store{
		"a session that ends goes on":             func(s storage.Store) storage.Store { return &neverEnds{s} },
		"a user is remembered as they were":       func(s storage.Store) storage.Store { return &oldUsers{Store: s} },
		"a new password leaves other sessions be": func(s storage.Store) storage.Store { return &oneEpoch{s} },
		"a use of a session is not written down":  func(s storage.Store) storage.Store { return &neverSeen{s} },
	} {
		t.Run(what, func(t *testing.T) { property.Refuted(t, 300, livesHold(t, wrap)) })
	}
}

type neverEnds struct{ storage.Store }

func (s *neverEnds) TakeEntry(ctx context.Context, kind, id string) (storage.Entry, error) {
	return s.Entry(ctx, kind, id)
}

type oldUsers struct {
	storage.Store
	first sync.Map
}

func (s *oldUsers) RecallUser(ctx context.Context, id string) (storage.User, error) {
	if u, ok := s.first.Load(id); ok {
		return u.(storage.User), nil
	}
	u, err := s.Store.RecallUser(ctx, id)
	if err == nil {
		s.first.Store(id, u)
	}
	return u, err
}

type oneEpoch struct{ storage.Store }

func (s *oneEpoch) ReplaceUser(ctx context.Context, u storage.User) error {
	u.Epoch = 0
	return s.Store.ReplaceUser(ctx, u)
}

type neverSeen struct{ storage.Store }

func (s *neverSeen) ReplaceEntry(ctx context.Context, e storage.Entry) error {
	before, err := s.Entry(ctx, e.Kind, e.ID)
	if err != nil {
		return err
	}
	e.ExpiresAt = before.ExpiresAt
	return s.Store.ReplaceEntry(ctx, e)
}
