package provision

import (
	"context"
	"errors"
	"fmt"
	"strings"

	influxdb2 "github.com/influxdata/influxdb-client-go/v2"
	"github.com/influxdata/influxdb-client-go/v2/domain"
)

// influx2 is InfluxDB 2: a token is an authorization, and its rights are on the
// bucket alone.
type influx2 struct {
	c           *Influx
	web         *web
	client      influxdb2.Client
	org, bucket string // their ids
}

func newInflux2(c *Influx, web *web, token string) *influx2 {
	o := influxdb2.DefaultOptions().SetApplicationName("dcs-provision").SetHTTPClient(web.http)
	return &influx2{c: c, web: web, client: influxdb2.NewClientWithOptions(web.base, token, o)}
}

func (i *influx2) close() { i.client.Close() }

// prepare finds the organisation and the bucket, which is made where there is
// none, and sees to the name that the bucket has in InfluxQL.
func (i *influx2) prepare(ctx context.Context) error {
	org, err := i.client.OrganizationsAPI().FindOrganizationByName(ctx, i.c.Org)
	if err != nil {
		return fmt.Errorf("InfluxDB at %s, organisation %s, with the token in %s: %w", i.c.URL, i.c.Org, i.c.TokenFile, err)
	}
	if org.Id == nil {
		return fmt.Errorf("InfluxDB at %s: organisation %s has no id", i.c.URL, i.c.Org)
	}
	i.org = *org.Id
	if i.bucket, err = i.findBucket(ctx); err != nil {
		return err
	}
	return i.mapDatabase(ctx)
}

// findBucket is the bucket's id.
func (i *influx2) findBucket(ctx context.Context) (string, error) {
	name := i.c.database()
	found, err := i.client.APIClient().GetBuckets(ctx, &domain.GetBucketsParams{OrgID: &i.org, Name: &name})
	if err != nil && !isNotFound(err) {
		return "", fmt.Errorf("InfluxDB at %s, bucket %s: %w", i.c.URL, name, err)
	}
	if err == nil && found.Buckets != nil {
		for _, b := range *found.Buckets {
			if b.Name == name && b.Id != nil {
				return *b.Id, nil
			}
		}
	}
	b, err := i.client.BucketsAPI().CreateBucketWithNameWithID(ctx, i.org, name)
	if err != nil {
		return "", fmt.Errorf("making InfluxDB's bucket %s: %w", name, err)
	}
	if b.Id == nil {
		return "", fmt.Errorf("InfluxDB at %s: bucket %s has no id", i.c.URL, name)
	}
	i.c.Log.Info("InfluxDB had no such bucket: made", "bucket", name, "organisation", i.c.Org)
	return *b.Id, nil
}

// defaultPolicy is what InfluxQL calls a bucket's retention where nothing else
// is asked for.
const defaultPolicy = "autogen"

// mapDatabase sees that the bucket can be asked in InfluxQL: InfluxDB 2.7 maps a
// bucket to the database of its name by itself, older ones do not.
func (i *influx2) mapDatabase(ctx context.Context) error {
	name, api := i.c.database(), i.client.APIClient()
	found, err := api.GetDBRPs(ctx, &domain.GetDBRPsParams{OrgID: &i.org, Db: &name})
	if err != nil {
		return fmt.Errorf("InfluxDB's name of bucket %s in InfluxQL: %w", name, err)
	}
	if found.Content != nil {
		for _, m := range *found.Content {
			if m.Database != name || !m.Default {
				continue
			}
			if m.BucketID != i.bucket {
				return fmt.Errorf("InfluxDB's database %s (DBRP mapping %s) is another bucket than %s: remove it with influx v1 dbrp delete --id %s", name, m.Id, name, m.Id)
			}
			return nil
		}
	}
	yes := true
	_, err = api.PostDBRP(ctx, &domain.PostDBRPAllParams{Body: domain.PostDBRPJSONRequestBody{
		BucketID: i.bucket, Database: name, RetentionPolicy: defaultPolicy, Default: &yes, OrgID: &i.org,
	}})
	if err != nil {
		return fmt.Errorf("naming bucket %s for InfluxQL: %w", name, err)
	}
	i.c.Log.Info("the bucket can be asked in InfluxQL now", "database", name, "policy", defaultPolicy)
	return nil
}

func (i *influx2) stands(ctx context.Context, g Grant, token string) (bool, error) {
	return i.web.tries(ctx, g, i.c.Org, i.c.database(), token)
}

// renew makes the new authorization first and removes the old ones last: there
// is never a moment in which the file names one that is gone.
func (i *influx2) renew(ctx context.Context, g Grant, keep func(token string) error) error {
	api := i.client.AuthorizationsAPI()
	all, err := api.FindAuthorizationsByOrgID(ctx, i.org)
	if err != nil {
		return fmt.Errorf("listing the tokens: %w", err)
	}
	description := describe(g)
	made, err := api.CreateAuthorization(ctx, &domain.Authorization{
		AuthorizationUpdateRequest: domain.AuthorizationUpdateRequest{Description: &description},
		OrgID:                      &i.org,
		Permissions:                i.permissions(g),
	})
	if err != nil {
		return err
	}
	if made.Id == nil || made.Token == nil {
		return errors.New("InfluxDB's answer has no token in it")
	}
	if err := keep(*made.Token); err != nil {
		return errors.Join(err, api.DeleteAuthorizationWithID(ctx, *made.Id))
	}
	if all == nil {
		return nil
	}
	for _, a := range *all {
		if a.Description == nil || *a.Description != description || a.Id == nil {
			continue
		}
		if err := api.DeleteAuthorizationWithID(ctx, *a.Id); err != nil {
			return fmt.Errorf("removing the old one: %w", err)
		}
	}
	return nil
}

// describe names the authorization, by which it is found again.
func describe(g Grant) string { return "dcs provision: " + g.Name + " may " + g.may() }

func (i *influx2) permissions(g Grant) *[]domain.Permission {
	var p []domain.Permission
	add := func(may bool, action domain.PermissionAction) {
		if may {
			p = append(p, domain.Permission{Action: action, Resource: domain.Resource{
				Type: domain.ResourceTypeBuckets, Id: &i.bucket, OrgID: &i.org,
			}})
		}
	}
	add(g.Read, domain.PermissionActionRead)
	add(g.Write, domain.PermissionActionWrite)
	return &p
}

// isNotFound reports whether the server says that there is no such thing. The
// client hands on no status, only the code of InfluxDB's own error.
func isNotFound(err error) bool {
	return strings.HasPrefix(err.Error(), string(domain.ErrorCodeNotFound))
}
