package api

import "time"

// Route is what a test may know of a route.
type Route struct{ Method, Path, Least string }

// Routes are those of a server.
func Routes(cfg Config) []Route {
	var found []Route
	for _, r := range newServer(cfg).routes() {
		found = append(found, Route{r.method, r.path, string(r.least)})
	}
	return found
}

// SetUnread sets how long nobody may read of a file.
func (a *API) SetUnread(d time.Duration) { a.s.unread = d }

// SetAuditDelay sets how long the audit log is waited for.
func (a *API) SetAuditDelay(d time.Duration) { a.s.auditDelay = d }
