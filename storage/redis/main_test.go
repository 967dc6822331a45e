package redis

import (
	"context"
	"encoding/json"
	"flag"
	"os"
	"testing"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/redis/redistest"
	"github.com/ingam/ingam/storage/storagetest/history"
)

func TestMain(m *testing.M) {
	quietDriver() // what the driver meets in these tests is a flood
	history.Main(openForWorker)
	// The suites wait most of their time for the clock; two at once, as many as there are processors, would take minutes.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	os.Exit(redistest.Main(m))
}

// spec is the part of a Config that a worker process is told, as JSON.
type spec struct {
	Mode       Mode
	Addresses  []string
	MasterName string
	Prefix     string
	Durability Durability
	Replicas   int
}

func specOf(t testing.TB, cfg Config) string {
	t.Helper()
	text, err := json.Marshal(spec{cfg.Mode, cfg.Addresses, cfg.MasterName, cfg.Prefix, cfg.Durability, cfg.Replicas})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// openForWorker opens the store that the test has set up.
func openForWorker(ctx context.Context, text string) (storage.Store, error) {
	var s spec
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return nil, err
	}
	return Open(ctx, Config{
		Mode: s.Mode, Addresses: s.Addresses, MasterName: s.MasterName, Prefix: s.Prefix,
		Durability: s.Durability, Replicas: s.Replicas, Timeout: MaxTimeout,
	})
}
