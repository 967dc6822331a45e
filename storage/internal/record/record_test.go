package record_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/internal/record"
)

// The stores of different kinds exchange budgets and marks by their hash, so it must never change (FIPS 180-2, B.1).
func TestTheHashOfAKeyIsSHA256(t *testing.T) {
	hash := record.HashKey("abc")
	if got, want := hex.EncodeToString(hash[:]), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestARecordIsOneThingWithItsName(t *testing.T) {
	c, u, g := storage.Client{ID: "the client"}, storage.User{ID: "the user", Username: "u"}, storage.Grant{ID: "the grant"}
	whole, half := make([]byte, 32), make([]byte, 16)
	for _, tc := range []struct {
		r        storage.Record
		ok       bool
		name     string
		complain string
	}{
		{storage.Record{Client: &c}, true, `client "the client"`, ""},
		{storage.Record{User: &u}, true, `user "the user"`, ""},
		{storage.Record{Grant: &g}, true, `grant "the grant"`, ""},
		{storage.Record{KeyRing: &storage.KeyRing{}}, true, "the key ring", ""},
		{storage.Record{Budget: &storage.BudgetState{KeyHash: whole}}, true, "budget 0000", ""},
		{storage.Record{Mark: &storage.MarkState{KeyHash: whole}}, true, "mark 0000", ""},
		{storage.Record{Entry: &storage.Entry{Kind: "k", ID: "e", Data: []byte("1")}}, true, `entry "k" "e"`, ""},
		{storage.Record{}, false, "nothing", "0 of client"},
		{storage.Record{Client: &c, User: &u}, false, "client", "2 of client"},
		{storage.Record{Client: &storage.Client{}}, false, "client", "client id is empty"},
		{storage.Record{User: &storage.User{ID: "x"}}, false, `user "x"`, "username is empty"},
		{storage.Record{User: &storage.User{Username: "x"}}, false, "user", "user id is empty"},
		{storage.Record{Grant: &storage.Grant{ID: "\xff"}}, false, "grant", "not valid UTF-8"},
		{storage.Record{Budget: &storage.BudgetState{KeyHash: half}}, false, "budget 0000", "16 bytes"},
		{storage.Record{Mark: &storage.MarkState{}}, false, "mark", "0 bytes"},
		{storage.Record{Entry: &storage.Entry{ID: "e", Data: []byte("1")}}, false, "entry", "kind of an entry is empty"},
		{storage.Record{Entry: &storage.Entry{Kind: "k", Data: []byte("1")}}, false, "entry", "entry id is empty"},
		{storage.Record{Entry: &storage.Entry{Kind: "k", ID: "e"}}, false, "entry", "is not JSON"},
		{storage.Record{Entry: &storage.Entry{Kind: "k", ID: "e", Owner: "\xff", Data: []byte("1")}}, false, "entry", "not valid UTF-8"},
		{storage.Record{Client: &c, Entry: &storage.Entry{Kind: "k", ID: "e", Data: []byte("1")}}, false, "client", "2 of client"},
	} {
		err := record.Check(tc.r)
		if (err == nil) != tc.ok || err != nil && !strings.Contains(err.Error(), tc.complain) {
			t.Errorf("%s: got %v, want %q", tc.name, err, tc.complain)
		}
		if name := record.Name(tc.r); !strings.HasPrefix(name, tc.name) {
			t.Errorf("got the name %s, want %s", name, tc.name)
		}
		if err := record.Duplicate(tc.r); !strings.Contains(err.Error(), tc.name) || !storage.IsFailure(err) {
			t.Errorf("duplicate %s: got %v", tc.name, err)
		}
	}
}
