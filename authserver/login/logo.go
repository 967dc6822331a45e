package login

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ingam/ingam/storage"
)

// Fetch gets a document from an address that a client is registered with; *outbound.Client has one.
type Fetch func(ctx context.Context, address string, maxBytes int64) (body []byte, header http.Header, err error)

const (
	logoPath = "/assets/logo/"
	// A logo is kept for logoFor; that there is none, for noLogoFor. So one address is asked at most once a minute, whoever
	// looks. Of maxLogos that are kept the oldest makes room for the next.
	logoFor   = time.Hour
	noLogoFor = time.Minute
	maxLogos  = 100
	// At most logosAtOnce are fetched at a time, each within logoWithin: addresses that answer slowly, or many clients, must
	// not hold a connection for each request of a browser.
	logosAtOnce = 8
	logoWithin  = 10 * time.Second
)

// logos are those of clients (logo_uri, RFC 7591 §2). This server fetches them for browsers, so that nobody else hears who
// is about to sign in where. Safe for concurrent use.
type logos struct {
	fetch   Fetch
	log     *slog.Logger
	mu      sync.Mutex
	kept    map[string]keptLogo     // by address
	pending map[string]*pendingLogo // by address: those under way
}

// keptLogo is what is known of an address; a file without a body is that there is none.
type keptLogo struct {
	file         asset
	since, until time.Time
}

// pendingLogo is a fetch. Its file is there when done is closed.
type pendingLogo struct {
	done chan struct{}
	file asset
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
	file, pending, mine := l.look(c.LogoURI)
	switch {
	case mine:
		file = l.get(ctx, c, pending)
	case pending != nil:
		select {
		case <-pending.done:
			file = pending.file
		case <-ctx.Done():
		}
	}
	return file, file.body != nil
}

// look answers what is known of an address, or the fetch that is under way. mine: it begins with this look, and whoever
// looked is to do it. Where too many are under way there is no logo for now, and nothing is remembered of that.
func (l *logos) look(address string) (file asset, pending *pendingLogo, mine bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if k, ok := l.kept[address]; ok && time.Now().Before(k.until) {
		return k.file, nil, false
	}
	if pending = l.pending[address]; pending != nil || len(l.pending) >= logosAtOnce {
		return asset{}, pending, false
	}
	if l.pending == nil {
		l.pending = map[string]*pendingLogo{}
	}
	pending = &pendingLogo{done: make(chan struct{})}
	l.pending[address] = pending
	return asset{}, pending, true
}

// get fetches a logo for all who wait for it, so that the one who began it may hang up. That there is none is written down:
// nobody else hears why a page shows no logo.
func (l *logos) get(ctx context.Context, c storage.Client, pending *pendingLogo) asset {
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.remember(c.LogoURI, pending.file)
		delete(l.pending, c.LogoURI)
		close(pending.done)
	}()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), logoWithin)
	defer cancel()
	file, err := l.image(ctx, c.LogoURI)
	if err != nil {
		l.log.WarnContext(ctx, "the logo of a client could not be fetched", "client_id", c.ID, "address", plain(c.LogoURI), "error", err)
	}
	pending.file = file
	return file
}

// image fetches what may be shown as a logo, and nothing else.
func (l *logos) image(ctx context.Context, address string) (asset, error) {
	body, header, err := l.fetch(ctx, address, maxLogoBytes)
	if err != nil {
		return asset{}, err
	}
	if len(body) == 0 {
		return asset{}, errors.New("the answer is empty: it must be an image")
	}
	media, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil || !slices.Contains(logoTypes, media) {
		return asset{}, fmt.Errorf("the answer is %q: it must be one of %s", shortened(header.Get("Content-Type")), strings.Join(logoTypes, ", "))
	}
	return asset{media, body}, nil
}

// plain is an address without the parts that may hold a secret.
func plain(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
}

// remember keeps what was found. The caller has the lock.
func (l *logos) remember(address string, file asset) {
	if l.kept == nil {
		l.kept = map[string]keptLogo{}
	}
	if _, known := l.kept[address]; !known && len(l.kept) >= maxLogos {
		oldest := ""
		for a, k := range l.kept {
			if oldest == "" || k.since.Before(l.kept[oldest].since) {
				oldest = a
			}
		}
		delete(l.kept, oldest)
	}
	now := time.Now()
	lifetime := logoFor
	if file.body == nil {
		lifetime = noLogoFor
	}
	l.kept[address] = keptLogo{file: file, since: now, until: now.Add(lifetime)}
}
