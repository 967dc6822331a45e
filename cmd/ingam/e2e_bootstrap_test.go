package main

import (
	"strings"
	"testing"
)

// L14: a new server has no user, no client and no password that anybody else could know, and prints none at its first
// start or its second. Whoever may write to its socket makes the first user.
func TestANewServerHasNobodyInItAndTellsNoSecret(t *testing.T) {
	s := prepareServer(t)
	for range 2 {
		s.start(t)
		for _, what := range []string{"user", "client"} {
			if got := strings.TrimSpace(s.want(t, "", what, "list", "-o", "json")); got != "[]" {
				t.Errorf("%s list: %s", what, got)
			}
		}
		s.stop(t)
		if printed := s.stdout.String() + s.stderr.String(); strings.Contains(strings.ToLower(printed), "password") {
			t.Errorf("it printed %s", printed)
		}
	}
}
