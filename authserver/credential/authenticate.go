package credential

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"time"

	"github.com/ingam/ingam/storage"
)

// ErrInvalidCredentials is the one answer to every attempt that fails for a reason of the user's: no such user, no or
// another password, disabled. It is returned as it is, so that there is nothing to tell them apart by (row L10).
var ErrInvalidCredentials = errors.New("the username or the password is wrong")

// ThrottledError means that a budget is empty and nothing was compared. It is the same whether or not there is such a
// user. Over HTTP it is 429 with Retry-After, in seconds, rounded up. It is returned as a pointer.
type ThrottledError struct {
	// RetryAfter is how long until the budget has a unit again.
	RetryAfter time.Duration
}

// Error does not tell whose budget is empty.
func (e *ThrottledError) Error() string {
	return fmt.Sprintf("too many attempts to sign in; the next one is possible in %v", e.RetryAfter)
}

// Authenticator checks usernames and passwords. Fill in Users, Limits and Hasher; it is then safe for concurrent use.
type Authenticator struct {
	Users  storage.Users
	Limits storage.Limits
	Hasher *Hasher
	// Guesses says how often; the zero value has the defaults.
	Guesses GuessLimits
	// Log gets what went wrong without a caller who should hear of it: after a password was proved, only its
	// bookkeeping can fail. nil means slog.Default.
	Log *slog.Logger

	lanes lanes
}

// Attempt is what somebody typed and where from. It keeps username and password out of logs and of every print verb:
// people type passwords into the field for the name.
type Attempt struct {
	// Username in any spelling.
	Username string
	Password string
	// Address is the client's, from the connection or from a trusted proxy (row L9).
	Address netip.Addr
}

// LogValue shows the address alone.
func (at Attempt) LogValue() slog.Value {
	return slog.GroupValue(slog.String("address", at.Address.String()), slog.String("typed", "[redacted]"))
}

// Format shows the address alone, for every verb.
func (at Attempt) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "attempt from "+at.Address.String()+" [redacted]")
}

// Authenticate returns the user if the password is theirs. Otherwise the error is one of
//
//   - [ErrInvalidCredentials]: 401, invalid_grant, the form again;
//   - a [*ThrottledError]: 429 with Retry-After;
//   - [ErrBusy], wrapped: 503 with Retry-After;
//   - the end of ctx, wrapped;
//   - anything else: the store has failed and nothing is known, 503.
//
// Each attempt asks the store for the user and for the marks of the device and takes its budgets in one call, in that
// order and whoever the user is; a success gives back in one call more, and marks in another a device that has no mark
// of this period yet.
func (a *Authenticator) Authenticate(ctx context.Context, at Attempt) (storage.User, error) {
	name, _ := CanonicalUsername(at.Username) // "" is nobody's
	user, err := a.find(ctx, name)
	if err != nil {
		return storage.User{}, err
	}
	account := accountKey(at.Username, name)
	owner := user.ID
	if owner == "" {
		owner = account
	}
	device := deviceKey(owner, at.Address)
	memory, err := a.recall(ctx, device, time.Now())
	if err != nil {
		return storage.User{}, fmt.Errorf("looking for a known device: %w", err)
	}
	budgets := a.Guesses.budgets(at.Address, account, device, memory.known)
	leave, err := a.lanes.enter(ctx, budgets, a.Hasher.gate)
	if err != nil {
		return storage.User{}, err
	}
	defer leave()
	wait, err := a.Limits.Spend(ctx, budgets...)
	if err != nil {
		return storage.User{}, fmt.Errorf("counting an attempt to sign in: %w", err)
	}
	if wait > 0 {
		return storage.User{}, &ThrottledError{RetryAfter: wait}
	}
	outdated, err := a.prove(ctx, user, at.Password, budgets)
	if err != nil {
		return storage.User{}, err
	}
	if outdated {
		user = a.upgrade(ctx, user, at.Password)
	}
	a.settle(ctx, user, budgets, memory)
	return user, nil
}

// find returns the user with that canonical name, and the zero user if there is none: it has no password.
func (a *Authenticator) find(ctx context.Context, name string) (storage.User, error) {
	if name == "" {
		return storage.User{}, nil
	}
	user, err := a.Users.UserByName(ctx, name)
	if errors.Is(err, storage.ErrNotFound) {
		return storage.User{}, nil
	}
	if err != nil {
		return storage.User{}, fmt.Errorf("looking for a user: %w", err)
	}
	return user, nil
}

// prove does the one computation and only then looks at what else is against the user.
func (a *Authenticator) prove(ctx context.Context, user storage.User, password string, spent []storage.Budget) (
	outdated bool, err error,
) {
	match, outdated, err := a.Hasher.Verify(ctx, user.PasswordHash, password)
	switch {
	case errors.Is(err, ErrBusy):
		a.giveBack(ctx, user, afterNothing(spent))
		return false, err
	case errors.Is(err, context.Canceled):
		return false, err
	case err != nil: // the stored string; a user must not be found out by it, and the operator has to know
		a.note(ctx, "the stored password hash cannot be used", user, err)
		return false, ErrInvalidCredentials
	case !match || user.Disabled:
		return false, ErrInvalidCredentials
	}
	return outdated, nil
}

// upgrade replaces a hash of yesterday (row L12) if there is room to compute at this moment, and returns the user as
// stored. It is a favour to later sign-ins and never stands in the way of this one. The epoch stays: the password is
// the same. Users from a file are left alone; their hash is changed there.
func (a *Authenticator) upgrade(ctx context.Context, user storage.User, password string) storage.User {
	if user.Source != "" {
		return user
	}
	phc, err := a.Hasher.hashIfIdle(ctx, password)
	if err != nil { // busy, or the caller has gone
		return user
	}
	after := user
	after.PasswordHash = phc
	if err = a.Users.ReplaceUser(ctx, after); err == nil {
		after.Version++
		return after
	}
	if storage.IsFailure(err) { // the other answers mean that it was changed, or is kept, elsewhere
		a.note(ctx, "a password hash could not be replaced", user, err)
	}
	return user
}

// settle notes the success. The user has proved the password: if the store fails now, they are signed in with fewer
// attempts left.
func (a *Authenticator) settle(ctx context.Context, user storage.User, spent []storage.Budget, memory deviceMemory) {
	if !memory.marked {
		detached, done := detach(ctx)
		defer done()
		if _, err := a.Limits.Remember(detached, memory.mark, memory.until); err != nil {
			a.note(ctx, "a device could not be remembered", user, err)
		}
	}
	a.giveBack(ctx, user, afterSuccess(spent))
}

func (a *Authenticator) giveBack(ctx context.Context, user storage.User, refunds []storage.Refund) {
	detached, done := detach(ctx)
	defer done()
	if err := a.Limits.Refund(detached, refunds...); err != nil {
		a.note(ctx, "an attempt could not be given back", user, err)
	}
}

// detach is for what is owed to a person whether or not their client is still there.
func detach(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
}

func (a *Authenticator) note(ctx context.Context, what string, user storage.User, err error) {
	log := a.Log
	if log == nil {
		log = slog.Default()
	}
	log.ErrorContext(ctx, what, "user", user, "error", err)
}
