package admin

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
)

// addDelivery puts one into the outbox.
func (s *server) addDelivery(d storage.Delivery) {
	s.t.Helper()
	if err := (storage.Outbox{Entries: s.store}).Add(s.t.Context(), d); err != nil {
		s.t.Fatal(err)
	}
}

func TestTheAdministratorSeesWhichClientsWereNotToldOfALogout(t *testing.T) {
	s := newServer(t, nil)
	var list LogoutList
	if r := s.send("GET", "/admin/v1/logouts", ""); !strings.Contains(string(r.body), `"logouts":[]`) {
		t.Errorf("an empty list is an empty array: %s", r.body)
	}
	now := time.Now().UTC().Truncate(time.Second)
	s.addDelivery(storage.Delivery{
		ID: "lgo_1", ClientID: "web", URI: "https://user:hush@app.example.test/logout?key=hush", Subject: "usr_1", SessionID: "sid", CreatedAt: now,
		NextAt: now.Add(time.Minute), Attempts: 3, LastError: "answered 503", ExpiresAt: now.Add(time.Hour),
	})
	s.addDelivery(storage.Delivery{
		ID: "lgo_2", ClientID: "spa", URI: "https://spa.example.test/", CreatedAt: now, NextAt: now, Attempts: 1, LastError: "answered 400",
		Failed: true, ExpiresAt: now.Add(2 * time.Hour),
	})
	r := s.send("GET", "/admin/v1/logouts", "")
	s.want(r, http.StatusOK, &list)
	if len(list.Logouts) != 2 || list.More {
		t.Fatalf("got %+v", list)
	}
	want := Logout{
		ID: "lgo_1", State: LogoutPending, ClientID: "web", URI: "https://app.example.test/logout", Subject: "usr_1", SID: "sid", CreatedAt: now,
		Attempts: 3, NextAt: now.Add(time.Minute), LastError: "answered 503", ExpiresAt: now.Add(time.Hour),
	}
	if list.Logouts[0] != want {
		t.Errorf("pending: got %+v, want %+v", list.Logouts[0], want)
	}
	if failed := list.Logouts[1]; failed.State != LogoutFailed || !failed.NextAt.IsZero() || failed.LastError != "answered 400" {
		t.Errorf("failed: %+v", failed)
	}
	if strings.Contains(string(r.body), "hush") {
		t.Errorf("a secret came out: %s", r.body)
	}
}

func TestTheListOfLogoutsEndsAtItsLimitAndSaysSo(t *testing.T) {
	s := newServer(t, nil)
	for i := range 3 {
		s.addDelivery(storage.Delivery{ID: fmt.Sprint("lgo_", i), ClientID: "web", ExpiresAt: time.Now().Add(time.Duration(i+1) * time.Hour)})
	}
	for limit, more := range map[int]bool{1: true, 2: true, 3: false, 1000: false} {
		var list LogoutList
		s.want(s.send("GET", fmt.Sprintf("/admin/v1/logouts?limit=%d", limit), ""), http.StatusOK, &list)
		if len(list.Logouts) != min(limit, 3) || list.More != more || list.Logouts[0].ID != "lgo_0" {
			t.Errorf("limit %d: %+v", limit, list)
		}
	}
	for _, query := range []string{"limit=0", "limit=1001", "limit=x", "limit=", "limit=1&limit=2", "after=lgo_1", "state=failed"} {
		s.wantError(s.send("GET", "/admin/v1/logouts?"+query, ""), http.StatusBadRequest, CodeInvalid, strings.SplitN(query, "=", 2)[0])
	}
	r := s.send("POST", "/admin/v1/logouts", "{}")
	s.wantError(r, http.StatusMethodNotAllowed, CodeMethodNotAllowed, "GET, HEAD")
}

// brokenEntries fails to list entries.
type brokenEntries struct{ storage.Store }

func (brokenEntries) EntriesOf(context.Context, string, string, int) ([]storage.Entry, error) {
	return nil, errDisk
}

func TestAFailureOfTheStoreIsNoEmptyListOfLogouts(t *testing.T) {
	good := newServer(t, nil)
	s := newServer(t, brokenEntries{good.store})
	s.wantError(s.send("GET", "/admin/v1/logouts", ""), http.StatusServiceUnavailable, CodeUnavailable, "store")
}
