package bolt

import (
	"reflect"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
)

// A field that is missing in the codec is found by the suite: its round trip compares all of them.
func TestAGrantThatIsCutShortIsAnErrorAndNeverAPanic(t *testing.T) {
	full := benchGrant("g")
	full.SessionID, full.RedirectURI, full.CodeChallenge, full.RequestNonce = "session", "https://app.example/cb", "challenge", "nonce"
	full.SessionBound, full.UserInfoClaims, full.IDTokenClaims = true, []string{"email"}, []string{"name", "phone"}
	full.Consented = true
	whole := encodeGrant(full)
	old := len(oldGrant(benchGrant("g"))) // as long as schema 1 made it, it is whole; so it is without Consented, which came later
	if g, err := decodeGrant(whole); err != nil || !reflect.DeepEqual(encodeGrant(g), whole) {
		t.Fatalf("round trip: %v", err)
	}
	for n := range whole {
		if _, err := decodeGrant(whole[:n]); (err == nil) != (n == old || n == len(whole)-1) {
			t.Errorf("the first %d of %d bytes are accepted, or those of older programs are not: %v", n, len(whole), err)
		}
	}
}

func TestTimesOfAnyAgeComeBackToTheNanosecond(t *testing.T) {
	for _, want := range []time.Time{
		{}, time.Unix(0, 0), time.Unix(-1, 1), time.Unix(1<<40, 999_999_999), time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC),
	} {
		got, err := decodeTime(encodeTime(want))
		if err != nil || !got.Equal(want) || got.IsZero() != want.IsZero() {
			t.Errorf("got %v, %v; want %v", got, err, want)
		}
	}
}

func FuzzDecodeGrant(f *testing.F) {
	f.Add(encodeGrant(benchGrant("g")))
	f.Add(encodeGrant(storage.Grant{}))
	f.Add(oldGrant(benchGrant("g")))
	f.Add([]byte{grantForm, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := decodeGrant(b)
		if err != nil {
			return
		}
		again, err := decodeGrant(encodeGrant(g))
		if err != nil || !reflect.DeepEqual(g, again) {
			t.Errorf("%v: got %+v, want %+v", err, again, g)
		}
	})
}
