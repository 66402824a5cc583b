package provision

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// influx1 is InfluxDB 1.8: a token is a user's name and password.
type influx1 struct {
	c        *Influx
	web      *web
	password string
}

// prepare logs in, and makes the administrator where there is none: until then a
// server that asks for logins takes nothing else.
func (i *influx1) prepare(ctx context.Context) error {
	_, err := i.ask(ctx, "SHOW USERS")
	if err != nil && strings.Contains(err.Error(), "create admin user first") {
		_, err = i.ask(ctx, "CREATE USER "+ident(AdminUser)+" WITH PASSWORD "+literal(i.password)+" WITH ALL PRIVILEGES")
		if err == nil {
			i.c.Log.Info("InfluxDB had no administrator: made", "name", AdminUser)
		}
	}
	if err != nil {
		return fmt.Errorf("InfluxDB at %s, as user %s with the password in %s: %w", i.c.URL, AdminUser, i.c.PasswordFile, err)
	}
	if _, err := i.ask(ctx, "CREATE DATABASE "+ident(i.c.database())); err != nil {
		return fmt.Errorf("making InfluxDB's database %s: %w", i.c.database(), err)
	}
	return nil
}

// stands looks at the user as well: a server that asks for no login would take
// any. The right is given again each time, which makes one that was too wide
// what it should be.
func (i *influx1) stands(ctx context.Context, g Grant, token string) (bool, error) {
	user, _, ok := strings.Cut(token, ":")
	if !ok || user != g.Name {
		return false, nil // of an InfluxDB 2 that was here before
	}
	admin, known, err := i.user(ctx, g.Name)
	if err != nil || !known || admin {
		return false, err
	}
	if err := i.grant(ctx, g); err != nil {
		return false, err
	}
	return i.web.tries(ctx, g, i.c.Org, i.c.database(), token)
}

// renew sets a new password.
func (i *influx1) renew(ctx context.Context, g Grant, keep func(token string) error) error {
	admin, known, err := i.user(ctx, g.Name)
	if err != nil {
		return err
	}
	password := rand.Text()
	command := "CREATE USER " + ident(g.Name) + " WITH PASSWORD " + literal(password)
	if known {
		command = "SET PASSWORD FOR " + ident(g.Name) + " = " + literal(password)
	}
	if _, err := i.ask(ctx, command); err != nil {
		return err
	}
	if admin {
		if _, err := i.ask(ctx, "REVOKE ALL PRIVILEGES FROM "+ident(g.Name)); err != nil {
			return err
		}
	}
	if err := i.grant(ctx, g); err != nil {
		return err
	}
	return keep(g.Name + ":" + password)
}

// grant gives a user the right on the database, in the place of what it had.
func (i *influx1) grant(ctx context.Context, g Grant) error {
	right := "READ"
	switch {
	case g.Read && g.Write:
		right = "ALL"
	case g.Write:
		right = "WRITE"
	}
	_, err := i.ask(ctx, "GRANT "+right+" ON "+ident(i.c.database())+" TO "+ident(g.Name))
	return err
}

// user reports whether there is a user, and whether it may do everything.
func (i *influx1) user(ctx context.Context, name string) (admin, known bool, err error) {
	body, err := i.ask(ctx, "SHOW USERS")
	if err != nil {
		return false, false, err
	}
	var a struct {
		Results []struct {
			Series []struct{ Values [][]any }
		}
	}
	if err := json.Unmarshal(body, &a); err != nil {
		return false, false, fmt.Errorf("the answer is not InfluxDB's: %w", err)
	}
	for _, r := range a.Results {
		for _, s := range r.Series {
			for _, row := range s.Values {
				if len(row) == 2 && row[0] == name {
					return row[1] == true, true, nil
				}
			}
		}
	}
	return false, false, nil
}

// ask gives a command. It stands in the body: an address would be logged, with
// the passwords in it.
func (i *influx1) ask(ctx context.Context, command string) ([]byte, error) {
	form := url.Values{"q": {command}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, i.web.base+"/query", strings.NewReader(form))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(AdminUser, i.password)
	a, err := i.web.do(req)
	if err != nil {
		return nil, err
	}
	if a.status != http.StatusOK {
		return nil, fmt.Errorf("InfluxDB answers %d: %s", a.status, a.said())
	}
	return a.body, resultError(a.body)
}

// ident and literal quote for InfluxQL.
func ident(name string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
}

func literal(s string) string {
	return `'` + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + `'`
}
