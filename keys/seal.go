package keys

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/ingam/ingam/storage"
)

// The envelope of a sealed private part:
//
//	version (1 byte) │ id of the master key (8) │ nonce (12) │ AES-256-GCM ciphertext and tag (16)
//
// The additional data is version and id, then the record's kid, use and alg, each with its length before it.
const (
	envelopeVersion = 1
	masterIDSize    = 8
	envelopeHead    = 1 + masterIDSize
)

// Labels of HKDF: what a derived value is for. Changing one makes every stored ring unreadable.
const (
	labelSeal     = "ingam keys: seal v1"
	labelMasterID = "ingam keys: master key id v1"
)

// sealer seals and opens private parts under one master key.
type sealer struct {
	// id names the master key in envelopes and errors. It is derived one way, so it says nothing about the key.
	id   [masterIDSize]byte
	aead cipher.AEAD
}

func newSealer(master MasterKey) (*sealer, error) {
	if master.bytes == nil {
		return nil, errors.New("keys: a master key is needed (Config.Master is empty)")
	}
	id, err := hkdf.Key(sha256.New, master.bytes()[:], nil, labelMasterID, masterIDSize)
	if err != nil {
		return nil, fmt.Errorf("keys: deriving from the master key: %w", err)
	}
	key, err := hkdf.Key(sha256.New, master.bytes()[:], nil, labelSeal, 32)
	if err != nil {
		return nil, fmt.Errorf("keys: deriving from the master key: %w", err)
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("keys: sealing: %w", err)
	}
	// Each seal draws a nonce of 96 random bits; a ring sees some dozens of seals in its life, 2^32 would be the limit.
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("keys: sealing: %w", err)
	}
	return &sealer{id: [masterIDSize]byte(id), aead: aead}, nil
}

// seal returns record with private inside, encrypted and bound to the record's kid, use and alg.
func (s *sealer) seal(record storage.SealedKey, private []byte) storage.SealedKey {
	head := append([]byte{envelopeVersion}, s.id[:]...)
	record.Sealed = s.aead.Seal(head, nil, private, additional(head, record)) //nolint:gosec // G407: it draws the nonce
	return record
}

// open returns the private part of record. The caller wipes it.
func (s *sealer) open(record storage.SealedKey) ([]byte, error) {
	sealed := record.Sealed
	switch {
	case len(sealed) < envelopeHead+s.aead.Overhead():
		return nil, damaged(record, "its sealed part is cut short")
	case sealed[0] != envelopeVersion:
		return nil, damaged(record, fmt.Sprintf("its sealed part has version %d, this program knows %d",
			sealed[0], envelopeVersion))
	}
	head, body := sealed[:envelopeHead], sealed[envelopeHead:]
	if id := head[1:]; !slices.Equal(id, s.id[:]) {
		return nil, fmt.Errorf("keys: %w: key %q was sealed under master key %s, the one given is %s",
			ErrWrongMasterKey, record.ID, hex.EncodeToString(id), hex.EncodeToString(s.id[:]))
	}
	private, err := s.aead.Open(nil, nil, body, additional(head, record))
	if err != nil {
		return nil, damaged(record, "its sealed part was changed, or belongs to another record")
	}
	return private, nil
}

// additional is the authenticated data of an envelope. The lengths make it unambiguous.
func additional(head []byte, record storage.SealedKey) []byte {
	data := slices.Clone(head)
	for _, field := range []string{record.ID, record.Use, record.Algorithm} {
		data = binary.BigEndian.AppendUint32(data, uint32(len(field)))
		data = append(data, field...)
	}
	return data
}

// damaged says what is wrong with a record, by its public name only.
func damaged(record storage.SealedKey, what string) error {
	return fmt.Errorf("keys: %w: key %q: %s", ErrDamaged, record.ID, what)
}
