package login

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

// maxForm is the longest form in bytes. The longest field is the authorization request, twice escaped.
const maxForm = 256 << 10

// CheckForm reads the form of a POST and checks that it comes from a page of ours at this browser (row A13). Otherwise it
// shows an error page and answers false.
func (p *Pages) CheckForm(w http.ResponseWriter, r *http.Request) (url.Values, bool) {
	form, err := readForm(w, r)
	if err != nil {
		status, tooLarge := http.StatusBadRequest, (*http.MaxBytesError)(nil)
		if errors.As(err, &tooLarge) {
			status = http.StatusRequestEntityTooLarge
		}
		p.showError(w, r, problem{status: status, title: "error.form.title", text: "error.form.text", detail: err.Error()})
		return nil, false
	}
	if !p.csrfFits(r, form.Get("csrf")) {
		p.showError(w, r, problem{
			status: http.StatusForbidden, title: "error.csrf.title", text: "error.csrf.text",
			back: safeContinue(form.Get("continue")),
		})
		return nil, false
	}
	return form, true
}

// readForm reads an urlencoded form, each field once, of text.
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" {
		return nil, errors.New("the form must be sent as application/x-www-form-urlencoded")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxForm))
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, errors.New("the form is not urlencoded")
	}
	for name, values := range form {
		switch {
		case len(values) != 1:
			return nil, errors.New("a field of the form is there more than once")
		case !utf8.ValidString(name) || !utf8.ValidString(values[0]) || strings.ContainsRune(values[0], 0):
			return nil, errors.New("a field of the form is not text")
		}
	}
	return form, nil
}

// method answers whether the request has one of the methods, and says so if not.
func (p *Pages) method(w http.ResponseWriter, r *http.Request, allowed ...string) bool {
	for _, m := range allowed {
		if r.Method == m {
			return true
		}
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	p.showError(w, r, problem{
		status: http.StatusMethodNotAllowed, title: "error.method.title", text: "error.method.text", back: account,
	})
	return false
}
