package redistest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

const (
	moveBatch   = 100   // keys of one MIGRATE
	moveTimeout = 5_000 // milliseconds of one MIGRATE
)

// MoveSlots moves n slots from one primary to another while clients go on, as redis-cli does, and waits until all nodes
// know. It fails the test, and moves nothing, when from has fewer slots.
func (g *ClusterGroup) MoveSlots(t testing.TB, from, to *Server, n int) {
	t.Helper()
	if err := g.Reshard(t.Context(), from, to, n); err != nil {
		t.Fatal(err)
	}
	g.WaitReady(t)
}

// Reshard is MoveSlots for any goroutine; it does not wait until all nodes know.
func (g *ClusterGroup) Reshard(ctx context.Context, from, to *Server, n int) error {
	owners, err := g.owners(ctx)
	if err != nil {
		return err
	}
	slots := slotsOf(owners, from)
	if len(slots) < n {
		return fmt.Errorf("%s has %d slots, not %d", from.Addr(), len(slots), n)
	}
	for _, slot := range slots[:n] {
		if err := g.MoveSlot(ctx, from, to, slot); err != nil {
			return fmt.Errorf("move slot %d from %s to %s: %w", slot, from.Addr(), to.Addr(), err)
		}
	}
	return nil
}

// MoveSlot moves one slot: BeginMove, MoveKeys until none is left, EndMove. In between a client meets ASK for keys that have
// moved, and TRYAGAIN where a command names some that have and some that have not.
func (g *ClusterGroup) MoveSlot(ctx context.Context, from, to *Server, slot int) error {
	if err := g.BeginMove(ctx, from, to, slot); err != nil {
		return err
	}
	for {
		keys, err := from.admin.ClusterGetKeysInSlot(ctx, slot, moveBatch).Result()
		if err != nil {
			return err
		}
		if len(keys) == 0 {
			return g.EndMove(ctx, from, to, slot)
		}
		if err := g.MoveKeys(ctx, from, to, keys); err != nil {
			return err
		}
	}
}

// BeginMove marks a slot as on its way; no key moves yet.
func (g *ClusterGroup) BeginMove(ctx context.Context, from, to *Server, slot int) error {
	if err := to.admin.Do(ctx, "CLUSTER", "SETSLOT", slot, "IMPORTING", g.ids[from]).Err(); err != nil {
		return err
	}
	return from.admin.Do(ctx, "CLUSTER", "SETSLOT", slot, "MIGRATING", g.ids[to]).Err()
}

// MoveKeys moves keys of a slot that is on its way.
func (g *ClusterGroup) MoveKeys(ctx context.Context, from, to *Server, keys []string) error {
	args := []any{"MIGRATE", "127.0.0.1", to.port, "", 0, moveTimeout}
	if o := to.Options(); o.Password != "" {
		args = append(args, "AUTH2", o.Username, o.Password)
	}
	args = append(args, "KEYS")
	for _, key := range keys {
		args = append(args, key)
	}
	return from.admin.Do(ctx, args...).Err()
}

// EndMove gives a slot that holds no more keys at from to its new owner, who is told first, so that nobody is sent to a node
// that does not know of it.
func (g *ClusterGroup) EndMove(ctx context.Context, from, to *Server, slot int) error {
	tell := []*Server{to, from}
	for _, node := range g.nodes {
		if !slices.Contains(tell, node) {
			tell = append(tell, node)
		}
	}
	var errs []error
	for _, node := range tell {
		if !node.running() {
			continue
		}
		err := node.admin.Do(ctx, "CLUSTER", "SETSLOT", slot, "NODE", g.ids[to]).Err()
		if err != nil && !strings.Contains(err.Error(), "only with masters") {
			errs = append(errs, fmt.Errorf("tell %s: %w", node.Addr(), err)) // replicas learn it from their primaries
		}
	}
	return errors.Join(errs...)
}
