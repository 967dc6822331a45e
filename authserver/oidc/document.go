package oidc

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// ServeDocument answers GET and HEAD with a prepared JSON document that anybody may cache (RFC 9111) and that a
// browser of any origin may read: it is public.
func ServeDocument(w http.ResponseWriter, r *http.Request, contentType string, body []byte, etag string, maxAge time.Duration) {
	h := w.Header()
	h.Set("Cache-Control", "public, max-age="+strconv.Itoa(int(maxAge/time.Second)))
	h.Set("ETag", etag)
	// RFC 9110 §13.1.2: weak comparison against each tag of the list.
	for tag := range strings.SplitSeq(r.Header.Get("If-None-Match"), ",") {
		if tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/"); tag == etag || tag == "*" {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client has gone; nobody is left to tell
	}
}

// ETag answers a strong entity tag for a document.
func ETag(body []byte) string {
	digest := sha256.Sum256(body)
	return `"` + base64.RawURLEncoding.EncodeToString(digest[:12]) + `"`
}
