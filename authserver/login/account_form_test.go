package login

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ingam/ingam/authserver/credential"
)

// Password managers fill in and save by these (HTML Living Standard §4.10.18.7). A hidden field must still be a text field.
func TestThePasswordFormTellsPasswordManagersWhatItsFieldsAre(t *testing.T) {
	b := newRig(t).browser()
	b.mustSignIn("alice", alicePassword)
	_, form, _ := strings.Cut(b.get("/account").text, `action="/account/password"`)
	form, _, _ = strings.Cut(form, "</form>")
	for _, want := range []string{
		`<input type="text" hidden name="username" value="alice" autocomplete="username">`,
		`<input id="current" name="current" type="password" autocomplete="current-password"`,
		`<input id="new" name="new" type="password" autocomplete="new-password"`,
		`<input id="repeat" name="repeat" type="password" autocomplete="new-password"`,
	} {
		if strings.Count(form, want) != 1 {
			t.Errorf("the form lacks %s:\n%s", want, form)
		}
	}
}

var inputElement = regexp.MustCompile(`<input id="([a-z]+)"[^>]*>`)

// WCAG 2.2, 3.3.1: the field that an error is about says so, and no other.
func TestTheFieldThatThePasswordErrorIsAboutSaysSo(t *testing.T) {
	r := newRig(t)
	b := r.browser()
	b.mustSignIn("alice", alicePassword)
	is := func(name, wrong string, page answer) {
		t.Helper()
		found := map[string]bool{}
		for _, input := range inputElement.FindAllStringSubmatch(page.text, -1) {
			invalid, described := strings.Contains(input[0], `aria-invalid="true"`), strings.Contains(input[0], `aria-describedby="error`)
			if invalid != (input[1] == wrong) || described != invalid {
				t.Errorf("%s: %s", name, input[0])
			}
			if input[1] == "new" && !regexp.MustCompile(`aria-describedby="(error )?rule"`).MatchString(input[0]) {
				t.Errorf("%s: the rule is not told: %s", name, input[0])
			}
			found[input[1]] = true
		}
		if !found["current"] || !found["new"] || !found["repeat"] {
			t.Errorf("%s: fields %v", name, found)
		}
	}
	is("no error", "", b.get("/account"))
	is("short", "new", change(b, "new", "short", "repeat", "short"))
	is("long", "new", change(b, "new", strings.Repeat("x", 1025), "repeat", strings.Repeat("x", 1025)))
	is("common", "new", change(b, "new", "password", "repeat", "password"))
	is("the same", "new", change(b, "new", alicePassword, "repeat", alicePassword))
	is("not repeated", "repeat", change(b, "repeat", better+"x"))
	is("wrong", "current", change(b, "current", "wrong"))
	r.passwords.fail(&credential.ThrottledError{RetryAfter: time.Second})
	is("throttled", "", change(b))
	for _, key := range []string{"password.short", "password.long", "password.username", "password.common", "password.repeat", "password.same"} {
		if wrongFields[key] == "" {
			t.Errorf("%s is about no field", key)
		}
	}
}
