package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/redis"
)

// health is a store that others can change behind this server's back. While a server runs, it asks the doctor again and
// again: a setting of Redis under which a server must not run turns readiness off, by way of Ping, until it is gone.
type health struct {
	storage.Store
	doctor func(context.Context) ([]redis.Finding, error)
	log    *slog.Logger

	refused atomic.Pointer[string] // what Ping fails with
	// What was seen last; only the goroutine that looks has it.
	findings map[found]redis.Finding
	trouble  string // why it could not look, or what Ping says
}

// found is what makes a finding the same one as before.
type found struct{ name, node string }

// Ping fails while something is refused, and else asks the store.
func (h *health) Ping(ctx context.Context) error {
	if refused := h.refused.Load(); refused != nil {
		return errors.New(*refused)
	}
	return h.Store.Ping(ctx)
}

// admit is the first look, before a port opens. What is refused is an error.
func (h *health) admit(ctx context.Context, where string) error {
	ctx, cancel := context.WithTimeout(ctx, doctorTimeout)
	defer cancel()
	findings, err := h.doctor(ctx)
	if err != nil {
		return fmt.Errorf("look at %s: %w", where, err)
	}
	if err := refusals(where, findings); err != nil {
		return err
	}
	h.note(findings)
	return nil
}

// watch looks until ctx ends. The pauses differ, so that nodes which were started together do not look together.
func (h *health) watch(ctx context.Context) {
	for {
		pause := doctorEvery
		if h.refused.Load() != nil {
			pause = doctorAgain
		}
		pause += time.Duration((rand.Float64() - 0.5) * 0.2 * float64(pause)) //nolint:gosec // not a secret
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		h.look(ctx)
	}
}

// look asks the store and the doctor once and logs what is different from the last time.
func (h *health) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, doctorTimeout)
	defer cancel()
	findings, err := h.doctor(ctx)
	if err == nil {
		h.note(findings)
		err = h.Store.Ping(ctx) // it may have been emptied
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return // the server ends
	}
	// Redis that is away needs no finding of its own: Ping fails as well, and so readiness is off.
	switch {
	case err != nil && h.trouble == "":
		h.log.Error("the store cannot be used; not ready until it can", "error", err.Error())
		h.trouble = err.Error()
	case err == nil && h.trouble != "":
		h.log.Info("the store can be used again")
		h.trouble = ""
	}
}

// note remembers the findings, logs those that have changed, and turns readiness off or on.
func (h *health) note(findings []redis.Finding) {
	now := map[found]redis.Finding{}
	var refused *string
	for _, f := range findings {
		now[found{f.Name, f.Node}] = f
		if f.Level == redis.Refuse && refused == nil {
			refused = new("refused: " + describe(f))
		}
	}
	for key, f := range now {
		if before := h.findings[key]; before.Level != f.Level || before.Says != f.Says {
			h.logFinding(f, before)
		}
	}
	for key, before := range h.findings {
		if _, still := now[key]; !still && before.Level != redis.OK {
			h.log.Info("the store: no longer found", "finding", before.Name, "node", before.Node)
		}
	}
	h.findings = now
	switch before := h.refused.Swap(refused); {
	case before == nil && refused != nil:
		h.log.Error("the store is not fit to hold this data any more; not ready until it is", "error", *refused)
	case before != nil && refused == nil:
		h.log.Info("the store is fit to hold this data again")
	}
}

// logFinding logs a finding that is new or has changed. That all is well is news only where it was not.
func (h *health) logFinding(f, before redis.Finding) {
	attrs := []any{"finding", f.Name, "says", f.Says}
	if f.Node != "" {
		attrs = append(attrs, "node", f.Node)
	}
	if f.Fix != "" {
		attrs = append(attrs, "fix", f.Fix)
	}
	switch {
	case f.Level == redis.Refuse:
		h.log.Error("the store: a server must not run on this", attrs...)
	case f.Level == redis.Warn:
		h.log.Warn("the store promises less than it could", attrs...)
	case before.Level == redis.Warn || before.Level == redis.Refuse:
		h.log.Info("the store: well again", attrs...)
	}
}
