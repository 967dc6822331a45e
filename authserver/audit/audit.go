// Package audit holds the closed list of events that an operator or an auditor may want to find again, and the
// recorder that takes them.
//
// An audit event is not a log line: it says who did what to whom and with which result, in fields with fixed names,
// and never carries a secret. Packages that make events call [Recorder.Record]; it never blocks on anything but the
// writing of one line and never fails.
package audit

import (
	"context"
	"log/slog"
)

// Name is the name of an event. The list below is closed: a new one is added here first.
type Name string

// The events. Sign-ins and tokens:
const (
	SignInSucceeded Name = "signin.succeeded"
	SignInFailed    Name = "signin.failed"
	SignInThrottled Name = "signin.throttled"
	TokenIssued     Name = "token.issued"
	TokenRefreshed  Name = "token.refreshed"
	TokenRevoked    Name = "token.revoked"
	// RefreshReused: a used refresh token came back; its grant was revoked (RFC 9700 §4.14.2).
	RefreshReused Name = "refresh.reused"
	// RollbackDetected: a refresh token newer than the store was presented: the store has lost a write.
	RollbackDetected Name = "rollback.detected"
	ClientAuthFailed Name = "client.auth_failed"
	// CodeReused: an authorization code came back; what it was redeemed for was revoked (RFC 6749 §4.1.2).
	CodeReused Name = "code.reused"
	// ConsentGiven, ConsentDenied and ConsentWithdrawn are what a person decided about a client.
	ConsentGiven     Name = "consent.given"
	ConsentDenied    Name = "consent.denied"
	ConsentWithdrawn Name = "consent.withdrawn"
	// SessionEnded: somebody signed out, or ended a browser session in their account.
	SessionEnded Name = "session.ended"
	// LogoutDelivered and LogoutFailed tell what became of a logout token (OIDC Back-Channel Logout).
	LogoutDelivered Name = "logout.delivered"
	LogoutFailed    Name = "logout.failed"
)

// Administration:
const (
	UserCreated         Name = "user.created"
	UserPasswordChanged Name = "user.password_changed"
	UserDisabled        Name = "user.disabled"
	UserEnabled         Name = "user.enabled"
	UserRemoved         Name = "user.removed"
	ClientCreated       Name = "client.created"
	ClientChanged       Name = "client.changed"
	ClientRemoved       Name = "client.removed"
	ClientSecretRotated Name = "client.secret_rotated"
)

// Event is one thing that happened. Empty fields are left out. No field may hold a credential.
type Event struct {
	Name     Name
	ClientID string
	UserID   string
	Username string
	GrantID  string
	// Address is where the request came from.
	Address string
	// Reason says why, in a few words of our own (never text of a request).
	Reason string
}

// Recorder takes events and writes each as one line of its logger. The zero value and nil discard.
// It is safe for concurrent use.
type Recorder struct {
	// Log receives the events; give it a handler of its own where they must go to a place of their own.
	Log *slog.Logger
}

// Record writes one event.
func (r *Recorder) Record(ctx context.Context, e Event) {
	if r == nil || r.Log == nil {
		return
	}
	attrs := make([]slog.Attr, 0, 8)
	attrs = append(attrs, slog.String("event", string(e.Name)))
	for _, f := range [...]struct{ key, value string }{
		{"client_id", e.ClientID},
		{"sub", e.UserID},
		{"username", e.Username},
		{"grant_id", e.GrantID},
		{"address", e.Address},
		{"reason", e.Reason},
	} {
		if f.value != "" {
			attrs = append(attrs, slog.String(f.key, f.value))
		}
	}
	r.Log.LogAttrs(ctx, slog.LevelInfo, "audit", attrs...)
}
