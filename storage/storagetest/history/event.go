package history

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/ingam/ingam/storage"
)

// Kind is a verb of the store.
type Kind string

// The verbs that are checked.
const (
	KindRotate  Kind = "rotate"  // redeem a code (generation 0) or a refresh token
	KindRevoke  Kind = "revoke"  // RevokeGrant
	KindGrant   Kind = "grant"   // read the grant
	KindUser    Kind = "user"    // read the user
	KindReplace Kind = "replace" // ReplaceUser: disable, or change something harmless
)

// Input is what a client asked for.
type Input struct {
	Kind   Kind   `json:"kind"`
	Family string `json:"family"` // id of the grant

	// Of a rotation.
	Generation  uint64 `json:"generation,omitempty"`
	Attempt     string `json:"attempt,omitempty"`
	Window      bool   `json:"window,omitempty"` // it came with a grace window, which is open all the time
	UserVersion uint64 `json:"user_version,omitempty"`
	UserEpoch   uint64 `json:"user_epoch,omitempty"`

	// Of a replacement: the version it expects and what it writes.
	Version  uint64 `json:"version,omitempty"`
	Epoch    uint64 `json:"epoch,omitempty"`
	Disabled bool   `json:"disabled,omitempty"`
}

// Output is what the store answered.
type Output struct {
	// Unknown: the store failed, and what it did is not known.
	Unknown bool `json:"unknown,omitempty"`
	// Refused is the store's own answer in place of a result: ErrNotFound, ErrConflict …
	Refused string `json:"refused,omitempty"`

	Outcome    storage.Outcome `json:"outcome,omitempty"`
	Generation uint64          `json:"generation,omitempty"` // of the grant, after the rotation or as read
	Revoked    bool            `json:"revoked,omitempty"`

	Version  uint64 `json:"version,omitempty"` // of the user, as read
	Epoch    uint64 `json:"epoch,omitempty"`
	Disabled bool   `json:"disabled,omitempty"`
}

// success tells whether a client got tokens.
func (o Output) success() bool {
	return !o.Unknown && (o.Outcome == storage.Rotated || o.Outcome == storage.Replayed)
}

// Event is one call of the store. Call and Return are nanoseconds by a clock that all processes of the machine share.
type Event struct {
	Client int    `json:"client"`
	Call   int64  `json:"call"`
	Return int64  `json:"return"` // when the answer, or the failure, was there
	Input  Input  `json:"input"`
	Output Output `json:"output"`
}

// String is the event on one line, without its times.
func (e Event) String() string {
	in, out := e.Input, e.Output
	text := string(in.Kind)
	switch in.Kind {
	case KindRotate:
		text += fmt.Sprintf(" generation %d by %s, window %t, user v%d e%d", in.Generation, in.Attempt, in.Window, in.UserVersion, in.UserEpoch)
	case KindReplace:
		text += fmt.Sprintf(" v%d by e%d disabled %t", in.Version, in.Epoch, in.Disabled)
	}
	switch {
	case out.Unknown:
		return text + " -> unknown"
	case out.Refused != "":
		return text + " -> " + out.Refused
	}
	switch in.Kind {
	case KindRotate:
		return text + fmt.Sprintf(" -> %v, generation %d, revoked %t", out.Outcome, out.Generation, out.Revoked)
	case KindGrant:
		return text + fmt.Sprintf(" -> generation %d, revoked %t", out.Generation, out.Revoked)
	case KindUser:
		return text + fmt.Sprintf(" -> v%d e%d disabled %t", out.Version, out.Epoch, out.Disabled)
	}
	return text + " -> done"
}

// refusal returns how the store refused, or reports that it failed.
func refusal(err error) (refused string, failed bool) {
	switch {
	case err == nil:
		return "", false
	case storage.IsFailure(err):
		return "", true
	case errors.Is(err, storage.ErrNotFound):
		return "not found", false
	case errors.Is(err, storage.ErrConflict):
		return "conflict", false
	}
	return err.Error(), false
}

// Read reads events as [Worker] writes them: a line of JSON each.
func Read(r io.Reader) ([]Event, error) {
	var events []Event
	for lines := json.NewDecoder(bufio.NewReader(r)); ; {
		var e Event
		switch err := lines.Decode(&e); {
		case errors.Is(err, io.EOF):
			return events, nil
		case err != nil:
			return nil, fmt.Errorf("history: event %d: %w", len(events)+1, err)
		}
		events = append(events, e)
	}
}
