// Package pages makes the small pages that the gateway shows itself: errors,
// and parts that are away. They are made on the server and need no script, so
// they work when nothing else does.
package pages

import (
	"bytes"
	_ "embed" // the page and its style
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"time"
)

// StylePath is where Style is to be served.
const StylePath = "/pages.css"

// policy lets a page load its style and nothing else.
const policy = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"

// again is how often a page that waits for a part tries it.
const again = 5 * time.Second

//go:embed page.html
var pageText string

//go:embed pages.css
var style []byte

var page = template.Must(template.New("page").Parse(pageText))

// Link leads somewhere.
type Link struct {
	Text, Href string
}

// Page is one page. Its texts are plain, not HTML.
type Page struct {
	Status int
	Title  string
	Text   string        // what is wrong, and what to do about it
	Links  []Link        // where to go from here; the console when there are none
	Again  time.Duration // the browser tries again after this long; 0: it does not
}

// Write answers a request with p.
func Write(w http.ResponseWriter, r *http.Request, p Page) {
	if p.Status == 0 {
		p.Status = http.StatusInternalServerError
	}
	if p.Title == "" {
		p.Title = http.StatusText(p.Status)
	}
	if len(p.Links) == 0 {
		p.Links = []Link{{Text: "Back to the console", Href: "/"}}
	}
	var body bytes.Buffer
	if err := page.Execute(&body, p); err != nil {
		http.Error(w, p.Title, p.Status)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Frame-Options", "SAMEORIGIN")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	if p.Again > 0 {
		seconds := strconv.Itoa(max(1, int(p.Again/time.Second)))
		h.Set("Retry-After", seconds)
		if r.Method == http.MethodGet { // what was sent with a form is not sent twice
			h.Set("Refresh", seconds)
		}
	}
	w.WriteHeader(p.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body.Bytes()) // who has gone away learns nothing
	}
}

// Style serves the pages' style sheet, at StylePath.
func Style() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "GET only", http.StatusMethodNotAllowed)
			return
		}
		h := w.Header()
		h.Set("Content-Type", "text/css; charset=utf-8")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "max-age=3600")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(style))
	})
}

// Forbidden is what somebody sees who may not do this.
func Forbidden(text string, links ...Link) Page {
	return Page{Status: http.StatusForbidden, Title: "Not for this login", Text: text, Links: links}
}

// NotFound is for addresses that lead nowhere.
func NotFound() Page {
	return Page{Status: http.StatusNotFound, Title: "There is nothing here", Text: "The address is not one of this gateway's."}
}

// Away is for a part that does not answer; the page tries again by itself.
func Away(part string) Page {
	return Page{
		Status: http.StatusBadGateway, Title: part + " is away", Again: again,
		Text: "The gateway cannot reach it. It will be here again when it is back; the console works without it.",
	}
}

// NotConfigured is for a part that this gateway was told nothing of.
func NotConfigured(part, setting string) Page {
	return Page{
		Status: http.StatusServiceUnavailable, Title: "There is no " + part + " here",
		Text: fmt.Sprintf("This gateway was not told where it is: set %s and restart the gateway. The console works without it.", setting),
	}
}

// NotBuilt is for a gateway without its console.
func NotBuilt() Page {
	return Page{
		Status: http.StatusNotFound, Title: "The console is not built",
		Text:  "This gateway was built without its console. Run make console, build the gateway again and restart it. The API, Grafana and Node-RED work without it.",
		Links: []Link{{Text: "Try again", Href: "/"}},
	}
}
