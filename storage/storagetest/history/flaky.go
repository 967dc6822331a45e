package history

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"

	"github.com/ingam/ingam/storage"
)

var errInjected = errors.New("history: a failure that the test made")

// Flaky returns a store that is right and fails now and then: a share of the calls that these runs make is answered with a
// failure, half of them before the effect and half after it. That is what a lost connection looks like.
func Flaky(s storage.Store, share float64, seed uint64) storage.Store {
	return &flaky{Store: s, share: share, random: rand.New(rand.NewPCG(seed, 5))} //nolint:gosec // repeatable on purpose
}

type flaky struct {
	storage.Store
	share  float64
	mu     sync.Mutex
	random *rand.Rand
}

// fails rolls the dice.
func (f *flaky) fails() (before, after bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.random.Float64() >= f.share {
		return false, false
	}
	before = f.random.IntN(2) == 0
	return before, !before
}

// injure makes a call, or fails in place of its answer.
func injure[T any](f *flaky, call func() (T, error)) (T, error) {
	var zero T
	before, after := f.fails()
	if before {
		return zero, errInjected
	}
	value, err := call()
	if after {
		return zero, errInjected
	}
	return value, err
}

func (f *flaky) Grant(ctx context.Context, id string) (storage.Grant, error) {
	return injure(f, func() (storage.Grant, error) { return f.Store.Grant(ctx, id) })
}

func (f *flaky) User(ctx context.Context, id string) (storage.User, error) {
	return injure(f, func() (storage.User, error) { return f.Store.User(ctx, id) })
}

func (f *flaky) ReplaceUser(ctx context.Context, u storage.User) error {
	_, err := injure(f, func() (struct{}, error) { return struct{}{}, f.Store.ReplaceUser(ctx, u) })
	return err
}

func (f *flaky) RevokeGrant(ctx context.Context, id, reason string) error {
	_, err := injure(f, func() (struct{}, error) { return struct{}{}, f.Store.RevokeGrant(ctx, id, reason) })
	return err
}

func (f *flaky) Rotate(ctx context.Context, r storage.Rotation) (storage.Outcome, storage.Grant, error) {
	type rotated struct {
		outcome storage.Outcome
		grant   storage.Grant
	}
	answer, err := injure(f, func() (rotated, error) {
		outcome, grant, err := f.Store.Rotate(ctx, r)
		return rotated{outcome, grant}, err
	})
	return answer.outcome, answer.grant, err
}
