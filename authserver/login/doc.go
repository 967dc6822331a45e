// Package login is what people see and do: the pages for sign-in, choice of account, consent, account, logout and
// errors, and the browser session behind them.
//
// # Who is at this browser
//
// A browser session is a [storage.Session]. Its cookie is the session's id and a secret of 256 bits, of which only the
// hash is stored. Each sign-in makes a new secret, so that a cookie of before is worth nothing (row L1). A session counts
// while the store has it and its user is neither disabled nor of another epoch; no page decides that alone, see
// [Pages.SignedIn].
//
// # Where a sign-in is kept
//
// Nowhere. The address of the authorization request is the whole state of a sign-in: every form carries it in the field
// "continue", and ends with a redirect back to it. What the person did on the way is proved by a parameter that is added
// then, a MAC that binds the act to the session and to that request; see [Pages.Proven].
//
// # What a form must show
//
// Each browser has a random cookie, and each form a field that is the MAC of it: a page elsewhere can neither read nor
// guess the field (row A13). The root package puts http.CrossOriginProtection around the handlers besides.
//
// # What a page may do
//
// Templates are html/template, without inline script or style. The Content-Security-Policy allows this server's own
// files and, as the target of a form, the one origin that the authorization server is about to send the browser to. What that
// origin redirects to is not ours to know, and browsers ask it all the same, so the way from a form to a client ends on a
// page that goes on by itself; see [Pages.Leave]. Not so for response_mode=form_post, whose page has to be a form: there an
// application must not redirect to another origin from its redirect URI. All pages work without JavaScript.
package login
