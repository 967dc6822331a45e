package oidc

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ingam/ingam/storage"
)

const (
	typLogout            = "logout+jwt" // OIDC Back-Channel Logout §2.4
	eventLogout          = "http://schemas.openid.net/event/backchannel-logout"
	logoutTokenLifetime  = 2 * time.Minute
	maxDeliveryErrorText = 200
)

const (
	// pollEvery is how soon a node sees what another one has written.
	pollEvery = 2 * time.Second
	// leaseFor is how long a try belongs to the node that began it; tryFor, how long it may take, ends well before.
	leaseFor = 30 * time.Second
	tryFor   = 10 * time.Second
	// parallel is how many tries run at once, and perClient how many of them at one client, so that a client that does not
	// answer holds up nobody else.
	parallel  = 4
	perClient = 2
	// outboxAtOnce is how much of the outbox is read at once.
	outboxAtOnce = 5000
)

// retryAfter are the pauses after the first failures; the last one stays.
var retryAfter = []time.Duration{time.Second, 5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, time.Hour}

// Poster sends a form to a client and answers the status. It is the guarded client for calls to the outside: it decides
// which addresses may be called at all (threats G5).
type Poster interface {
	PostForm(ctx context.Context, url string, form url.Values) (status int, err error)
}

// Courier brings logout tokens from the outbox to the clients (OIDC Back-Channel Logout §2.5). It keeps nothing that
// matters: what has to be sent, how often it was tried and when it is due again is in the store. A node owns a try by
// moving NextAt on, which only one succeeds at; if it dies, the try is due again when its lease ends.
//
// Make one with [NewCourier] and call Run once.
type Courier struct {
	// Audit, if not nil, hears what became of each logout token. Set it before Run.
	Audit func(ctx context.Context, told Told)

	issuer  string
	outbox  storage.Outbox
	clients storage.Clients
	keys    Signer
	poster  Poster
	log     *slog.Logger
	kick    chan struct{}
}

// Told is what became of a logout token: a client took it, or was given up, and why.
type Told struct {
	ClientID, Subject string
	Delivered         bool
	Reason            string
}

// NewCourier answers a courier; log may be nil.
func NewCourier(issuer string, store storage.Store, keys Signer, poster Poster, log *slog.Logger) *Courier {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Courier{
		issuer: issuer, outbox: storage.Outbox{Entries: store}, clients: store, keys: keys, poster: poster, log: log,
		kick: make(chan struct{}, 1),
	}
}

// Kick says that there is something new. It never blocks.
func (c *Courier) Kick() {
	select {
	case c.kick <- struct{}{}:
	default: // it will look anyway
	}
}

// Run delivers until ctx ends, and returns when the tries that are under way have ended.
func (c *Courier) Run(ctx context.Context) {
	var tries sync.WaitGroup
	defer tries.Wait()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	round := round{inFlight: map[string]string{}, ended: make(chan string, parallel)}
	for look := true; ; {
		if look {
			round.due = c.due(ctx, &round)
		}
		for d, ok := round.next(); ok; d, ok = round.next() {
			tries.Go(func() {
				c.try(ctx, d)
				round.ended <- d.ID
			})
		}
		look = true
		select {
		case <-ctx.Done():
			return
		case <-c.kick:
		case <-tick.C:
		case id := <-round.ended:
			delete(round.inFlight, id)
			look = false
		}
	}
}

// round is what a running courier has in its hands.
type round struct {
	due      []storage.Delivery
	inFlight map[string]string // id of the delivery → client
	ended    chan string       // has room for all tries, so that none waits for the loop
	failing  bool              // the store did not answer the last time
}

// next takes the first delivery that may begin now.
func (r *round) next() (storage.Delivery, bool) {
	if len(r.inFlight) >= parallel {
		return storage.Delivery{}, false
	}
	for i, d := range r.due {
		at := 0
		for _, client := range r.inFlight {
			if client == d.ClientID {
				at++
			}
		}
		if _, running := r.inFlight[d.ID]; running || at >= perClient {
			continue
		}
		r.due = slices.Delete(r.due, i, i+1)
		r.inFlight[d.ID] = d.ClientID
		return d, true
	}
	return storage.Delivery{}, false
}

// due reads what has to be tried now. A failing store is logged once, not each time.
func (c *Courier) due(ctx context.Context, r *round) []storage.Delivery {
	all, err := c.outbox.All(ctx, outboxAtOnce)
	if err != nil {
		if !r.failing && ctx.Err() == nil {
			c.log.ErrorContext(ctx, "the outbox of logout tokens cannot be read", "error", err)
		}
		r.failing = true
		return nil
	}
	r.failing = false
	now := time.Now()
	var due []storage.Delivery
	for _, d := range all {
		if !d.Failed && !d.NextAt.After(now) {
			due = append(due, d)
		}
	}
	return due
}

// try makes one attempt, if it is ours to make.
func (c *Courier) try(ctx context.Context, d storage.Delivery) {
	client, err := c.clients.Client(ctx, d.ClientID)
	switch {
	case storage.IsFailure(err):
		return // still due
	case err != nil || client.BackchannelLogoutURI == "":
		c.finish(ctx, c.outbox.Done(ctx, d.ID), d) // the client has gone, or wants to hear no more
		return
	}
	before := d
	d.URI = client.BackchannelLogoutURI // as it is registered now: it may have been put right
	d.Attempts++
	waitUntil(&d, time.Now().Add(leaseFor))
	if err := c.outbox.Replace(ctx, d); err != nil {
		return // another node has it, or the store does not answer and it is still due
	}
	d.Version++ // storage.Entries: Replace counts the version up

	trying, cancel := context.WithTimeout(ctx, tryFor)
	defer cancel()
	status, err := c.send(trying, d)
	// The result is written also when the server is just stopping.
	writing, cancelWriting := context.WithTimeout(context.WithoutCancel(ctx), tryFor)
	defer cancelWriting()
	if ctx.Err() != nil && err != nil {
		// Not the client's fault: the next process goes on as if this try had not begun.
		before.Version = d.Version
		c.finish(writing, c.outbox.Replace(writing, before), d)
		return
	}
	c.record(writing, d, status, err)
}

// send makes the logout token of this try and posts it.
func (c *Courier) send(ctx context.Context, d storage.Delivery) (int, error) {
	token, err := c.logoutToken(ctx, d, time.Now())
	if err != nil {
		return 0, err
	}
	// OIDC Back-Channel Logout §2.5
	return c.poster.PostForm(ctx, d.URI, url.Values{"logout_token": {token}})
}

// logoutToken is a token of OIDC Back-Channel Logout §2.4: one event, and never a nonce, so that nobody takes it for an ID
// token.
func (c *Courier) logoutToken(ctx context.Context, d storage.Delivery, now time.Time) (string, error) {
	token, err := signJSON(ctx, c.keys, typLogout, map[string]any{
		"iss":    c.issuer,
		"sub":    d.Subject,
		"aud":    d.ClientID,
		"iat":    now.Unix(),
		"exp":    now.Add(logoutTokenLifetime).Unix(),
		"jti":    rand.Text(),
		"events": map[string]any{eventLogout: map[string]any{}},
		"sid":    d.SessionID,
	})
	if err != nil {
		return "", fmt.Errorf("sign the logout token: %w", err)
	}
	return token, nil
}

// record writes down how a try ended.
func (c *Courier) record(ctx context.Context, d storage.Delivery, status int, err error) {
	// OIDC Back-Channel Logout §2.8: 200, and some frameworks make 204 of an answer without a body; 400 for a token that the
	// client refuses, and it would refuse the next one as well.
	if err == nil && (status == http.StatusOK || status == http.StatusNoContent) {
		c.finish(ctx, c.outbox.Done(ctx, d.ID), d)
		c.tell(ctx, Told{ClientID: d.ClientID, Subject: d.Subject, Delivered: true})
		return
	}
	now := time.Now()
	d.LastError = deliveryError(status, err)
	waitUntil(&d, now.Add(pause(d.ID, d.Attempts)))
	if err == nil && status == http.StatusBadRequest || d.NextAt.After(d.CreatedAt.Add(deliveryLifetime)) {
		d.Failed = true
		d.ExpiresAt = now.Add(failedLifetime)
		c.log.WarnContext(ctx, "a client was not told of a logout, and will not be",
			"client_id", d.ClientID, "delivery", d.ID, "attempts", d.Attempts, "error", d.LastError)
		c.tell(ctx, Told{ClientID: d.ClientID, Subject: d.Subject, Reason: fmt.Sprintf("given up at attempt %d", d.Attempts)})
	}
	c.finish(ctx, c.outbox.Replace(ctx, d), d)
}

func (c *Courier) tell(ctx context.Context, told Told) {
	if c.Audit != nil {
		c.Audit(ctx, told)
	}
}

// finish logs that the end of a try could not be written down. Nothing is lost by it: the try is due again when its lease
// ends, and a client that hears twice of a logout does nothing the second time.
func (c *Courier) finish(ctx context.Context, err error, d storage.Delivery) {
	if storage.IsFailure(err) {
		c.log.ErrorContext(ctx, "the end of a logout delivery could not be stored", "delivery", d.ID, "error", err)
	}
}

// waitUntil says when a delivery is due again. The outbox lists first what the store would forget first, so its end moves on as
// well: what waits for its next try stands behind what is due, however much a dead client makes wait.
func waitUntil(d *storage.Delivery, next time.Time) {
	d.NextAt, d.ExpiresAt = next, next.Add(deliveryLifetime+deliveryMargin)
}

// pause is how long to wait after so many attempts, with up to a quarter more so that what failed together is not tried
// together. It follows from the id: each delivery has its own, and nothing has to be random.
func pause(id string, attempts int) time.Duration {
	base := retryAfter[min(max(attempts, 1), len(retryAfter))-1]
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", id, attempts))
	return base + base/4*time.Duration(binary.BigEndian.Uint16(sum[:2]))/(1<<16)
}

// deliveryError says what went wrong, for the administrator. The address is left out: its query may hold a secret.
func deliveryError(status int, err error) string {
	if err == nil {
		return fmt.Sprintf("answered %d", status)
	}
	var withAddress *url.Error
	if errors.As(err, &withAddress) {
		err = withAddress.Err
	}
	text := err.Error()
	if len(text) > maxDeliveryErrorText {
		text = text[:maxDeliveryErrorText] + " …"
	}
	return strings.ToValidUTF8(text, "")
}
