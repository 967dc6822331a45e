package login

import (
	"html/template"
	"net/http"
	"net/url"

	"github.com/ingam/ingam/storage"
)

// leaveView is what leave.html shows.
type leaveView struct {
	App      app
	Continue template.URL
}

// Leave sends the browser on to a client, to an address that was validated: with 303 (RFC 9700 §4.12), or by a page that
// goes on by itself where a form of ours led here.
//
// A browser may hold the whole chain of redirects behind a form to form-action of the page that had it (CSP Level 3 §6.4.1;
// Chromium does). What the client's own address redirects to is not known here, so the chain has to end on a page of ours.
func (p *Pages) Leave(w http.ResponseWriter, r *http.Request, c storage.Client, locales []string, target string) {
	if !fromForm(r) || !isHTTP(target) {
		h := w.Header()
		h.Set("Location", target)
		h.Set("Cache-Control", "no-store")
		// The address of the request may hold an ID token, that of the answer a code: both are nobody else's business.
		h.Set("Referrer-Policy", "no-referrer")
		w.WriteHeader(http.StatusSeeOther)
		return
	}
	lang := p.language(r, locales)
	a := p.appOf(c, target)
	p.render(w, r, show{
		name: "leave", status: http.StatusOK, lang: lang, title: p.languages.catalogues[lang].text("leave.title"),
		client: c, allow: policy{leave: true}, refresh: link(target), body: leaveView{App: a, Continue: link(target)},
	})
}

// fromForm tells whether a form of ours brought the browser here, itself or by redirects: then it is a POST, or its address
// has a proof. Only pages of ours are of this origin, or those of an application behind the same host, for which one page
// more is no harm (Fetch Metadata §2). A frame is no document: an application that asks in one must get its redirect, as no
// page of ours shows there. Most programs and old browsers say nothing of all this.
func fromForm(r *http.Request) bool {
	if r.Method != http.MethodPost && !r.URL.Query().Has(ProofParameter) {
		return false
	}
	h := r.Header
	return h.Get("Sec-Fetch-Mode") == "navigate" && h.Get("Sec-Fetch-Dest") == "document" && h.Get("Sec-Fetch-Site") == "same-origin"
}

func isHTTP(address string) bool {
	u, err := url.Parse(address)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http")
}
