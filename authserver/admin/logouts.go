package admin

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/ingam/ingam/storage"
)

// What may become of a logout token.
const (
	LogoutPending = "pending"
	LogoutFailed  = "failed"
)

// listLogouts lists the logout tokens that clients have not taken: those that wait for their next try, the next one first,
// and those that were given up.
func (a *api) listLogouts(w http.ResponseWriter, r *http.Request) error {
	limit, err := onlyLimit(r.URL.Query())
	if err != nil {
		return err
	}
	deliveries, err := storage.Outbox{Entries: a.store}.All(r.Context(), limit+1) // one more tells whether there are more
	if err != nil {
		return storeFailure(err)
	}
	list := LogoutList{Logouts: []Logout{}, More: len(deliveries) > limit}
	for _, d := range deliveries[:min(len(deliveries), limit)] {
		list.Logouts = append(list.Logouts, viewLogout(d))
	}
	return answer(w, http.StatusOK, list)
}

func viewLogout(d storage.Delivery) Logout {
	view := Logout{
		ID: d.ID, State: LogoutPending, ClientID: d.ClientID, URI: withoutQuery(d.URI), Subject: d.Subject, SID: d.SessionID,
		CreatedAt: d.CreatedAt, Attempts: d.Attempts, LastError: d.LastError, ExpiresAt: d.ExpiresAt,
	}
	if d.Failed {
		view.State = LogoutFailed
	} else {
		view.NextAt = d.NextAt
	}
	return view
}

// withoutQuery cuts off where an operator may have put a secret of the client.
func withoutQuery(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return ""
	}
	u.RawQuery, u.ForceQuery, u.User = "", false, nil
	return u.String()
}

// onlyLimit reads limit. There are no pages: a list of what does not work is short, or something else is wrong.
func onlyLimit(query url.Values) (int, error) {
	for name := range query {
		if name != "limit" {
			return 0, invalid("unknown query parameter %q; there is limit", name)
		}
	}
	switch texts := query["limit"]; len(texts) {
	case 0:
		return defaultLimit, nil
	case 1:
		if limit, err := strconv.Atoi(texts[0]); err == nil && limit >= 1 && limit <= maxLimit {
			return limit, nil
		}
		return 0, invalid("limit is a number from 1 to %d", maxLimit)
	default:
		return 0, invalid("%q is given more than once", "limit")
	}
}
