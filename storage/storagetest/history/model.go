package history

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math"
	"slices"

	"github.com/anishathalye/porcupine"

	"github.com/ingam/ingam/storage"
)

// role is the part of an event that an operation of the model stands for.
type role int

const (
	// whole: the event was one step between its call and its return.
	whole role = iota
	// arm: at its call the event armed an effect that may come at any time from then on, or never.
	arm
	// disarm: from its return on the effect of the event cannot come any more.
	disarm
)

// operation is an operation of the model. number is that of its event in the history of the family.
type operation struct {
	event  *Event
	role   role
	number int
}

// state is one state in which a family may be.
type state struct {
	generation uint64
	attempt    string // that moved it here
	revoked    bool

	version, epoch uint64 // of the user
	disabled       bool

	// killAt: some stale call whose outcome is unknown may revoke the grant from this generation on.
	killAt uint64
	// armed are the events whose effect may still come, by number, in order.
	armed []int
}

const never = math.MaxUint64

func first() state {
	return state{version: firstVersion, epoch: firstEpoch, killAt: never}
}

func (s state) equal(other state) bool {
	return s.generation == other.generation && s.attempt == other.attempt && s.revoked == other.revoked &&
		s.version == other.version && s.epoch == other.epoch && s.disabled == other.disabled &&
		s.killAt == other.killAt && slices.Equal(s.armed, other.armed)
}

func (s state) hash() uint64 {
	h := fnv.New64a()
	b := binary.BigEndian.AppendUint64(nil, s.generation)
	b = binary.BigEndian.AppendUint64(b, s.version)
	b = binary.BigEndian.AppendUint64(b, s.killAt)
	for _, n := range s.armed {
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	if s.revoked {
		b = append(b, '!')
	}
	_, _ = h.Write(append(b, s.attempt...)) // never fails
	return h.Sum64()
}

func (s state) String() string {
	text := fmt.Sprintf("generation %d by %q, user v%d e%d", s.generation, s.attempt, s.version, s.epoch)
	if s.revoked {
		text += ", revoked"
	}
	if s.disabled {
		text += ", disabled"
	}
	if len(s.armed) > 0 || s.killAt != never {
		text += fmt.Sprintf(", armed %v, killed from %d", s.armed, s.killAt)
	}
	return text
}

// family is the model of one family, whose events it numbers.
type family struct {
	rules  Rules
	events []Event
	// repeated are the attempts that more than one event has. Only of these does it matter which one moved the grant, and
	// forgetting the others makes many states equal.
	repeated map[string]bool
}

func newFamily(rules Rules, events []Event) *family {
	f := &family{rules, events, map[string]bool{}}
	seen := map[string]bool{}
	for _, e := range events {
		attempt := e.Input.Attempt
		f.repeated[attempt], seen[attempt] = seen[attempt], true
	}
	return f
}

// user is what DecideUser says about the user in this state.
func (s state) user(in Input) storage.Outcome {
	r := storage.Rotation{UserID: "user", UserEpoch: in.UserEpoch, UserVersion: in.UserVersion}
	return r.DecideUser(storage.User{Disabled: s.disabled, Epoch: s.epoch, Version: s.version}, true)
}

// redeem is the model's own reading of the rules of Rotation, on purpose not that of package storage.
func (s state) redeem(in Input) (storage.Outcome, state) {
	switch {
	case s.revoked:
		return storage.Dead, s
	case in.Generation == s.generation:
		s.generation, s.attempt = s.generation+1, in.Attempt
		return storage.Rotated, s
	case in.Generation > s.generation:
		s.revoked = true
		return storage.Ahead, s
	case in.Generation+1 == s.generation && in.Attempt == s.attempt:
		return storage.Rotated, s
	case in.Generation+1 == s.generation && in.Window:
		return storage.Replayed, s
	}
	s.revoked = true
	return storage.Reused, s
}

// step returns every state in which the family may be after an operation; none if the operation is impossible.
func (f *family) step(s state, op *operation) []state {
	switch op.role {
	case arm:
		s.armed = append(slices.Clone(s.armed), op.number)
		return []state{f.tidy(s)}
	case disarm: // it may have come at the last moment
		var after []state
		for _, s := range f.reachable(s) {
			s.armed = slices.DeleteFunc(slices.Clone(s.armed), func(n int) bool { return n == op.number })
			after = append(after, s)
		}
		return after
	}
	var after []state
	for _, s := range f.reachable(s) {
		if next, possible := f.answer(s, op.event.Input, op.event.Output); possible {
			after = append(after, f.tidy(next))
		}
	}
	return after
}

// answer tells whether a store in state s may answer in with out, and the state it leaves behind.
func (f *family) answer(s state, in Input, out Output) (state, bool) {
	switch in.Kind {
	case KindRotate:
		return f.rotation(s, in, out)
	case KindRevoke:
		s.revoked = true
		return s, out.Refused == ""
	case KindGrant:
		return s, out.Refused == "" && out.Generation == s.generation && out.Revoked == s.revoked
	case KindUser:
		return s, out.Refused == "" && out.Version == s.version && out.Epoch == s.epoch && out.Disabled == s.disabled
	case KindReplace:
		if in.Version != s.version {
			return s, out.Refused == "conflict"
		}
		return s.replaced(in), out.Refused == ""
	}
	return s, false
}

func (s state) replaced(in Input) state {
	s.version, s.epoch, s.disabled = s.version+1, in.Epoch, in.Disabled
	return s
}

func (f *family) rotation(s state, in Input, out Output) (state, bool) {
	if out.Refused != "" {
		return s, false // these grants do not expire
	}
	if out.Outcome == storage.Fenced {
		return s, f.rules.Failover && in.Generation == 0
	}
	user := s.user(in)
	if byUser(out) && f.rules.UserLast {
		// The move, if there was one, is an operation of its own: see operations.
		return s, user == out.Outcome && out.Generation == in.Generation+1 && (s.revoked || s.generation > in.Generation)
	}
	if !s.revoked && user != 0 && (!f.rules.UserLast || out.success()) {
		return s, byUser(out) && out.Outcome == user && out.Generation == s.generation
	}
	// Where the user is looked at last, they were the same at the moment of the move: the version was known before it.
	outcome, after := s.redeem(in)
	return after, out.Outcome == outcome && out.Generation == after.generation && out.Revoked == after.revoked
}

// byUser tells whether an outcome comes from the user and not from the grant.
func byUser(out Output) bool {
	return out.Outcome == storage.Outdated || out.Outcome == storage.Dead && !out.Revoked
}

// reachable returns s and the states it may turn into when armed effects come.
func (f *family) reachable(s state) []state {
	found := []state{s}
	add := func(s state) {
		if s = f.tidy(s); !slices.ContainsFunc(found, s.equal) {
			found = append(found, s)
		}
	}
	for i := 0; i < len(found); i++ {
		s := found[i]
		if !s.revoked && s.generation >= s.killAt {
			dead := s
			dead.revoked = true
			add(dead)
		}
		for _, n := range s.armed {
			in := f.events[n].Input
			without := s
			without.armed = slices.DeleteFunc(slices.Clone(s.armed), func(m int) bool { return m == n })
			switch {
			case in.Kind == KindReplace && in.Version == s.version:
				add(without.replaced(in))
			case in.Kind == KindRotate && !s.revoked && (f.rules.UserLast || s.user(in) == 0):
				if outcome, after := without.redeem(in); outcome == storage.Rotated || !f.bracketed(n) {
					add(after)
				}
			}
		}
	}
	return found
}

// bracketed tells whether the event had an answer that says that the user was looked at, so that the grant was not killed.
func (f *family) bracketed(n int) bool { return !f.events[n].Output.Unknown }

// tidy drops what can have no effect any more, so that equal states look equal.
func (f *family) tidy(s state) state {
	if s.revoked {
		s.killAt = never
	}
	if s.revoked || !f.repeated[s.attempt] {
		s.attempt = ""
	}
	var armed []int
	for _, n := range s.armed {
		in := f.events[n].Input
		switch in.Kind {
		case KindReplace:
			if in.Version >= s.version {
				armed = append(armed, n)
			}
		case KindRevoke:
			if !s.revoked {
				s.killAt = 0
			}
		case KindRotate:
			if s.revoked {
				continue
			}
			if in.Generation >= s.generation {
				armed = append(armed, n)
			} else if !f.bracketed(n) {
				s.killAt = min(s.killAt, s.staleAt(in))
			}
		}
	}
	slices.Sort(armed)
	s.armed = armed
	return s
}

// staleAt is the generation from which on a rotation that cannot move the grant any more kills it.
func (s state) staleAt(in Input) uint64 {
	if in.Generation+1 == s.generation && !in.Window && in.Attempt != s.attempt {
		return in.Generation + 1
	}
	return in.Generation + 2
}

// operations translates the events of the family for porcupine.
func (f *family) operations() []porcupine.Operation {
	var list []porcupine.Operation
	add := func(number int, r role, call, ret int64) {
		e := &f.events[number]
		list = append(list, porcupine.Operation{
			ClientId: max(0, e.Client), Input: &operation{e, r, number}, Call: call, Return: ret,
		})
	}
	for i, e := range f.events {
		reads := e.Input.Kind == KindGrant || e.Input.Kind == KindUser
		switch {
		case e.Output.Unknown && !reads:
			add(i, arm, e.Call, e.Call)
		case e.Output.Unknown:
		case f.rules.UserLast && e.Input.Kind == KindRotate && byUser(e.Output):
			add(i, arm, e.Call, e.Call)
			add(i, whole, e.Call, e.Return)
			add(i, disarm, e.Return, e.Return)
		default:
			add(i, whole, e.Call, e.Return)
		}
	}
	return list
}

// model is the family for porcupine.
func (f *family) model() porcupine.Model {
	nondeterministic := porcupine.NondeterministicModel{
		Init: func() []any { return []any{first()} },
		Step: func(s, in, _ any) []any {
			var after []any
			for _, next := range f.step(s.(state), in.(*operation)) {
				after = append(after, next)
			}
			return after
		},
		Equal: func(a, b any) bool { return a.(state).equal(b.(state)) },
		Hash:  func(s any) uint64 { return s.(state).hash() },
		DescribeOperation: func(in, _ any) string {
			op := in.(*operation)
			return [...]string{"", "may come from here on: ", "cannot come any more: "}[op.role] + op.event.String()
		},
		DescribeState: func(s any) string { return s.(state).String() },
	}
	return nondeterministic.ToModel()
}
