// Package console serves the operators' console: the page that is built from
// this folder's TypeScript into dist, which is in the binary.
package console

import (
	"bytes"
	"compress/gzip"
	"embed"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
)

// dist is empty but for its .gitignore until `npm run build` has filled it.
//
//go:embed all:dist
var dist embed.FS

// CSP is the console's Content-Security-Policy: everything is from here, and no
// script or style stands in the page.
const CSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; font-src 'self'; manifest-src 'self'; " +
	"base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'"

// Built returns the console that is in the binary. It is not ok when the console
// was not built before the binary.
func Built() (fsys fs.FS, ok bool) {
	sub, err := fs.Sub(dist, "dist")
	if err != nil {
		return nil, false
	}
	_, err = fs.Stat(sub, "index.html")
	return sub, err == nil
}

// file is a file as it is sent.
type file struct {
	kind        string
	plain, gzip []byte // gzip is nil where it saves nothing
}

// Handler serves the console: its assets, whose names change with their content,
// for ever; index.html for each of its own addresses; missing for all others.
func Handler(fsys fs.FS, missing http.Handler) (http.Handler, error) {
	files := make(map[string]file)
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(d.Name(), ".") {
			return err
		}
		b, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		files["/"+name], err = newFile(name, b)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the console's files: %w", err)
	}
	index, ok := files["/index.html"]
	if !ok {
		return nil, fmt.Errorf("the console has no index.html: build it with make console")
	}
	delete(files, "/index.html")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		f, ok := files[r.URL.Path]
		switch {
		case ok && strings.HasPrefix(r.URL.Path, "/assets/"):
			w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		case ok:
			w.Header().Set("Cache-Control", "public, max-age=3600")
		case Own(r.URL.Path):
			f = index
			w.Header().Set("Cache-Control", "no-cache")
			w.Header().Set("Content-Security-Policy", CSP)
		default:
			missing.ServeHTTP(w, r)
			return
		}
		f.serve(w, r)
	}), nil
}

// Own reports whether an address is one of the console's own pages.
func Own(address string) bool {
	switch address {
	case "/", "/login", "/runs", "/audit", "/acks", "/help":
		return true
	}
	for _, of := range []string{"/device/", "/sensor/", "/runs/"} {
		if rest, ok := strings.CutPrefix(address, of); ok && rest != "" && !strings.Contains(rest, "/") {
			return true
		}
	}
	return false
}

func newFile(name string, b []byte) (file, error) {
	kind := mime.TypeByExtension(path.Ext(name))
	switch path.Ext(name) { // what the machine's own tables must not change
	case ".js":
		kind = "text/javascript; charset=utf-8"
	case ".css":
		kind = "text/css; charset=utf-8"
	case ".svg":
		kind = "image/svg+xml"
	case ".webmanifest":
		kind = "application/manifest+json"
	}
	if kind == "" {
		kind = "application/octet-stream"
	}
	f := file{kind: kind, plain: b}
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return f, err
	}
	if _, err := z.Write(b); err != nil {
		return f, err
	}
	if err := z.Close(); err != nil {
		return f, err
	}
	if packed.Len() < len(b)*9/10 {
		f.gzip = packed.Bytes()
	}
	return f, nil
}

func (f file) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", f.kind)
	body := f.plain
	if f.gzip != nil {
		h.Add("Vary", "Accept-Encoding")
		if takesGzip(r.Header.Get("Accept-Encoding")) {
			h.Set("Content-Encoding", "gzip")
			body = f.gzip
		}
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(body) // who has gone away needs it no more
	}
}

// takesGzip reads as much of Accept-Encoding as browsers and scripts use.
func takesGzip(accept string) bool {
	for one := range strings.SplitSeq(accept, ",") {
		name, q, _ := strings.Cut(strings.TrimSpace(one), ";")
		if strings.TrimSpace(name) == "gzip" {
			q = strings.ReplaceAll(q, " ", "")
			return q != "q=0" && q != "q=0.0"
		}
	}
	return false
}
