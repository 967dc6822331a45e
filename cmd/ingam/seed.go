package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"

	"github.com/ingam/ingam/storage"
)

// The same files are mounted into the containers of docker-compose.yml as clients.d and users.d.
var (
	//go:embed demo/clients.d/demo.yaml
	demoClientsYAML []byte
	//go:embed demo/users.d/demo.yaml
	demoUsersYAML []byte
)

// demoFirstParty is the client that POST /login signs in for in dev mode.
const demoFirstParty = "demo-cli"

// What the files above hold as hashes, for printing. They protect nothing: dev mode listens on this machine only.
var (
	demoPasswords = []demoUser{{"alice", "wonderland"}, {"bob", "builder"}}
	demoSecrets   = map[string]string{
		"demo-web":     "demo-web-secret-for-local-use-only",
		"demo-service": "demo-service-secret-for-local-use-only",
	}
)

type demoUser struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

// demoRecords reads the embedded files.
func demoRecords() (staticRecords, error) {
	clients, found := parseClients("demo/clients.d/demo.yaml", demoClientsYAML)
	users, more := parseUsers("demo/users.d/demo.yaml", demoUsersYAML)
	if found = append(found, more...); len(found) > 0 {
		return staticRecords{}, fmt.Errorf("the built-in demo files are wrong:\n%w", found)
	}
	// In the store they are records like any other, which can be changed and removed: a source would make them read-only.
	var all staticRecords
	for _, c := range clients {
		c.record.Source = ""
		all.clients = append(all.clients, c.record)
	}
	for _, u := range users {
		u.record.Source = ""
		all.users = append(all.users, u.record)
	}
	return all, nil
}

// seed makes the demo records that are missing. What is there stays as it is: somebody may have changed it to try
// something.
func seed(ctx context.Context, store storage.Store) error {
	demo, err := demoRecords()
	if err != nil {
		return err
	}
	for _, c := range demo.clients {
		if err := store.CreateClient(ctx, c); err != nil && !errors.Is(err, storage.ErrExists) {
			return fmt.Errorf("make demo client %s: %w", c.ID, err)
		}
	}
	for _, u := range demo.users {
		if err := store.CreateUser(ctx, u); err != nil && !errors.Is(err, storage.ErrExists) {
			return fmt.Errorf("make demo user %s: %w", u.Username, err)
		}
	}
	return nil
}
