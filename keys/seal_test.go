package keys

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ingam/ingam/storage"
)

func sealedSecret(s *sealer) (storage.SealedKey, []byte) {
	private := []byte("0123456789abcdefghijklmnopqrstuv")
	return s.seal(storage.SealedKey{ID: "k1", Use: useMAC, Algorithm: algHKDF}, private), private
}

func TestWhatWasSealedOpensUnderTheSameMasterKey(t *testing.T) {
	master := NewMasterKey()
	record, private := sealedSecret(testSealer(t, master))
	got, err := testSealer(t, master).open(record)
	if err != nil || !bytes.Equal(got, private) {
		t.Fatalf("open: %v", err)
	}
	if again, _ := sealedSecret(testSealer(t, master)); bytes.Equal(again.Sealed, record.Sealed) {
		t.Error("two seals of one secret are the same bytes: the nonce is not random")
	}
}

// K1: what is at rest is authenticated, byte by byte.
func TestEveryChangedOrMissingByteOfAnEnvelopeIsNoticed(t *testing.T) {
	s := testSealer(t, NewMasterKey())
	record, private := sealedSecret(s)
	for i := range record.Sealed {
		changed := record
		changed.Sealed = bytes.Clone(record.Sealed)
		changed.Sealed[i] ^= 0x01
		_, err := s.open(changed)
		// The id of the master key is in the clear: a change there looks like another master key.
		want := ErrDamaged
		if i >= 1 && i < envelopeHead {
			want = ErrWrongMasterKey
		}
		if !errors.Is(err, want) {
			t.Errorf("byte %d changed: %v, want %v", i, err, want)
		}
		if err != nil && findSecret([]byte(err.Error()), private) != "" {
			t.Errorf("byte %d changed: the error shows the secret", i)
		}
		cut := record
		cut.Sealed = record.Sealed[:i]
		if _, err := s.open(cut); !errors.Is(err, ErrDamaged) {
			t.Errorf("cut to %d bytes: %v", i, err)
		}
	}
	longer := record
	longer.Sealed = append(bytes.Clone(record.Sealed), 0)
	if _, err := s.open(longer); !errors.Is(err, ErrDamaged) {
		t.Errorf("one byte more: %v", err)
	}
}

func TestAnEnvelopeBelongsToItsRecord(t *testing.T) {
	s := testSealer(t, NewMasterKey())
	record, _ := sealedSecret(s)
	for name, edit := range map[string]func(*storage.SealedKey){
		"another kid": func(k *storage.SealedKey) { k.ID = "k2" },
		"another use": func(k *storage.SealedKey) { k.Use = useSign },
		"another alg": func(k *storage.SealedKey) { k.Algorithm = algRS256 },
		// Without lengths these would be the same bytes.
		"a letter moved over": func(k *storage.SealedKey) { k.ID, k.Use = "k1m", "ac" },
	} {
		moved := record
		edit(&moved)
		if _, err := s.open(moved); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	rescheduled := record
	rescheduled.RetireAt = at(1)
	if _, err := s.open(rescheduled); err != nil {
		t.Errorf("times are not part of the seal, so that keys retire without being sealed anew: %v", err)
	}
}

func TestAnotherMasterKeyIsNamedByItsId(t *testing.T) {
	mine, theirs := NewMasterKey(), NewMasterKey()
	record, _ := sealedSecret(testSealer(t, theirs))
	s := testSealer(t, mine)
	_, err := s.open(record)
	if !errors.Is(err, ErrWrongMasterKey) {
		t.Fatalf("open: %v", err)
	}
	id := testSealer(t, theirs).id
	for _, want := range []string{"k1", hex.EncodeToString(s.id[:]), hex.EncodeToString(id[:])} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not name %q", err, want)
		}
	}
	for _, k := range []MasterKey{mine, theirs} {
		if leak := findSecret([]byte(err.Error()), k.bytes()[:]); leak != "" {
			t.Errorf("the error shows a master key as %s", leak)
		}
	}
}

func TestNoMasterKeyMakesNoSealer(t *testing.T) {
	if _, err := newSealer(MasterKey{}); err == nil {
		t.Error("the zero value was taken as a key")
	}
}

// K10 and J25: what is authentic may still be unfit, for instance when an import tool was careless.
func TestAuthenticKeysThatAreUnfitAreRefused(t *testing.T) {
	s := testSealer(t, NewMasterKey())
	weak, der := weakRSA(t)
	signing := storage.SealedKey{ID: "k1", Use: useSign, Algorithm: algRS256}
	secret := storage.SealedKey{ID: "k1", Use: useMAC, Algorithm: algHKDF}
	with := func(k storage.SealedKey, edit func(*storage.SealedKey)) storage.SealedKey {
		edit(&k)
		return k
	}
	for name, c := range map[string]struct {
		record  storage.SealedKey
		private []byte
	}{
		"RSA of 1024 bits":       {signing, der},
		"no DER":                 {signing, []byte("canary")},
		"an elliptic curve":      {signing, ecDER(t)},
		"a signing alg unknown":  {with(signing, func(k *storage.SealedKey) { k.Algorithm = "RS1" }), der},
		"a use unknown":          {with(signing, func(k *storage.SealedKey) { k.Use = "enc" }), der},
		"a mac that signs":       {with(secret, func(k *storage.SealedKey) { k.Algorithm = algRS256 }), der},
		"a secret of 31 bytes":   {secret, slices.Repeat([]byte{7}, 31)},
		"a secret of 33 bytes":   {secret, slices.Repeat([]byte{7}, 33)},
		"no kid":                 {with(signing, func(k *storage.SealedKey) { k.ID = "" }), der},
		"a kid with a quote":     {with(signing, func(k *storage.SealedKey) { k.ID = `a"b` }), der},
		"a kid with a line end":  {with(signing, func(k *storage.SealedKey) { k.ID = "a\nb" }), der},
		"a kid of 65 characters": {with(signing, func(k *storage.SealedKey) { k.ID = strings.Repeat("a", 65) }), der},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := openKey(s, s.seal(c.record, c.private))
			if !errors.Is(err, ErrDamaged) {
				t.Fatalf("openKey: %v", err)
			}
			if text := fmt.Sprintf("%+v", err); findSecret([]byte(text), weak) != "" || strings.Contains(text, "canary") {
				t.Errorf("the error shows the private part: %q", text)
			}
		})
	}
	good := with(signing, func(k *storage.SealedKey) { k.ID = strings.Repeat("a", 64) })
	if _, err := openKey(s, s.seal(good, rsaDER(t, testRSA(t, 0)))); err != nil {
		t.Errorf("RSA of 2048 bits under a kid of 64 characters: %v", err)
	}
}
