package login

import (
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"
)

// words are the keys of texts for what a client may ask for.
var (
	scopeWords = map[string]string{
		"openid":         "scope.openid",
		"profile":        "scope.profile",
		"email":          "scope.email",
		"address":        "scope.address",
		"phone":          "scope.phone",
		"offline_access": "scope.offline_access",
	}
	claimWords = map[string]string{
		"name":                  "claim.name",
		"family_name":           "claim.family_name",
		"given_name":            "claim.given_name",
		"middle_name":           "claim.middle_name",
		"nickname":              "claim.nickname",
		"preferred_username":    "claim.preferred_username",
		"profile":               "claim.profile",
		"picture":               "claim.picture",
		"website":               "claim.website",
		"email":                 "claim.email",
		"email_verified":        "claim.email_verified",
		"gender":                "claim.gender",
		"birthdate":             "claim.birthdate",
		"zoneinfo":              "claim.zoneinfo",
		"locale":                "claim.locale",
		"phone_number":          "claim.phone_number",
		"phone_number_verified": "claim.phone_number_verified",
		"address":               "claim.address",
		"updated_at":            "claim.updated_at",
	}
)

// permission is one thing that a client may do or know, in plain words.
type permission struct {
	Text string
	New  bool
}

// consentView is what consent.html shows.
type consentView struct {
	App             app
	Name, Username  string
	Scopes          []permission
	Claims          []permission
	Answer, Token   string // of the decision
	Continue, About string // of using another account
}

// Consent asks whether the client may have what it asks for. The form goes to POST /consent.
func (p *Pages) Consent(w http.ResponseWriter, r *http.Request, ask Ask) {
	// The proof that is in it stays there for the answer; whoever signs in instead needs a new one.
	answer := safeContinue(ask.Continue)
	ask.Continue = requestOf(ask.Continue)
	lang := p.language(r, ask.Locales)
	texts := p.languages.catalogues[lang]
	a := p.appOf(ask.Client, ask.RedirectURI)
	v := consentView{
		App: a, Name: displayName(ask.User), Username: ask.User.Username, Claims: texts.claims(ask.Claims),
		Answer: answer, Continue: ask.Continue, About: p.sealAbout(ask), Token: ask.Token,
	}
	// What is new is marked only beside something that is not.
	mark := len(ask.NewScopes) < len(ask.Scopes)
	for _, scope := range ask.Scopes {
		v.Scopes = append(v.Scopes, permission{texts.scope(scope), mark && slices.Contains(ask.NewScopes, scope)})
	}
	p.render(w, r, show{
		name: "consent", status: http.StatusOK, lang: lang, title: texts.text("consent.title", "app", a.Name),
		client: ask.Client, back: back(r, answer), allow: policyOf(ask.RedirectURI), body: v,
	})
}

func (c catalogue) scope(name string) string {
	if key, ok := scopeWords[name]; ok {
		return c.text(key)
	}
	return c.text("scope.other", "scope", shortened(name))
}

// claims answers claims in words. Parts by language (name#ko, OIDC Core §5.2) are the same fact.
func (c catalogue) claims(names []string) []permission {
	var list []permission
	for _, name := range names {
		plain, _, _ := strings.Cut(name, "#")
		text := c.text("claim.other", "claim", shortened(name))
		if key, ok := claimWords[plain]; ok {
			text = c.text(key)
		}
		if p := (permission{Text: text}); utf8.ValidString(text) && !slices.Contains(list, p) {
			list = append(list, p)
		}
	}
	return list
}
