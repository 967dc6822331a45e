package oidc

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
)

func renderedMetadata(t *testing.T, issuer string) map[string]any {
	t.Helper()
	body, err := NewMetadata(issuer, []string{"RS256"})
	must(t, err)
	var document map[string]any
	must(t, json.Unmarshal(body, &document))
	return document
}

// RFC 8414 §2: a member without a value is left out.
func TestNoMemberOfTheMetadataIsNullOrEmpty(t *testing.T) {
	document := renderedMetadata(t, issuer)
	if len(document) < 30 {
		t.Fatalf("only %d members", len(document))
	}
	for name, value := range document {
		switch v := value.(type) {
		case nil:
			t.Errorf("%s is null", name)
		case string:
			if v == "" {
				t.Errorf("%s is empty", name)
			}
		case []any:
			if len(v) == 0 {
				t.Errorf("%s is an empty array", name)
			}
			seen := map[any]bool{}
			for _, one := range v {
				if one == "" || seen[one] {
					t.Errorf("%s has %q empty or twice", name, one)
				}
				seen[one] = true
			}
		}
	}
}

func TestEveryAddressOfTheMetadataIsBelowTheIssuer(t *testing.T) {
	addresses := 0
	for name, value := range renderedMetadata(t, issuer+"/tenant") {
		if !strings.HasSuffix(name, "_endpoint") && !strings.HasSuffix(name, "_uri") {
			continue
		}
		addresses++
		if text, ok := value.(string); !ok || !strings.HasPrefix(text, issuer+"/tenant/") {
			t.Errorf("%s is %v", name, value)
		}
	}
	if addresses != 8 {
		t.Errorf("%d addresses", addresses)
	}
}

// Unsigned request objects and fetched ones are not announced; "none" is for clients without a secret only.
func TestTheMetadataAnnouncesNothingThatIsRefused(t *testing.T) {
	document := renderedMetadata(t, issuer)
	if document["request_uri_parameter_supported"] != false {
		t.Error("request_uri_parameter_supported must be there and false: left out, it means true (OIDC Discovery §3)")
	}
	for name, refused := range map[string]string{
		"request_object_signing_alg_values_supported":      "none",
		"token_endpoint_auth_signing_alg_values_supported": "none",
		"id_token_signing_alg_values_supported":            "none",
		"introspection_endpoint_auth_methods_supported":    "none",
		"code_challenge_methods_supported":                 "plain",
		"response_types_supported":                         "token",
	} {
		values, _ := document[name].([]any)
		if len(values) == 0 || slices.Contains(values, any(refused)) {
			t.Errorf("%s is %v", name, values)
		}
	}
}

// The document that the wire promises; package authserver serves it.
func TestTheGoldenDocumentIsThisMetadata(t *testing.T) {
	want, err := os.ReadFile("../testdata/metadata.json")
	must(t, err)
	got, err := NewMetadata("http://localhost:8080", []string{"RS256"})
	must(t, err)
	if string(got) != string(want) {
		t.Errorf("authserver/testdata/metadata.json is not what is made:\n%s", got)
	}
}
