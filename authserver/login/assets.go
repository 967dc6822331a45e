package login

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
)

//go:embed static/*
var staticFiles embed.FS

// asset is one file that pages load.
type asset struct {
	contentType string
	body        []byte
}

// assets are all of them, under one address that changes when any of them does.
type assets struct {
	version string
	files   map[string]asset
}

func loadAssets(logo []byte, logoType string) (assets, error) {
	a := assets{files: map[string]asset{}}
	sum := sha256.New()
	for name, contentType := range map[string]string{
		"style.css": "text/css; charset=utf-8",
		"page.js":   "text/javascript; charset=utf-8",
		"icon.svg":  "image/svg+xml",
	} {
		body, err := staticFiles.ReadFile("static/" + name)
		if err != nil {
			return a, fmt.Errorf("login: %w", err)
		}
		a.files[name] = asset{contentType, body}
	}
	if len(logo) > 0 {
		a.files["logo"] = asset{logoType, logo}
	}
	for _, name := range []string{"style.css", "page.js", "icon.svg", "logo"} {
		fileSum := sha256.Sum256(a.files[name].body)
		sum.Write(fileSum[:])
	}
	a.version = hex.EncodeToString(sum.Sum(nil))[:12]
	return a, nil
}

// ServeAsset answers GET /assets/<version>/<file>, GET /assets/accent/<rrggbb>.css and GET /assets/logo/<client_id>.
//
// A file of our own version never changes. Under another version (a node that is being upgraded serves the page, this one
// the file) it is ours all the same, and nobody keeps it.
func (p *Pages) ServeAsset(w http.ResponseWriter, r *http.Request) {
	if !p.method(w, r, http.MethodGet, http.MethodHead) {
		return
	}
	version, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/assets/"), "/")
	file, ok := p.assets.files[name]
	cache := "no-cache"
	if version == p.assets.version {
		cache = "public, max-age=31536000, immutable"
	}
	if version == "accent" {
		file, ok = accentFile(name)
		cache = "public, max-age=86400"
	}
	if version == "logo" {
		file, ok = p.logos.of(r.Context(), p.store, name)
		cache = "public, max-age=3600"
	}
	if !ok {
		p.Missing(w, r)
		return
	}
	p.protect(w, policy{})
	h := w.Header()
	h.Set("Content-Type", file.contentType)
	h.Set("Cache-Control", cache)
	// An image that is opened by itself is a document: it may not do anything.
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox")
	if r.Method != http.MethodHead {
		_, _ = w.Write(file.body)
	}
}

func accentFile(name string) (asset, bool) {
	hexadecimal, isSheet := strings.CutSuffix(name, ".css")
	c, ok := parseColour("#" + hexadecimal)
	if !isSheet || !ok || c.String() != "#"+hexadecimal {
		return asset{}, false
	}
	return asset{"text/css; charset=utf-8", []byte(accentSheet(c))}, true
}
