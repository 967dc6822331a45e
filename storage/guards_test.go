//go:build mutants

package storage_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A guard is a line without which the server would break a promise. Each is taken out here, one at a time, and the test
// that stands for the promise must fail then (INV11, T21). The broken text lies over the true one only for the
// compiler ("go test -overlay"), so that no release carries a switch that turns a guard off.
//
//	go test -tags mutants -run Guards ./storage
type guard struct {
	name     string
	file     string // in the module
	old, new string // old occurs exactly once
	pkg, run string // the test that must fail
}

var guards = []guard{
	{
		"redis redeems without comparing the generation", "storage/redis/scripts/grant_rotate.lua",
		"elseif presented == generation then", "elseif presented <= generation then",
		"./storage/redis", "TestOneServerKeepsThePromises/.*(reuse|window).*",
	},
	{
		"redis forgets the attempt of the winner", "storage/redis/scripts/grant_rotate.lua",
		"ARGV[2] ~= '' and ARGV[2] == attempt", "false",
		"./storage/redis", "TestOneServerKeepsThePromises/.*winner.*",
	},
	{
		"redis redeems under another primary", "storage/redis/scripts/grant_rotate.lua",
		"if ARGV[5] == '1' and", "if ARGV[5] == 'never' and",
		"./storage/redis", "TestASplitBrainRedeemsNoCodeTwice",
	},
	{
		"redis does not look at the user", "storage/redis/grants.go",
		"if judged := s.decideUser(r, user); judged != 0 {", "if judged := s.decideUser(r, user); judged > 100 {",
		"./storage/redis", "TestWhatIsRecalledNeverDecides",
	},
	{
		"redis trusts its memory of clients for ever", "storage/redis/clients.go",
		"case ok && age < storage.ClientFreshness/2:", "case ok:",
		"./storage/redis", "TestAClientChangedAtAnotherNodeCountsHereWithinTheFreshness",
	},
	{
		"redis is content with too few replicas", "storage/redis/call.go",
		"case count < int64(s.cfg.Replicas):", "case count < 0:",
		"./storage/redis", "TestUnconfirmedWrites",
	},
	{
		"a retry does not wait for the replicas", "storage/redis/call.go",
		"if s.cfg.Durability == Replicated {\n\t\treturn 1", "if s.cfg.Durability == Replicated {\n\t\treturn 0",
		"./storage/redis", "TestUnconfirmedWritesStaySoForRetriesAtAnotherNodeOfNewerRedis",
	},
	{
		"the driver sends again after a lost reply", "storage/redis/config.go",
		"MaxRetries:    -1,", "MaxRetries:    3,",
		"./storage/redis", "TestTheDriverIsToldTheSameInEveryArrangement",
	},
	{
		"a redemption that arrives late is run", "storage/redis/scripts/grant_rotate.lua",
		"if ARGV[8] ~= '0' and", "if false and",
		"./cmd/ingam", "TestARequestThatReachesRedisLateIsNoTheft",
	},
	{
		"what an emptied redis does not have is not found", "storage/redis/open.go",
		"\tif err := s.Ping(ctx); err != nil {\n\t\treturn err\n\t}\n\treturn storage.ErrNotFound", "\treturn storage.ErrNotFound",
		"./cmd/ingam", "TestAnEmptiedRedisIsNoticed",
	},
	{
		"an export does not notice a restart", "storage/redis/transfer.go",
		"if err == nil && after.text != before.text {", "if err == nil && after.text == before.text+\"x\" {",
		"./storage/redis", "TestAnExportThatARestart",
	},
	{
		"an emptied redis is ready", "storage/redis/open.go",
		`if err == nil && meta["store"] != s.id {`, `if err == nil && meta["store"] == "x" {`,
		"./storage/redis", "TestAnEmptiedRedisIsNoticed",
	},
	{
		"bolt does not look at the user", "storage/bolt/grants.go",
		`if r.UserID != "" && !g.Revoked {`, "if false {",
		"./storage/bolt", "TestTheBoltStoreKeepsThePromises/.*(user|disable).*",
	},
	{
		"bolt replaces an entry that has changed", "storage/bolt/entries.go",
		"case stored.Version != e.Version:", "case false:",
		"./storage/bolt", "TestTheBoltStoreKeepsThePromises/.*replac.*",
	},
	{
		"bolt hands an entry out and keeps it", "storage/bolt/entries.go",
		"return e, t.del(bucketEntries, entryKey(kind, id))", "return e, nil",
		"./storage/bolt", "TestTheBoltStoreKeepsThePromises/.*take.*",
	},
	{
		"bolt finds entries that have ended", "storage/bolt/entries.go",
		"{ return end.IsZero() || t.now.Before(end) }", "{ return true }",
		"./storage/bolt", "TestTheBoltStoreKeepsThePromises/an_entry_ends.*",
	},
	{
		"bolt gives an entry to another owner", "storage/bolt/entries.go",
		"next.Version, next.Owner = e.Version+1, stored.Owner", "next.Version = e.Version + 1",
		"./storage/bolt", "TestTheBoltStoreKeepsThePromises/.*owner.*",
	},
	{
		"bolt leaves the row of an entry where it was", "storage/bolt/entries.go",
		"\tif found {\n\t\tif err := t.dropRows(stored)", "\tif false {\n\t\tif err := t.dropRows(stored)",
		"./storage/bolt", "TestWhateverIsDoneToEntriesTheirRowsFit",
	},
	{
		"bolt does not note whose a grant is", "storage/bolt/grantsof.go",
		"t.put(bucketGrantsOf, grantRow(g.UserID, g.ID), nil)", "t.put(bucketGrantsOf, []byte(g.ID), nil)",
		"./storage/bolt", "TestTheBoltStoreKeepsThePromises/.*grant.*",
	},
	{
		"grants of an older file are not found by their user", "storage/bolt/upgrade.go",
		"return rows.Put(grantRow(g.UserID, g.ID), nil)", "return rows.Put([]byte(\"x\"), nil)",
		"./storage/bolt", "TestAFileOfSchema1",
	},
	{
		"a grant that knows of no consent is refused", "storage/bolt/codec.go",
		`if d.rest != "" { // schema 2 began without it`, "if true {",
		"./storage/bolt", "TestAGrantThatIsCutShortIsAnErrorAndNeverAPanic",
	},
	{
		"an older form of a grant is refused", "storage/bolt/codec.go",
		`if d.rest != "" { // schema 1 had no more`, "if true {",
		"./storage/bolt", "TestAFileOfSchema1",
	},
	{
		"a consent forgets what was allowed before", "storage/session.go",
		"if !isNew {\n\t\t\tmerged", "if false {\n\t\t\tmerged",
		"./storage", "TestConsents",
	},
	{
		"a session outlives a new password", "storage/session.go",
		"&& u.Epoch == s.UserEpoch }", "}",
		"./storage", "TestASessionHolds",
	},
	{
		"a grant is read with a user whom the files hide", "storage/static.go",
		"\tif !ok {\n\t\treturn st.Store.GrantAndUser", "\tif !ok || ok {\n\t\treturn st.Store.GrantAndUser",
		"./storage", "TestAGrantIsReadWithTheUserOfTheFile",
	},
	{
		"bolt does not sync", "storage/bolt/open.go",
		"NoStatistics: true,", "NoStatistics: true, NoSync: true,",
		"./storage/bolt", "TestAfterAPowerCutNothingAcknowledgedIsLost",
	},
	{
		"rotation has no rule against older generations", "storage/grant.go",
		"case r.Generation == g.Generation:", "case r.Generation <= g.Generation:",
		"./storage/memory", ".",
	},
	{
		"any client may redeem a refresh token", "authserver/oauth/adapter.go",
		"grant.ClientID != sess.client.ID", "false",
		"./authserver", "TestAForeignTokenIsRefusedAndLivesOn",
	},
	{
		"a failure of the store is a wrong token", "storage/errors.go",
		"\treturn true\n}", "\treturn false\n}",
		"./authserver", "TestWithoutItsStoreEveryEndpointIs503",
	},
}

func TestGuards(t *testing.T) {
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range guards {
		t.Run(g.name, func(t *testing.T) {
			path := filepath.Join(root, g.file)
			source, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(source), g.old); n != 1 {
				t.Fatalf("%s has %q %d times, want once: this guard has moved", g.file, g.old, n)
			}
			if out, err := runTests(t, root, g, ""); err != nil {
				t.Fatalf("the test fails with the guard in place:\n%s", out)
			} else if strings.Contains(out, "no tests to run") {
				t.Fatalf("%s has no test %q", g.pkg, g.run)
			}
			broken := filepath.Join(t.TempDir(), filepath.Base(g.file))
			if err := os.WriteFile(broken, []byte(strings.Replace(string(source), g.old, g.new, 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			overlay, err := json.Marshal(map[string]map[string]string{"Replace": {path: broken}})
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "overlay.json")
			if err := os.WriteFile(file, overlay, 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := runTests(t, root, g, file)
			switch {
			case err == nil:
				t.Errorf("nobody misses the guard: %s -run %q passes without it", g.pkg, g.run)
			case !strings.Contains(out, "--- FAIL"):
				t.Errorf("not a test that failed, but:\n%s", out)
			}
		})
	}
}

// runTests runs the test of a guard, with the broken text over the true one if overlay is not empty.
func runTests(t *testing.T, root string, g guard, overlay string) (string, error) {
	t.Helper()
	args := []string{"test", "-run", g.run, "-timeout", "3m"}
	if overlay != "" {
		args = append(args, "-count=1")
	}
	cmd := exec.CommandContext(t.Context(), "go", append(args, g.pkg)...)
	cmd.Dir = root
	if overlay != "" { // also for the programs that the test builds
		cmd.Env = append(os.Environ(), "GOFLAGS="+os.Getenv("GOFLAGS")+" -overlay="+overlay)
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}
