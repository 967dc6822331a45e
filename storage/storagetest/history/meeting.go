package history

import (
	"context"
	"sync"
)

// meeting lets the clients of a group wait for each other.
type meeting interface {
	// arrive returns when all of the group have arrived.
	arrive(ctx context.Context, group string) error
}

// hall is a meeting of clients in one process.
type hall struct {
	size int // clients in a group
	mu   sync.Mutex
	// The room of a group is there while somebody waits in it.
	rooms map[string]*room
}

type room struct {
	here int
	full chan struct{}
}

func newHall(size int) *hall { return &hall{size: size, rooms: map[string]*room{}} }

func (h *hall) arrive(ctx context.Context, group string) error {
	h.mu.Lock()
	r := h.rooms[group]
	if r == nil {
		r = &room{full: make(chan struct{})}
		h.rooms[group] = r
	}
	if r.here++; r.here == h.size {
		close(r.full)
		delete(h.rooms, group)
	}
	h.mu.Unlock()
	select {
	case <-r.full:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// branch is the part of a meeting that one of several processes sees: it tells the others that somebody came, and hears
// when all have.
type branch struct {
	tell func(group string) error
	mu   sync.Mutex
	full map[string]chan struct{}
}

func newBranch(tell func(string) error) *branch {
	return &branch{tell: tell, full: map[string]chan struct{}{}}
}

func (b *branch) arrive(ctx context.Context, group string) error {
	b.mu.Lock()
	full := b.full[group]
	if full == nil {
		full = make(chan struct{})
		b.full[group] = full
	}
	b.mu.Unlock()
	if err := b.tell(group); err != nil {
		return err
	}
	select {
	case <-full:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// release lets those go on who wait here. Nobody of the group waits for the next meeting yet: all of them were in this one.
func (b *branch) release(group string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if full := b.full[group]; full != nil {
		close(full)
		delete(b.full, group)
	}
}
