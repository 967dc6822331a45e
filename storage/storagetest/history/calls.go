package history

import (
	"context"
	"time"

	"github.com/ingam/ingam/storage"
)

// notes is what one client wrote down.
type notes struct {
	client int
	grace  time.Duration // of refresh tokens
	events []Event
}

// note makes a call and writes it down.
func (n *notes) note(in Input, call func() (Output, error)) Output {
	e := Event{Client: n.client, Input: in, Call: now()}
	out, err := call()
	e.Return = now()
	refused, failed := refusal(err)
	switch {
	case failed:
		out = Output{Unknown: true}
	case refused != "":
		out = Output{Refused: refused}
	}
	e.Output = out
	n.events = append(n.events, e)
	return out
}

// rotate presents in.Generation: a code when it is 0.
func rotate(ctx context.Context, s storage.Store, n *notes, user string, in Input) Output {
	r := storage.Rotation{
		GrantID: in.Family, Generation: in.Generation, Attempt: in.Attempt, IdleLifetime: idleLifetime,
		UserID: user, UserEpoch: in.UserEpoch, UserVersion: in.UserVersion,
	}
	if in.Generation == 0 {
		r.Fence = true
	} else {
		r.Grace = n.grace
	}
	in.Window = r.Grace > 0
	return n.note(in, func() (Output, error) {
		outcome, g, err := s.Rotate(ctx, r)
		return Output{Outcome: outcome, Generation: g.Generation, Revoked: g.Revoked}, err
	})
}

func revoke(ctx context.Context, s storage.Store, n *notes, family string) Output {
	return n.note(Input{Kind: KindRevoke, Family: family}, func() (Output, error) {
		return Output{}, s.RevokeGrant(ctx, family, "the test says so")
	})
}

func readGrant(ctx context.Context, s storage.Store, n *notes, family string) Output {
	return n.note(Input{Kind: KindGrant, Family: family}, func() (Output, error) {
		g, err := s.Grant(ctx, family)
		return Output{Generation: g.Generation, Revoked: g.Revoked}, err
	})
}

func readUser(ctx context.Context, s storage.Store, n *notes, family, user string) (storage.User, Output) {
	var u storage.User
	out := n.note(Input{Kind: KindUser, Family: family}, func() (Output, error) {
		var err error
		u, err = s.User(ctx, user)
		return Output{Version: u.Version, Epoch: u.Epoch, Disabled: u.Disabled}, err
	})
	return u, out
}

func replaceUser(ctx context.Context, s storage.Store, n *notes, family string, u storage.User) Output {
	in := Input{Kind: KindReplace, Family: family, Version: u.Version, Epoch: u.Epoch, Disabled: u.Disabled}
	return n.note(in, func() (Output, error) { return Output{}, s.ReplaceUser(ctx, u) })
}
