package main

import (
	"strings"
	"testing"
	"time"

	"github.com/ingam/ingam/authserver/admin"
	"github.com/ingam/ingam/storage"
)

func TestLogoutsThatDidNotReachTheirClientsAreListed(t *testing.T) {
	c := offline(t)
	var list []admin.Logout
	if c.want(&list, "", "logouts", "list"); list == nil || len(list) != 0 {
		t.Errorf("an empty list is an empty array: %v", list)
	}
	now := time.Now()
	c.stored(func(s storage.Store) {
		for _, d := range []storage.Delivery{
			{ID: "lgo_1", ClientID: "web", URI: "https://app.example.test/logout?key=hush", CreatedAt: now, NextAt: now, Attempts: 2, LastError: "answered 503\x1b[2J", ExpiresAt: now.Add(time.Hour)},
			{ID: "lgo_2", ClientID: "spa", URI: "https://spa.example.test/", CreatedAt: now, Attempts: 1, LastError: "answered 400", Failed: true, ExpiresAt: now.Add(2 * time.Hour)},
		} {
			if err := (storage.Outbox{Entries: s}).Add(t.Context(), d); err != nil {
				t.Fatal(err)
			}
		}
	})
	c.want(&list, "", "logouts", "list")
	if len(list) != 2 || list[0].ClientID != "web" || list[0].State != "pending" || list[1].State != "failed" {
		t.Errorf("got %+v", list)
	}
	r := c.want(nil, "", "logouts", "list")
	lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
	if len(lines) != 3 || !strings.Contains(lines[1], "pending") || !strings.Contains(lines[2], "answered 400") || r.stderr != "" {
		t.Errorf("%+v", r)
	}
	if strings.Contains(r.stdout, "\x1b") || strings.Contains(r.stdout, "hush") {
		t.Errorf("stdout %q", r.stdout)
	}
}

func TestLogoutsAreListedByARunningServer(t *testing.T) {
	var list []admin.Logout
	if online(t).want(&list, "", "logouts", "list"); list == nil || len(list) != 0 {
		t.Errorf("got %v", list)
	}
	if r := offline(t).run("", "logouts", "list", "web"); r.status != exitUsage {
		t.Errorf("%+v", r)
	}
}
