package proxy

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// sessionCookie is the gateway's own; nobody behind it may learn or set it.
const sessionCookie = "__host-dcs"

// Headers in which a request could claim to come from somebody or somewhere
// else, or to be another. What the parts are to know they are told here.
var (
	claims = []string{
		"authorization", "proxy-authorization", "forwarded", "via", "from",
		"x-real-ip", "x-client-ip", "true-client-ip", "x-cluster-client-ip",
		"x-access-token", "x-api-key", "x-id-token", "x-grafana-id", "x-grafana-user",
		"x-http-method", "x-http-method-override", "x-method-override", "x-rewrite-url",
	}
	claimPrefixes = []string{"x-webauth", "x-forwarded", "x-auth", "x-remote", "remote-", "x-jwt", "x-user", "x-original-", "x-ssl-", "ssl-", "x-client-cert", "x-dcs-"}
)

// strip takes from a request what is not for the parts.
func strip(h http.Header) {
	for name := range h {
		if claim(name) {
			delete(h, name)
		}
	}
	cookies := h["Cookie"]
	delete(h, "Cookie")
	for _, line := range cookies {
		if line = stripCookies(line); line != "" {
			h["Cookie"] = append(h["Cookie"], line)
		}
	}
}

// claim reports whether a header is kept from the parts. Some servers fold
// underscores and other signs into dashes: such a name is no browser's.
func claim(name string) bool {
	name = strings.ToLower(name)
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return true
	}
	return slices.Contains(claims, name) || slices.ContainsFunc(claimPrefixes, func(p string) bool { return strings.HasPrefix(name, p) })
}

// stripCookies takes the session out of a line of cookies.
func stripCookies(line string) string {
	kept := slices.DeleteFunc(strings.Split(line, ";"), func(c string) bool {
		return strings.TrimSpace(c) == "" || strings.Contains(strings.ToLower(c), sessionCookie)
	})
	return strings.TrimSpace(strings.Join(kept, ";"))
}

// unwanted are headers of an answer that are the gateway's business, or nobody's:
// a service worker, for instance, that could answer for the console.
var unwanted = []string{
	"Server", "X-Powered-By", "Via", "X-Aspnet-Version",
	"Strict-Transport-Security", "Public-Key-Pins", "Expect-Ct", "Alt-Svc", "Clear-Site-Data", "Service-Worker-Allowed",
	"X-Content-Type-Options", "Referrer-Policy", "Permissions-Policy", "Cross-Origin-Opener-Policy", "Cross-Origin-Resource-Policy",
	"Nel", "Report-To", "Reporting-Endpoints", secretHeader,
}

// modify makes the answer that the browser gets.
func (p *part) modify(res *http.Response) error {
	p.back()
	h := res.Header
	for _, name := range unwanted {
		h.Del(name)
	}
	for name := range h {
		if strings.HasPrefix(strings.ToLower(name), "access-control-") {
			delete(h, name)
		}
	}
	if set := slices.DeleteFunc(h["Set-Cookie"], setsSession); len(set) > 0 {
		h["Set-Cookie"] = set
	} else {
		delete(h, "Set-Cookie")
	}
	for _, name := range []string{"Location", "Content-Location"} {
		if to := h.Get(name); to != "" {
			h.Set(name, p.public(to, res.Request.Host))
		}
	}
	if res.StatusCode == http.StatusNotModified {
		// The browser keeps what came with the page; what comes now would replace it.
		h.Del("Content-Security-Policy")
		h.Del("X-Frame-Options")
		return nil
	}
	if h.Get("X-Frame-Options") == "" {
		h.Set("X-Frame-Options", "SAMEORIGIN")
	}
	if !strings.Contains(strings.ToLower(strings.Join(h["Content-Security-Policy"], ";")), "frame-ancestors") {
		h.Add("Content-Security-Policy", "frame-ancestors 'self'")
	}
	if p.page != nil && !p.page(res) {
		h.Add("Content-Security-Policy", "sandbox")
	}
	return nil
}

// setsSession reports whether a cookie would be taken for the session, by any
// reading of its name.
func setsSession(cookie string) bool {
	pair, _, _ := strings.Cut(cookie, ";")
	return strings.Contains(strings.ToLower(pair), sessionCookie)
}

// public turns an address of the part's own into one of the gateway's.
func (p *part) public(address, host string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	if strings.EqualFold(u.Host, p.target.Host) || u.Host != "" && strings.EqualFold(u.Host, host) {
		u.Scheme, u.Host, u.User = "", "", nil
		if path := "/" + strings.TrimLeft(u.Path, `/\`); path != u.Path { // two slashes would lead to another host
			u.Path, u.RawPath = path, ""
		}
	}
	if u.Scheme != "" || u.Host != "" {
		return u.String() // of others
	}
	if p.prefix == NodeREDPrefix { // Dashboard 2 forgets the prefix when it takes a slash off the end
		for _, d := range dashboards {
			if bare := strings.TrimPrefix(d, p.prefix); below(u.EscapedPath(), bare) {
				u = &url.URL{Path: p.prefix + u.Path, RawQuery: u.RawQuery, Fragment: u.Fragment}
				break
			}
		}
	}
	return u.String()
}
