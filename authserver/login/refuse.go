package login

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/ingam/ingam/storage"
)

// problem is an error page: what happened, who can do what about it, and how to get on. title and text are keys.
type problem struct {
	status      int
	title, text string
	detail      string // in English, for whoever repairs it
	parameter   string
	value       string
	code        string
	client      storage.Client
	back        string
	locales     []string
	retryAfter  time.Duration
}

// errorView is what error.html shows.
type errorView struct {
	Text, Detail, Parameter, Value, Code, RequestID string
	App                                             app
	Back                                            string
}

// maxShown bounds what a stranger can put onto an error page, in characters.
const maxShown = 200

func (p *Pages) showError(w http.ResponseWriter, r *http.Request, e problem) {
	lang := p.language(r, e.locales)
	texts := p.languages.catalogues[lang]
	retryLater(w, e.retryAfter)
	var from app
	if e.client.ID != "" {
		from = p.appOf(e.client, "")
	}
	p.render(w, r, show{
		name: "error", status: e.status, lang: lang, title: texts.text(e.title), client: e.client,
		allow: policyOf(""),
		body: errorView{
			Text: texts.text(e.text, "wait", texts.wait(e.retryAfter)), Detail: e.detail, Parameter: e.parameter,
			Value: shortened(e.value), Code: e.code, RequestID: p.requestID(r.Context()), App: from, Back: e.back,
		},
	})
}

// Refuse shows a request that cannot be answered at the client. That something is not registered is said of a value only: a
// parameter that is missing or repeated is wrong in itself.
func (p *Pages) Refuse(w http.ResponseWriter, r *http.Request, f Refusal) {
	e := problem{
		status: f.Status, title: "error.request.title", text: "error.request.text",
		detail: f.Description, parameter: f.Parameter, value: f.Value, code: f.Code, client: f.Client, retryAfter: f.RetryAfter,
	}
	switch {
	case f.Status == http.StatusTooManyRequests:
		e.title, e.text = "error.throttled.title", "error.throttled.text"
	case f.Status >= http.StatusInternalServerError:
		e.title, e.text = "error.unavailable.title", "error.unavailable.text"
	case f.Status == http.StatusForbidden && f.Parameter == "":
		e.title, e.text = "error.csrf.title", "error.csrf.text"
	case f.Parameter == "client_id" && f.Value != "":
		e.title, e.text = "error.client.title", "error.client.text"
	case f.Parameter == "redirect_uri" && f.Value != "":
		e.title, e.text = "error.redirect.title", "error.redirect.text"
	}
	if e.status == 0 {
		e.status = http.StatusBadRequest
	}
	p.showError(w, r, e)
}

// Missing says that there is no page at this address.
func (p *Pages) Missing(w http.ResponseWriter, r *http.Request) {
	p.showError(w, r, problem{status: http.StatusNotFound, title: "error.missing.title", text: "error.missing.text", back: account})
}

// unavailable says that the store has failed. It does not say that nothing was done: the answer may be all that is lost.
func (p *Pages) unavailable(w http.ResponseWriter, r *http.Request, err error) {
	p.noteFailure(r.Context(), err)
	p.showError(w, r, problem{
		status: http.StatusServiceUnavailable, title: "error.unavailable.title", text: "error.unavailable.text",
		retryAfter: 2 * time.Second,
	})
}

func (p *Pages) noteFailure(ctx context.Context, err error) {
	if errors.Is(err, context.Canceled) { // the browser has gone
		return
	}
	p.log.ErrorContext(ctx, "a page could not be served", "error", err)
}

func retryLater(w http.ResponseWriter, wait time.Duration) {
	if wait > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(asSeconds(wait), 10))
	}
}

// wait says how long, rounded up.
func (c catalogue) wait(d time.Duration) string {
	seconds := asSeconds(d)
	switch {
	case seconds <= 1:
		return c.text("wait.second")
	case seconds <= 90:
		return c.text("wait.seconds", "n", strconv.FormatInt(seconds, 10))
	}
	return c.text("wait.minutes", "n", strconv.FormatInt((seconds+59)/60, 10))
}

func shortened(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	count := 0
	for i := range text {
		if count == maxShown {
			return text[:i] + "…"
		}
		count++
	}
	return text
}
