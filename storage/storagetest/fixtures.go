package storagetest

import (
	"context"
	"time"

	"github.com/ingam/ingam/storage"
)

// client has every field set.
func (k *kit) client(id string) storage.Client {
	now, grace := k.begun, 10*time.Second
	return storage.Client{
		ID: id, Name: "Größe <&> 한국", Public: true,
		Secrets: []storage.ClientSecret{
			{Hash: []byte{0, 255, 1}, CreatedAt: now, ExpiresAt: now.Add(time.Hour)},
			{Hash: []byte("older"), CreatedAt: now.Add(-time.Hour), ExpiresAt: now},
		},
		GrantTypes:   []string{"authorization_code", "refresh_token"},
		RedirectURIs: []string{"https://app.example/cb?x=1&y=2"},
		Scopes:       []string{"openid", "profile"}, DefaultScopes: []string{"openid"},
		Audience: []string{"https://api.example"}, Resources: []string{"https://rs.example"}, RefreshGrace: &grace,
		AuthMethod: "private_key_jwt", JWKS: []byte(`{"keys":[{"kty":"EC","n":9007199254740993}]}`), JWKSURI: "https://app.example/keys",
		ResponseModes: []string{"query", "form_post"}, RequirePKCE: true, RequirePAR: true, RequireSignedRequest: true,
		RequestObjectAlg: "ES256", DefaultMaxAge: new(int64(1<<53 + 1)), FirstParty: true, SessionBound: true,
		UserInfoAlg: "RS256", Pairwise: true, Sector: "app.example",
		PostLogoutRedirectURIs: []string{"https://app.example/bye?a=1&b=2"}, BackchannelLogoutURI: "https://app.example/logout",
		FrontchannelLogoutURI: "https://app.example/frame", AllowedOrigins: []string{"https://app.example"},
		URI: "https://app.example/", LogoURI: "https://app.example/logo.svg", Accent: "#0a7cff",
		CreatedAt: now, Version: 1, Source: "",
	}
}

// user has every field set; its id is made from the name.
func (k *kit) user(username string) storage.User {
	return storage.User{
		ID: "id of " + username, Username: username, PasswordHash: "$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA",
		Disabled: true, Epoch: 1<<53 + 1, CreatedAt: k.begun, Version: 1,
		Claims: map[string]any{
			"name": "Größe <&> 한국\u0000", "email_verified": true, "updated_at": 1.75e9, "nothing": nil,
			"address": map[string]any{"country": "KR"}, "groups": []any{"a", "b"},
		},
	}
}

// grant has every field set and lives: 20 units idle, 50 units at most.
func (k *kit) grant(id string) storage.Grant {
	now := k.now()
	return storage.Grant{
		ID: id, ClientID: "client", UserID: "user", UserEpoch: 1<<53 + 1,
		Scopes: []string{"openid", "offline_access"}, Audience: []string{"https://api.example"},
		Nonce:    []byte{0, 1, 254, 255},
		AuthTime: now.Add(-time.Minute), AMR: []string{"pwd", "otp"}, ACR: "urn:level:2",
		Generation: 1, RotatedAt: now.Add(-time.Second), Attempt: "attempt of nobody",
		BornAt: now, IdleExpiresAt: now.Add(k.units(20)), ExpiresAt: now.Add(k.units(50)),
		SessionID: "session <&> 한국", SessionBound: true, RedirectURI: "https://app.example/cb?x=1&y=2",
		CodeChallenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", RequestNonce: "nonce\u0000 of \" the client",
		UserInfoClaims: []string{"email", "phone_number"}, IDTokenClaims: []string{"name"}, Consented: true,
	}
}

func (k *kit) newClient(id string) storage.Client {
	k.Helper()
	c := k.client(id)
	k.must(k.s.CreateClient(k.Context(), c))
	return c
}

func (k *kit) newUser(username string) storage.User {
	k.Helper()
	u := k.user(username)
	k.must(k.s.CreateUser(k.Context(), u))
	return u
}

func (k *kit) newGrant(id string) storage.Grant {
	k.Helper()
	g := k.grant(id)
	k.must(k.s.CreateGrant(k.Context(), g))
	return g
}

// ring has every field set.
func (k *kit) ring(kid string) storage.KeyRing {
	now := k.begun
	return storage.KeyRing{Keys: []storage.SealedKey{{
		ID: kid, Use: "sig", Algorithm: "RS256", CreatedAt: now, ActivateAt: now.Add(time.Minute),
		RetireAt: now.Add(time.Hour), ForgetAt: now.Add(2 * time.Hour), Sealed: []byte{0, 1, 255},
	}}}
}

// rotation presents a generation with a window of 5 units.
func (k *kit) rotation(id string, generation uint64, attempt string) storage.Rotation {
	return storage.Rotation{
		GrantID: id, Generation: generation, Attempt: attempt, Grace: k.units(5), IdleLifetime: k.units(20),
	}
}

// rotate redeems, complains unless the outcome is the wanted one, and checks that the answer is what is stored.
func (k *kit) rotate(r storage.Rotation, want storage.Outcome) storage.Grant {
	k.Helper()
	outcome, g, err := k.s.Rotate(k.Context(), r)
	k.must(err)
	if outcome != want {
		k.Errorf("generation %d by %q: got %v, want %v", r.Generation, r.Attempt, outcome, want)
	}
	stored, err := k.s.Grant(k.Context(), r.GrantID)
	k.must(err)
	k.same(g, stored, "the grant that Rotate returned, and the stored one")
	return g
}

// verb is one method of a store in a call that would work on a healthy one.
type verb struct {
	name string
	call func(ctx context.Context) error
}

// verbs calls everything there is. It needs client "c", user "u", grant "g" and entry "e", as made by populate.
func (k *kit) verbs() []verb {
	s, c, u, ring := k.s, k.client("c"), k.user("u"), k.ring("second")
	ring.Version = 1
	budget := storage.Budget{Key: "b", Burst: 1, Every: k.unit}
	return []verb{
		{"Entry", func(ctx context.Context) error { _, err := s.Entry(ctx, kind, "e"); return err }},
		{"CreateEntry", func(ctx context.Context) error { return s.CreateEntry(ctx, k.entry("e2")) }},
		{"ReplaceEntry", func(ctx context.Context) error { return s.ReplaceEntry(ctx, k.entry("e")) }},
		{"EntriesOf", func(ctx context.Context) error { _, err := s.EntriesOf(ctx, kind, "owner", 9); return err }},
		{"TakeEntry", func(ctx context.Context) error { _, err := s.TakeEntry(ctx, kind, "e"); return err }},
		{"GrantAndUser", func(ctx context.Context) error { _, _, err := s.GrantAndUser(ctx, "g", u.ID); return err }},
		{"GrantsOf", func(ctx context.Context) error { _, err := s.GrantsOf(ctx, "user", 9); return err }},
		{"Client", func(ctx context.Context) error { _, err := s.Client(ctx, "c"); return err }},
		{"Clients", func(ctx context.Context) error { _, err := s.Clients(ctx, "", 9); return err }},
		{"CreateClient", func(ctx context.Context) error { return s.CreateClient(ctx, k.client("c2")) }},
		{"ReplaceClient", func(ctx context.Context) error { return s.ReplaceClient(ctx, c) }},
		{"DeleteClient", func(ctx context.Context) error { return s.DeleteClient(ctx, "c") }},
		{"User", func(ctx context.Context) error { _, err := s.User(ctx, u.ID); return err }},
		{"RecallUser", func(ctx context.Context) error { _, err := s.RecallUser(ctx, u.ID); return err }},
		{"UserByName", func(ctx context.Context) error { _, err := s.UserByName(ctx, "u"); return err }},
		{"Users", func(ctx context.Context) error { _, err := s.Users(ctx, "", 9); return err }},
		{"CreateUser", func(ctx context.Context) error { return s.CreateUser(ctx, k.user("u2")) }},
		{"ReplaceUser", func(ctx context.Context) error { return s.ReplaceUser(ctx, u) }},
		{"DeleteUser", func(ctx context.Context) error { return s.DeleteUser(ctx, u.ID) }},
		{"CreateGrant", func(ctx context.Context) error { return s.CreateGrant(ctx, k.grant("g2")) }},
		{"Grant", func(ctx context.Context) error { _, err := s.Grant(ctx, "g"); return err }},
		{"RecallGrant", func(ctx context.Context) error { _, err := s.RecallGrant(ctx, "g"); return err }},
		{"Rotate", func(ctx context.Context) error { _, _, err := s.Rotate(ctx, k.rotation("g", 1, "a")); return err }},
		{"RevokeGrant", func(ctx context.Context) error { return s.RevokeGrant(ctx, "g", "because") }},
		{"KeyRing", func(ctx context.Context) error { _, err := s.KeyRing(ctx); return err }},
		{"PutKeyRing", func(ctx context.Context) error { return s.PutKeyRing(ctx, ring) }},
		{"Spend", func(ctx context.Context) error { _, err := s.Spend(ctx, budget); return err }},
		{"Refund", func(ctx context.Context) error {
			return s.Refund(ctx, storage.Refund{Budget: budget, Units: 1})
		}},
		{"Remember", func(ctx context.Context) error { _, err := s.Remember(ctx, "m", k.now().Add(k.unit)); return err }},
		{"Remembered", func(ctx context.Context) error { _, err := s.Remembered(ctx, "m"); return err }},
		{"Export", func(ctx context.Context) error {
			for _, err := range s.Export(ctx) {
				if err != nil {
					return err
				}
			}
			return nil
		}},
		{"Ping", s.Ping},
		{"Sweep", func(ctx context.Context) error { _, err := s.Sweep(ctx, 9); return err }},
	}
}

// populate makes what verbs needs.
func (k *kit) populate() {
	k.Helper()
	k.newClient("c")
	k.newUser("u")
	k.newGrant("g")
	k.newEntry("e")
	k.must(k.s.PutKeyRing(k.Context(), k.ring("first")))
}

// everything reads all that populate made, to see whether it has changed.
func (k *kit) everything() any {
	k.Helper()
	ctx := k.Context()
	clients, err := k.s.Clients(ctx, "", 100)
	k.must(err)
	users, err := k.s.Users(ctx, "", 100)
	k.must(err)
	g, err := k.s.Grant(ctx, "g")
	k.must(err)
	ring, err := k.s.KeyRing(ctx)
	k.must(err)
	marked, err := k.s.Remembered(ctx, "m")
	k.must(err)
	entries, err := k.s.EntriesOf(ctx, kind, "owner", 100)
	k.must(err)
	return []any{clients, users, g, ring, marked, entries}
}
