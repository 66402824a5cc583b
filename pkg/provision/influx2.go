package provision

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
)

// influx2 is InfluxDB 2: a token is an authorization, and its rights are on the
// bucket alone. Of the server's API it needs nine requests, which a client of
// the whole API is too large for.
type influx2 struct {
	c           *Influx
	web         *web
	admin       string // the token that may do all
	org, bucket string // their ids
}

// prepare finds the organisation and the bucket, which is made where there is
// none, and sees to the name that the bucket has in InfluxQL.
func (i *influx2) prepare(ctx context.Context) error {
	err := i.findOrg(ctx)
	if err != nil {
		return fmt.Errorf("InfluxDB at %s, organisation %s, with the token in %s: %w", i.c.URL, i.c.Org, i.c.TokenFile, err)
	}
	if i.bucket, err = i.findBucket(ctx); err != nil {
		return err
	}
	return i.mapDatabase(ctx)
}

// named is an organisation or a bucket.
type named struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// idOf is the id of the one with the name, empty if there is none.
func idOf(all []named, name string) string {
	for _, n := range all {
		if n.Name == name {
			return n.ID
		}
	}
	return ""
}

func (i *influx2) findOrg(ctx context.Context) error {
	var found struct{ Orgs []named }
	if err := i.ask(ctx, http.MethodGet, "orgs", url.Values{"org": {i.c.Org}}, nil, &found); err != nil {
		return err
	}
	if i.org = idOf(found.Orgs, i.c.Org); i.org == "" {
		return errors.New("there is no such organisation")
	}
	return nil
}

// findBucket is the bucket's id.
func (i *influx2) findBucket(ctx context.Context) (string, error) {
	name := i.c.database()
	var found struct{ Buckets []named }
	err := i.ask(ctx, http.MethodGet, "buckets", url.Values{"orgID": {i.org}, "name": {name}}, nil, &found)
	var refused *statusError
	if err != nil && (!errors.As(err, &refused) || refused.status != http.StatusNotFound) {
		return "", fmt.Errorf("InfluxDB at %s, bucket %s: %w", i.c.URL, name, err)
	}
	if id := idOf(found.Buckets, name); id != "" {
		return id, nil
	}
	var made named
	err = i.ask(ctx, http.MethodPost, "buckets", nil, map[string]any{
		"orgID": i.org, "name": name, "retentionRules": []any{}, // kept for ever
	}, &made)
	if err != nil {
		return "", fmt.Errorf("making InfluxDB's bucket %s: %w", name, err)
	}
	if made.ID == "" {
		return "", fmt.Errorf("InfluxDB at %s: bucket %s has no id", i.c.URL, name)
	}
	i.c.Log.Info("InfluxDB had no such bucket: made", "bucket", name, "organisation", i.c.Org)
	return made.ID, nil
}

// mapping is a bucket's name in InfluxQL.
type mapping struct {
	ID              string `json:"id,omitempty"`
	OrgID           string `json:"orgID"`
	BucketID        string `json:"bucketID"`
	Database        string `json:"database"`
	RetentionPolicy string `json:"retention_policy"`
	Default         bool   `json:"default"`
}

// defaultPolicy is what InfluxQL calls a bucket's retention where nothing else
// is asked for.
const defaultPolicy = "autogen"

// mapDatabase sees that the bucket can be asked in InfluxQL: InfluxDB 2.7 maps a
// bucket to the database of its name by itself, older ones do not.
func (i *influx2) mapDatabase(ctx context.Context) error {
	name := i.c.database()
	var found struct{ Content []mapping }
	if err := i.ask(ctx, http.MethodGet, "dbrps", url.Values{"orgID": {i.org}, "db": {name}}, nil, &found); err != nil {
		return fmt.Errorf("InfluxDB's name of bucket %s in InfluxQL: %w", name, err)
	}
	for _, m := range found.Content {
		if m.Database != name || !m.Default {
			continue
		}
		if m.BucketID != i.bucket {
			return fmt.Errorf("InfluxDB's database %s (DBRP mapping %s) is another bucket than %s: remove it with influx v1 dbrp delete --id %s", name, m.ID, name, m.ID)
		}
		return nil
	}
	m := mapping{OrgID: i.org, BucketID: i.bucket, Database: name, RetentionPolicy: defaultPolicy, Default: true}
	if err := i.ask(ctx, http.MethodPost, "dbrps", nil, m, nil); err != nil {
		return fmt.Errorf("naming bucket %s for InfluxQL: %w", name, err)
	}
	i.c.Log.Info("the bucket can be asked in InfluxQL now", "database", name, "policy", defaultPolicy)
	return nil
}

func (i *influx2) stands(ctx context.Context, g Grant, token string) (bool, error) {
	return i.web.tries(ctx, g, i.c.Org, i.c.database(), token)
}

// authorization is a token and what it may.
type authorization struct {
	ID          string       `json:"id,omitempty"`
	Token       string       `json:"token,omitempty"`
	Description string       `json:"description"`
	OrgID       string       `json:"orgID"`
	Permissions []permission `json:"permissions"`
}

type permission struct {
	Action   string   `json:"action"` // read or write
	Resource resource `json:"resource"`
}

type resource struct {
	Type  string `json:"type"`
	ID    string `json:"id"`
	OrgID string `json:"orgID"`
}

// renew makes the new authorization first and removes the old ones last: there
// is never a moment in which the file names one that is gone.
func (i *influx2) renew(ctx context.Context, g Grant, keep func(token string) error) error {
	var all struct{ Authorizations []authorization }
	if err := i.ask(ctx, http.MethodGet, "authorizations", url.Values{"orgID": {i.org}}, nil, &all); err != nil {
		return fmt.Errorf("listing the tokens: %w", err)
	}
	var made authorization
	wanted := authorization{Description: describe(g), OrgID: i.org, Permissions: i.permissions(g)}
	if err := i.ask(ctx, http.MethodPost, "authorizations", nil, wanted, &made); err != nil {
		return err
	}
	if made.ID == "" || made.Token == "" {
		return errors.New("InfluxDB's answer has no token in it")
	}
	if err := keep(made.Token); err != nil {
		return errors.Join(err, i.remove(ctx, made.ID))
	}
	for _, a := range all.Authorizations {
		if a.Description != wanted.Description || a.ID == "" {
			continue
		}
		if err := i.remove(ctx, a.ID); err != nil {
			return fmt.Errorf("removing the old one: %w", err)
		}
	}
	return nil
}

func (i *influx2) remove(ctx context.Context, id string) error {
	return i.ask(ctx, http.MethodDelete, "authorizations/"+url.PathEscape(id), nil, nil, nil)
}

// describe names the authorization, by which it is found again.
func describe(g Grant) string { return "dcs provision: " + g.Name + " may " + g.may() }

func (i *influx2) permissions(g Grant) []permission {
	var p []permission
	bucket := resource{Type: "buckets", ID: i.bucket, OrgID: i.org}
	if g.Read {
		p = append(p, permission{"read", bucket})
	}
	if g.Write {
		p = append(p, permission{"write", bucket})
	}
	return p
}

// statusError is an answer that is not the one wanted.
type statusError struct {
	status int
	said   string
}

func (e *statusError) Error() string { return fmt.Sprintf("InfluxDB answers %d: %s", e.status, e.said) }

// ask makes one request with the administrator's token: in is sent as JSON unless
// it is nil, and the answer is read into out unless that is nil.
func (i *influx2) ask(ctx context.Context, method, path string, query url.Values, in, out any) error {
	var body bytes.Buffer
	if in != nil {
		if err := json.NewEncoder(&body).Encode(in); err != nil {
			return fmt.Errorf("writing what to ask for: %w", err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, i.web.base+"/api/v2/"+path, &body)
	if err != nil {
		return err
	}
	req.URL.RawQuery = query.Encode()
	req.Header.Set("Authorization", "Token "+i.admin)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	a, err := i.web.do(req)
	if err != nil {
		return err
	}
	if a.status < 200 || a.status > 299 {
		return &statusError{a.status, a.said()}
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(a.body, out); err != nil {
		return fmt.Errorf("the answer is not InfluxDB's: %w", err)
	}
	return nil
}
