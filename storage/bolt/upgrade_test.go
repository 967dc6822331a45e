package bolt

import (
	"bytes"
	"encoding/json"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
)

// oldGrant is what schema 1 stored: the fields of its time.
func oldGrant(g storage.Grant) []byte {
	g.SessionID, g.RedirectURI, g.CodeChallenge, g.RequestNonce = "", "", "", ""
	g.SessionBound, g.UserInfoClaims, g.IDTokenClaims, g.Consented = false, nil, nil, false
	b := encodeGrant(g)
	return b[:len(b)-8] // eight fields that are empty
}

// asSchema1 makes the store at path one of schema 1 with three grants, one of them revoked, and one that nobody can read.
func asSchema1(t *testing.T, path string) {
	t.Helper()
	s := open(t, path)
	must(t, s.CreateUser(t.Context(), storage.User{ID: "u", Username: "u"}))
	_, err := write(t.Context(), s, func(t *tx) (nothing, error) {
		for _, id := range []string{"a", "b", "revoked"} {
			g := benchGrant(id)
			g.UserID, g.ExpiresAt, g.IdleExpiresAt = "u", t.now.Add(time.Hour), t.now.Add(time.Hour)
			g.Revoked = id == "revoked"
			if err := t.putExpiring(kindGrant, []byte(id), oldGrant(g), g.Expiry()); err != nil {
				return nothing{}, err
			}
		}
		for _, name := range laterBuckets {
			if err := t.DeleteBucket(name); err != nil {
				return nothing{}, err
			}
		}
		return nothing{}, errors.Join(
			t.put(bucketGrants, []byte("unreadable"), []byte("no grant")), t.put(bucketMeta, keySchema, []byte("1")))
	})
	must(t, errors.Join(err, s.Close()))
}

func TestAFileOfSchema1IsOpenedWithAllThatIsInIt(t *testing.T) { // S18
	path := filepath.Join(t.TempDir(), "ingam.db")
	asSchema1(t, path)
	for range 2 { // the second time nothing is left to do
		s := open(t, path)
		list, err := s.GrantsOf(t.Context(), "u", 9)
		if err != nil || len(list) != 2 || list[0].ID != "a" || list[1].ID != "b" || list[0].SessionID != "" {
			t.Errorf("grants of the user: %+v, %v", list, err)
		}
		if g, err := s.Grant(t.Context(), "revoked"); err != nil || !g.Revoked {
			t.Errorf("the revoked grant: %+v, %v", g, err)
		}
		if _, err := s.Grant(t.Context(), "unreadable"); !storage.IsFailure(err) {
			t.Errorf("the unreadable grant: %v, want a failure", err)
		}
		must(t, s.Close())
	}
	s := open(t, path)
	r := storage.Rotation{GrantID: "a", Generation: 1, Attempt: "x", IdleLifetime: time.Hour}
	if outcome, _, err := s.Rotate(t.Context(), r); err != nil || outcome != storage.Rotated {
		t.Errorf("rotate: %v, %v", outcome, err)
	}
	must(t, s.CreateEntry(t.Context(), storage.Entry{Kind: "k", ID: "e", Owner: "o", Data: json.RawMessage("1")}))
	_, err := read(t.Context(), s, func(t *tx) (nothing, error) {
		if got := t.get(bucketMeta, keySchema); !bytes.Equal(got, []byte("2")) {
			return nothing{}, errors.New("schema " + string(got))
		}
		return nothing{}, nil
	})
	must(t, err)
}

func TestAnOlderFileThatIsNotWholeIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ingam.db")
	asSchema1(t, path)
	s := open(t, path)
	_, err := write(t.Context(), s, func(t *tx) (nothing, error) {
		return nothing{}, errors.Join(t.put(bucketMeta, keySchema, []byte("1")), t.DeleteBucket(bucketMarks))
	})
	must(t, errors.Join(err, s.Close()))
	if _, err := Open(t.Context(), path, Options{}); err == nil || !bytes.Contains([]byte(err.Error()), []byte("marks")) {
		t.Errorf("got %v, want an error that names the bucket", err)
	}
}
