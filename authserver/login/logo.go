package login

import (
	"context"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/ingam/ingam/storage"
)

// Fetch gets a document from an address that a client is registered with; *outbound.Client has one.
type Fetch func(ctx context.Context, address string, maxBytes int64) (body []byte, header http.Header, err error)

const (
	logoPath = "/assets/logo/"
	// A logo is kept for logoFor; that there is none, for noLogoFor. So one address is asked at most once a minute, whoever
	// looks, and at most maxLogos are kept.
	logoFor   = time.Hour
	noLogoFor = time.Minute
	maxLogos  = 100
)

// logos are those of clients (logo_uri, RFC 7591 §2). This server fetches them for browsers, so that nobody else hears who
// is about to sign in where. Safe for concurrent use.
type logos struct {
	fetch Fetch
	mu    sync.Mutex
	kept  map[string]keptLogo // by address
}

type keptLogo struct {
	file  asset
	until time.Time
}

// logoOf is the address of a client's logo at this server, "" if it has none that could be shown.
func (p *Pages) logoOf(c storage.Client) string {
	if p.logos.fetch == nil || c.LogoURI == "" {
		return ""
	}
	return p.base + logoPath + url.PathEscape(c.ID)
}

// of answers the logo of a client, from memory where it can.
func (l *logos) of(ctx context.Context, clients storage.Clients, id string) (asset, bool) {
	c, err := clients.Client(ctx, id)
	if err != nil || c.LogoURI == "" || l.fetch == nil {
		return asset{}, false
	}
	if file, known := l.look(c.LogoURI); known {
		return file, file.body != nil
	}
	body, header, err := l.fetch(ctx, c.LogoURI, maxLogoBytes)
	if err != nil {
		return asset{}, false
	}
	media, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil || !slices.Contains(logoTypes, media) || len(body) == 0 {
		return asset{}, false
	}
	file := asset{media, body}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept[c.LogoURI] = keptLogo{file, time.Now().Add(logoFor)}
	return file, true
}

// look answers what is known of an address. Who finds nothing is to fetch it; until that is done the others find that there
// is none.
func (l *logos) look(address string) (file asset, known bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if k, ok := l.kept[address]; ok && now.Before(k.until) {
		return k.file, true
	}
	if l.kept == nil || len(l.kept) >= maxLogos {
		l.kept = map[string]keptLogo{}
	}
	l.kept[address] = keptLogo{until: now.Add(noLogoFor)}
	return asset{}, false
}
