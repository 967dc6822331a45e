package authserver_test

import (
	"context"
	"net/http"
	"sync"
	"testing"

	"github.com/ingam/ingam/storage"
)

// together sends n requests at the same moment and answers what came back.
func together(n int, send func(i int) response) []response {
	answers := make([]response, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			answers[i] = send(i)
		})
	}
	close(start)
	wg.Wait()
	return answers
}

// R5: on two nodes of one store.
func TestParallelRefreshesWithinTheWindowAllGetTheSameSuccessor(t *testing.T) {
	inBubbles(t, func(t testing.TB, store storage.Store) {
		nodes := []*rig{newRigOn(t, store), newRigOn(t, store)}
		token := nodes[0].signInAt("cli")
		for range 2 {
			successors, access := map[string]int{}, map[string]int{}
			for _, res := range together(64, func(i int) response { return nodes[i%2].refresh(token) }) {
				want(t, res, http.StatusOK, "")
				successors[res.str("refresh_token")]++
				access[res.str("access_token")]++
			}
			if len(successors) != 1 || len(access) != 64 {
				t.Fatalf("64 answers have %d successors and %d access tokens", len(successors), len(access))
			}
			for token = range successors {
			}
		}
		nodes[1].wantLive(token)
	})
}

// R4: with window 0 there is one winner, and as the same token came twice, the family ends.
func TestParallelRefreshesWithoutAWindowHaveOneWinner(t *testing.T) {
	inBubbles(t, func(t testing.TB, store storage.Store) {
		nodes := []*rig{newRigOn(t, store), newRigOn(t, store)}
		token, winners := nodes[0].signInAt("strict"), []string{}
		for _, res := range together(64, func(i int) response { return nodes[i%2].at("strict", token) }) {
			if res.StatusCode == http.StatusOK {
				winners = append(winners, res.str("refresh_token"))
				continue
			}
			want(t, res, http.StatusBadRequest, "invalid_grant")
		}
		if len(winners) != 1 {
			t.Fatalf("%d winners", len(winners))
		}
		want(t, nodes[0].at("strict", winners[0]), http.StatusBadRequest, "invalid_grant")
	})
}

// R10: when the revocation has been answered, no refresh that is sent afterwards succeeds, and no racer's token lives.
func TestARefreshThatRacesARevocationDoesNotOutliveIt(t *testing.T) {
	ends := map[string]func(r *rig, token string){
		"revoked": func(r *rig, token string) { want(r.t, r.revoke("cli", "", token), http.StatusOK, "") },
		"new password": func(r *rig, _ string) {
			r.changeUser("usr_alice", func(u *storage.User) { u.Epoch++ })
		},
		"disabled":       func(r *rig, _ string) { r.changeUser("usr_alice", func(u *storage.User) { u.Disabled = true }) },
		"deleted":        func(r *rig, _ string) { must(r.t, r.store.DeleteUser(context.Background(), "usr_alice")) },
		"client deleted": func(r *rig, _ string) { must(r.t, r.store.DeleteClient(context.Background(), "cli")) },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			onRefresh(t, func(t testing.TB, r *rig) {
				token := r.signInAt("cli")
				answers := together(9, func(i int) response {
					if i == 4 {
						end(r, token)
					}
					return r.refresh(token)
				})
				if answers[4].StatusCode == http.StatusOK {
					t.Errorf("a refresh after the end: %s", answers[4].raw)
				}
				for _, res := range answers {
					if next := res.str("refresh_token"); next != "" {
						if later := r.refresh(next); later.StatusCode == http.StatusOK {
							t.Errorf("a successor outlived the end: %s", later.raw)
						}
					}
				}
			})
		})
	}
}

// R14
func TestARefreshLooksAtUserAndClientAsTheyAreNow(t *testing.T) {
	ctx := context.Background()
	cases := map[string]struct {
		change func(r *rig)
		status int
		code   string
	}{
		"nothing":         {func(*rig) {}, 200, ""},
		"another user":    {func(r *rig) { r.changeUser("usr_bob", func(u *storage.User) { u.Disabled = true }) }, 200, ""},
		"renamed":         {func(r *rig) { r.changeUser("usr_alice", func(u *storage.User) { u.Username = "alicia" }) }, 200, ""},
		"disabled":        {func(r *rig) { r.changeUser("usr_alice", func(u *storage.User) { u.Disabled = true }) }, 400, "invalid_grant"},
		"new epoch":       {func(r *rig) { r.changeUser("usr_alice", func(u *storage.User) { u.Epoch++ }) }, 400, "invalid_grant"},
		"user deleted":    {func(r *rig) { must(r.t, r.store.DeleteUser(ctx, "usr_alice")) }, 400, "invalid_grant"},
		"client deleted":  {func(r *rig) { must(r.t, r.store.DeleteClient(ctx, "cli")) }, 401, "invalid_client"},
		"now with secret": {func(r *rig) { r.changeClient("cli", confidential) }, 401, "invalid_client"},
		"no longer refreshing": {func(r *rig) {
			r.changeClient("cli", func(c *storage.Client) { c.GrantTypes = []string{"password"} })
		}, 400, "unauthorized_client"},
		"no longer password": {func(r *rig) {
			r.changeClient("cli", func(c *storage.Client) { c.GrantTypes = []string{"refresh_token"} })
		}, 200, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			onRefresh(t, func(t testing.TB, r *rig) {
				token := r.signInAt("cli")
				c.change(r)
				want(t, r.refresh(token), c.status, c.code)
			})
		})
	}
}

func confidential(c *storage.Client) { c.Public, c.Secrets = false, secret("new") }

// R14: what the client may no longer ask for is not in new tokens, and a new username is.
func TestARefreshFollowsTheRegistrationOfTheClient(t *testing.T) {
	r := newRig(t)
	token := r.signInAt("cli") // profile read
	r.changeClient("cli", func(c *storage.Client) { c.Scopes = []string{"profile", "write"} })
	r.changeUser("usr_alice", func(u *storage.User) { u.Username = "alicia" })
	res := r.refresh(token)
	want(t, res, http.StatusOK, "")
	access := r.verify(res.str("access_token"))
	if access.str("scope") != "profile" || res.str("scope") != "profile" || access.str("username") != "alicia" {
		t.Errorf("got %s with %v", res.raw, access.claims)
	}
}
