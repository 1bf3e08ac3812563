package signin

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"strconv"
	"time"
)

//go:embed pages
var files embed.FS

// pages are the templates, and what a browser may do with what they give.
type pages struct {
	all    *template.Template
	policy string // Content-Security-Policy
	script []byte
}

func newPages() *pages {
	css, err := files.ReadFile("pages/style.css")
	if err != nil {
		panic(err) // it is in the binary
	}
	script, err := files.ReadFile("pages/passkey.js")
	if err != nil {
		panic(err)
	}
	all := template.New("").Funcs(template.FuncMap{
		"style": func() template.CSS { return template.CSS(css) },
		"time":  func(t time.Time) string { return t.Format("15:04 MST, 2 January 2006") },
		"iso":   func(t time.Time) string { return t.Format(time.RFC3339) },
	})
	hash := sha256.Sum256(css)
	return &pages{script: script, all: template.Must(all.ParseFS(files, "pages/*.html")),
		policy: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'; " +
			"form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"}
}

// guard sets what every answer carries, whatever it is.
func (p *pages) guard(h http.Header) {
	h.Set("Content-Security-Policy", p.policy)
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer") // addresses of pages hold ids and states
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("X-Robots-Tag", "noindex")
	h.Set("Content-Type", "text/html; charset=utf-8")
}

// scripted lets the next page run the one script that there is.
func (p *pages) scripted(h http.Header) {
	h.Set("Content-Security-Policy", p.policy+"; script-src 'self'")
}

// sendScript writes the script, which asks for nothing but what its page holds.
func (p *pages) sendScript(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(p.script)))
	_, _ = w.Write(p.script)
}

// show writes a page. It is made whole before its first byte is sent.
func (p *pages) show(w http.ResponseWriter, status int, name string, data any) {
	var body bytes.Buffer
	if err := p.all.ExecuteTemplate(&body, name, data); err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes()) // a browser that went away misses nothing
}

// notice writes a page that says why a step is not taken.
func (p *pages) notice(w http.ResponseWriter, what problem) {
	n := what.notice()
	if n.status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "60")
	}
	p.show(w, n.status, "notice.html", n)
}
