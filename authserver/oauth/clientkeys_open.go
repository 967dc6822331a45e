package oauth

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"

	"github.com/ingam/ingam/storage"
)

// clientAlgorithms are the algorithms of signatures by clients: no "none", and none with a shared secret, for then a public
// key could be taken for the secret (RFC 8725 §3.1, threats C4).
var clientAlgorithms = []string{"RS256", "PS256", "ES256", "EdDSA"}

// errKeysUnknown says that a client's keys could not be had. What it wraps is for the log: it tells what a name resolves to.
var errKeysUnknown = errors.New("the keys of the client cannot be had from its jwks or jwks_uri")

// maxJWSHeader bounds the encoded header of a JWS: it is read before the signature is checked.
const maxJWSHeader = 2048

// forbiddenHeaders bring keys of their own, or change what is signed (RFC 7515 §4.1, RFC 7797). Whoever relies on them must
// not be served as if they were not there.
var forbiddenHeaders = []string{"crit", "b64", "zip", "jwk", "jku", "x5u", "x5c"}

// open answers the payload of a compact JWS (RFC 7515 §7.1) that one of the client's keys signed with one of algs, and whose
// typ, if it has one, is JWT or typ. Its errors name what is wrong, in words that may be shown, but for what errKeysUnknown wraps.
func (k *clientKeys) open(ctx context.Context, c storage.Client, token string, algs []string, typ string) ([]byte, error) {
	alg, kid, err := readJWSHeader(token, algs, typ)
	if err != nil {
		return nil, err
	}
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
	if err != nil {
		return nil, errors.New("it is not a JWS in compact form (RFC 7515 section 7.1)")
	}
	candidates, err := k.keys(ctx, c, kid, alg)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errKeysUnknown, err)
	}
	for _, key := range candidates {
		if payload, err := jws.Verify(key); err == nil {
			return payload, nil
		}
	}
	if len(candidates) == 0 {
		return nil, errors.New("no key of the client has its kid and fits its alg")
	}
	return nil, errors.New("its signature is not by the client's key")
}

// readJWSHeader checks the header before anything else looks at it.
func readJWSHeader(token string, algs []string, typ string) (alg, kid string, err error) {
	encoded, rest, _ := strings.Cut(token, ".")
	if strings.Count(rest, ".") != 1 {
		return "", "", errors.New("it is not a JWS in compact form (RFC 7515 section 7.1); encrypted ones are not served")
	}
	if len(encoded) > maxJWSHeader {
		return "", "", fmt.Errorf("its header is longer than %d bytes", maxJWSHeader)
	}
	var members map[string]json.RawMessage
	var header struct {
		Algorithm string `json:"alg"`
		KeyID     string `json:"kid"`
		Type      string `json:"typ"`
	}
	raw, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil || json.Unmarshal(raw, &members) != nil || json.Unmarshal(raw, &header) != nil {
		return "", "", errors.New("its header is not base64url of a JSON object with each name once")
	}
	for _, name := range forbiddenHeaders {
		if _, has := members[name]; has {
			return "", "", fmt.Errorf("its header has '%s', which is not served", name)
		}
	}
	if !slices.Contains(algs, header.Algorithm) {
		return "", "", fmt.Errorf("its alg is not %s", strings.Join(algs, ", "))
	}
	// RFC 8725 §3.11: what was signed for one purpose is not taken for another. RFC 7515 §4.1.9: "application/" may be left out.
	shown := strings.TrimPrefix(strings.ToLower(header.Type), "application/")
	if shown != "" && shown != "jwt" && shown != typ {
		return "", "", fmt.Errorf("its typ is neither JWT nor %s", typ)
	}
	return header.Algorithm, header.KeyID, nil
}
