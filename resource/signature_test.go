package resource

import (
	"errors"
	"slices"
	"testing"
)

// RFC 7518 §3.4: R and S have 32 bytes each; a zero before S is another spelling of the same number.
func TestAnECDSASignatureHas64Bytes(t *testing.T) {
	key := publicOf(testKeys(t)["ec-1"])
	sig := signature(t, "ec-1", "", "signed")
	if err := verifySignature(es256, &key, "signed", sig); err != nil {
		t.Fatal(err)
	}
	for what, bad := range map[string][]byte{
		"nothing":         {},
		"half":            sig[:32],
		"one byte short":  sig[:63],
		"one byte more":   append(slices.Clone(sig), 0),
		"a zero before S": slices.Concat(sig[:32], []byte{0}, sig[32:]),
	} {
		if err := verifySignature(es256, &key, "signed", bad); !errors.Is(err, errSignature) {
			t.Errorf("%s: got %v, want a bad signature", what, err)
		}
	}
}
