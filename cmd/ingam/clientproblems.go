package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/ingam/ingam/authserver/admin"
)

// flagOf names what the command line calls a field of a client. Problems come by the names of fields.
var flagOf = map[string]string{
	"client_id":                             "CLIENT_ID",
	"client_name":                           "--name",
	"token_endpoint_auth_method":            "--auth-method",
	"grant_types":                           "--grant-type",
	"scope":                                 "--scope",
	"default_scope":                         "--default-scope",
	"redirect_uris":                         "--redirect-uri",
	"audience":                              "--audience",
	"resources":                             "--resource",
	"refresh_grace":                         "--refresh-grace",
	"jwks":                                  "--jwks-file",
	"jwks_uri":                              "--jwks-uri",
	"response_modes":                        "--response-mode",
	"require_pkce":                          "--require-pkce",
	"require_pushed_authorization_requests": "--require-par",
	"require_signed_request_object":         "--require-signed-request",
	"request_object_signing_alg":            "--request-object-alg",
	"default_max_age":                       "--default-max-age",
	"first_party":                           "--first-party",
	"session_bound":                         "--session-bound",
	"userinfo_signed_response_alg":          "--userinfo-alg",
	"subject_type":                          "--subject-type",
	"sector_identifier":                     "--sector-identifier",
	"post_logout_redirect_uris":             "--post-logout-redirect-uri",
	"backchannel_logout_uri":                "--backchannel-logout-uri",
	"frontchannel_logout_uri":               "--frontchannel-logout-uri",
	"allowed_origins":                       "--allowed-origin",
	"client_uri":                            "--client-uri",
	"logo_uri":                              "--logo-uri",
	"accent":                                "--accent",
}

// fieldName finds what may be the name of a field in a message. A value in quotes is what somebody typed, and words like
// scope are also words.
var fieldName = regexp.MustCompile(`"(?:\\.|[^"\\])*"|\b(?:jwks|[a-z]+(?:_[a-z]+)+)\b`)

// inFlags is the error that tells the problems by the names of flags, nil where there are none. Of a flag that could not
// be read, nothing else is said.
func inFlags(unread, wrong []admin.Problem) error {
	wrong = slices.DeleteFunc(wrong, func(p admin.Problem) bool {
		return slices.ContainsFunc(unread, func(u admin.Problem) bool { return u.Field == p.Field })
	})
	var lines []string
	for _, p := range slices.Concat(unread, wrong) {
		message := fieldName.ReplaceAllStringFunc(p.Message, func(word string) string { return orDefault(flagOf[word], word) })
		lines = append(lines, orDefault(flagOf[p.Field], p.Field)+": "+message)
	}
	switch len(lines) {
	case 0:
		return nil
	case 1:
		return usagef("%s", lines[0])
	}
	return usagef("%s", fmt.Sprintf("%d problems:\n  ", len(lines))+strings.Join(lines, "\n  "))
}
