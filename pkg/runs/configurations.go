package runs

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"trackerdcs/pkg/wire"
)

// NamedConfiguration is a configuration as it is kept.
type NamedConfiguration struct {
	Name          string             `bson:"_id" json:"name"`
	User          string             `bson:"user,omitempty" json:"user,omitempty"` // who wrote it last
	Time          time.Time          `bson:"time" json:"time"`                     // when
	Configuration wire.Configuration `bson:"configuration" json:"configuration"`
}

// Configuration fetches a configuration by its name, which is then in it.
func (c *Client) Configuration(ctx context.Context, name string) (wire.Configuration, error) {
	ctx, cancel := c.within(ctx)
	defer cancel()
	var doc NamedConfiguration
	err := c.configurations.FindOne(ctx, bson.D{{Key: "_id", Value: name}}).Decode(&doc)
	if err != nil {
		return wire.Configuration{}, c.fail(ctx, fmt.Sprintf("fetching configuration %q", name), err)
	}
	return doc.plain().Configuration, nil
}

// plain gives the configuration its name, and what stands in it plain types.
func (n NamedConfiguration) plain() NamedConfiguration {
	n.Configuration = plainConfiguration(n.Configuration)
	n.Configuration.Name = n.Name
	return n
}

func plainConfiguration(c wire.Configuration) wire.Configuration {
	for i := range c.Setpoints {
		c.Setpoints[i].Channel = plain(c.Setpoints[i].Channel)
		c.Setpoints[i].Value = plain(c.Setpoints[i].Value)
	}
	return c
}

// PutConfiguration keeps a configuration under a name, in place of the one that
// has it. Whether it makes sense is for the caller to know.
func (c *Client) PutConfiguration(ctx context.Context, name string, cfg wire.Configuration, user string) error {
	if name == "" || len(name) > wire.MaxID || !utf8.ValidString(name) || strings.Contains(name, "\x00") {
		return fmt.Errorf("the name of a configuration has 1 to %d bytes of UTF-8, and %q has not", wire.MaxID, shortKey(name))
	}
	ctx, cancel := c.within(ctx)
	defer cancel()
	cfg.Name = name
	doc := NamedConfiguration{Name: name, User: user, Time: time.Now().UTC(), Configuration: cfg}
	_, err := c.configurations.ReplaceOne(ctx, bson.D{{Key: "_id", Value: name}}, doc, options.Replace().SetUpsert(true))
	return c.fail(ctx, fmt.Sprintf("storing configuration %q", name), err)
}

// Configurations gives all configurations, in order of their names.
func (c *Client) Configurations(ctx context.Context) ([]NamedConfiguration, error) {
	ctx, cancel := c.within(ctx)
	defer cancel()
	cursor, err := c.configurations.Find(ctx, bson.D{}, options.Find().SetSort(bson.D{{Key: "_id", Value: 1}}))
	if err != nil {
		return nil, c.fail(ctx, "listing configurations", err)
	}
	found := []NamedConfiguration{}
	if err := cursor.All(ctx, &found); err != nil {
		return nil, c.fail(ctx, "listing configurations", err)
	}
	for i := range found {
		found[i] = found[i].plain()
	}
	return found, nil
}

// RemoveConfiguration forgets a configuration. Runs keep what they had of it.
func (c *Client) RemoveConfiguration(ctx context.Context, name string) error {
	ctx, cancel := c.within(ctx)
	defer cancel()
	result, err := c.configurations.DeleteOne(ctx, bson.D{{Key: "_id", Value: name}})
	if err == nil && result.DeletedCount == 0 {
		err = mongo.ErrNoDocuments
	}
	return c.fail(ctx, fmt.Sprintf("removing configuration %q", name), err)
}
