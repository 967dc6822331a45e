package authserver_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
)

// Issue 3, speed: a refresh asks the store for what it may remember, and then redeems: one round trip where the memory is
// warm. client_credentials asks for its client alone. A caller of the tap's other verbs would show up here as well.
func TestTheStoreIsAskedAsLittleAsCanBe(t *testing.T) {
	r, store := tapped(t)
	token := r.signInAt("cli")
	for name, c := range map[string]struct {
		ask  func() response
		want string
	}{
		"refresh": {func() response { return r.refresh(token) }, "Client RecallGrant RecallUser Rotate"},
		"client credentials": {func() response {
			return r.do(basic(form("/oauth2/token", "grant_type", "client_credentials"), "service", svcPlain))
		}, "Client"},
		"introspection": {func() response { return r.introspect("web", webPlain, token) }, "Client Grant"},
	} {
		asked := store.record()
		want(t, c.ask(), http.StatusOK, "")
		if got := strings.Join(*asked, " "); got != c.want {
			t.Errorf("%s: the store was asked %q, want %q", name, got, c.want)
		}
	}
}

// elephant is a node that never learns: it recalls everything as it was when it first saw it.
type elephant struct {
	storage.Store
	mu     sync.Mutex
	grants map[string]storage.Grant
	users  map[string]storage.User
}

func newElephant(s storage.Store) storage.Store {
	return &elephant{Store: s, grants: map[string]storage.Grant{}, users: map[string]storage.User{}}
}

func recall[T any](ctx context.Context, e *elephant, memory map[string]T, id string, read func(context.Context, string) (T, error)) (T, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if v, known := memory[id]; known {
		return v, nil
	}
	v, err := read(ctx, id)
	if err == nil {
		memory[id] = v
	}
	return v, err
}

func (e *elephant) RecallGrant(ctx context.Context, id string) (storage.Grant, error) {
	return recall(ctx, e, e.grants, id, e.Store.Grant)
}

func (e *elephant) RecallUser(ctx context.Context, id string) (storage.User, error) {
	return recall(ctx, e, e.users, id, e.Store.User)
}

// R14, INV5: two nodes on one store, neither of which ever learns what the other did, answer as one that knows.
func TestNodesWithOldMemoriesAnswerAsOne(t *testing.T) {
	inBubbles(t, func(t testing.TB, store storage.Store) {
		nodes := []*rig{newRigOn(t, store, withStore(newElephant)), newRigOn(t, store, withStore(newElephant))}
		token := nodes[0].signInAt("strict")
		for i := range 6 {
			res := nodes[i%2].at("strict", token)
			want(t, res, http.StatusOK, "")
			token = res.str("refresh_token")
		}
		nodes[0].changeUser("usr_alice", func(u *storage.User) { u.Username = "alicia" })
		for _, node := range nodes {
			res := node.at("strict", token)
			want(t, res, http.StatusOK, "")
			token = res.str("refresh_token")
			if got := node.verify(res.str("access_token")).str("username"); got != "alicia" {
				t.Errorf("the username is %q", got)
			}
		}
		used := token
		res := nodes[0].at("strict", used)
		want(t, res, http.StatusOK, "")
		want(t, nodes[1].at("strict", used), http.StatusBadRequest, "invalid_grant")
		nodes[1].wantEvent("refresh.reused")
		for _, node := range nodes {
			want(t, node.at("strict", res.str("refresh_token")), http.StatusBadRequest, "invalid_grant")
		}
	})
}

// R10, R14: a node that remembers the user and the grant as alive refuses all the same.
func TestWhatEndsASignInEndsItAtNodesWithOldMemories(t *testing.T) {
	for name, end := range map[string]func(r *rig, token string){
		"disabled":  func(r *rig, _ string) { r.changeUser("usr_alice", func(u *storage.User) { u.Disabled = true }) },
		"new epoch": func(r *rig, _ string) { r.changeUser("usr_alice", func(u *storage.User) { u.Epoch++ }) },
		"deleted":   func(r *rig, _ string) { must(r.t, r.store.DeleteUser(context.Background(), "usr_alice")) },
		"revoked":   func(r *rig, token string) { want(r.t, r.revoke("cli", "", token), http.StatusOK, "") },
		"idle":      func(*rig, string) { time.Sleep(365 * 24 * time.Hour) },
		"nothing":   nil,
	} {
		t.Run(name, func(t *testing.T) {
			inBubbles(t, func(t testing.TB, store storage.Store) {
				here, there := newRigOn(t, store, withStore(newElephant)), newRigOn(t, store)
				token := here.wantLive(here.signInAt("cli"))
				if end == nil {
					here.wantLive(token)
					return
				}
				end(there, token)
				here.wantDead(token)
			})
		})
	}
}
