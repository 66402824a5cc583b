package provision

import (
	"bytes"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
)

func mongoAt(t *testing.T, f *fakeMongo) (*Mongo, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	c := &Mongo{
		AdminURIFile: f.uri(t, AdminUser, "root"), Database: "dcs", Wait: time.Minute,
		Log: slog.New(slog.NewTextHandler(&log, nil)),
	}
	for _, user := range []string{"gateway", "runcontrol", "calibration", "backup"} {
		c.URIFiles = append(c.URIFiles, f.uri(t, user, "of-"+user))
	}
	require.NoError(t, c.Validate())
	return c, &log
}

func roleOf(f *fakeMongo, user string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	u, ok := f.users[user]
	if !ok || len(u.roles) != 1 {
		return "none"
	}
	d, _ := u.roles[0].(bson.D)
	role, db := "", ""
	for _, e := range d {
		switch e.Key {
		case "role":
			role, _ = e.Value.(string)
		case "db":
			db, _ = e.Value.(string)
		}
	}
	return role + " on " + db
}

func TestMongoUsers(t *testing.T) {
	f := newFakeMongo(t, "root")
	c, log := mongoAt(t, f)
	require.NoError(t, c.Run(t.Context()))
	assert.Equal(t, []string{"createUser backup", "createUser calibration", "createUser gateway", "createUser runcontrol"}, f.changed())
	assert.Equal(t, "read on dcs", roleOf(f, "gateway"))
	for _, user := range []string{"runcontrol", "calibration", "backup"} {
		assert.Equal(t, "readWrite on dcs", roleOf(f, user), user)
	}

	require.NoError(t, c.Run(t.Context()))
	assert.Empty(t, f.changed(), "what works stays")

	// A password that was changed in the secrets, and a role that was widened.
	c.URIFiles[1] = f.uri(t, "runcontrol", "new")
	f.mu.Lock()
	f.users["gateway"] = fakeUser{"of-gateway", bson.A{bson.D{{Key: "role", Value: "root"}, {Key: "db", Value: "admin"}}}}
	f.mu.Unlock()
	require.NoError(t, c.Run(t.Context()))
	assert.Equal(t, []string{"updateUser gateway", "updateUser runcontrol"}, f.changed())
	assert.Equal(t, "read on dcs", roleOf(f, "gateway"))
	assert.Equal(t, "new", f.users["runcontrol"].password)
	assert.NotContains(t, log.String(), "of-gateway", "no password in the log")
}

func TestMongoWithoutUsers(t *testing.T) {
	f := newFakeMongo(t, "root")
	f.noUsers = true
	c, log := mongoAt(t, f)
	require.NoError(t, c.Run(t.Context()))
	assert.Contains(t, log.String(), "this server has no users, as FerretDB")
}

func TestMongoRefusesTheLogin(t *testing.T) {
	f := newFakeMongo(t, "another")
	c, _ := mongoAt(t, f)
	err := c.Run(t.Context())
	require.ErrorContains(t, err, "refuses the login in "+c.AdminURIFile)
	require.NotErrorIs(t, err, ErrNoAnswer)
	assert.NotContains(t, err.Error(), "root@")

	c.AdminURIFile = secretFile(t, "mongodb://dcs:root@"+f.address+"/?authSource=admin")
	require.ErrorContains(t, c.Run(t.Context()), "authMechanism=PLAIN")
}

func TestMongoThatNeverComes(t *testing.T) {
	c, _ := mongoAt(t, &fakeMongo{address: "127.0.0.1:1"})
	c.Wait = 300 * time.Millisecond
	err := c.Run(t.Context())
	require.ErrorIs(t, err, ErrNoAnswer)
	assert.Contains(t, err.Error(), "connection refused")
	assert.NotContains(t, err.Error(), "topology")
}

func TestMongoSettings(t *testing.T) {
	f := &fakeMongo{address: "127.0.0.1:1"}
	for want, change := range map[string]func(c *Mongo){
		"DCS_MONGO_DATABASE":       func(c *Mongo) { c.Database = "" },
		"DCS_MONGO_ADMIN_URI_FILE": func(c *Mongo) { c.AdminURIFile = "/nowhere" },
		"begins with mongodb://":   func(c *Mongo) { c.URIFiles[0] = secretFile(t, "http://mongo") },
		"not an address of":        func(c *Mongo) { c.URIFiles[0] = secretFile(t, "mongodb://gateway:p%@mongo") },
		"there is no user in it":   func(c *Mongo) { c.URIFiles[0] = secretFile(t, "mongodb://mongo:27017") },
		`user "alice"`:             func(c *Mongo) { c.URIFiles[0] = f.uri(t, "alice", "hidden") },
	} {
		c, _ := mongoAt(t, f)
		change(c)
		err := c.Validate()
		require.ErrorContains(t, err, want)
		assert.NotContains(t, err.Error(), "hidden")
	}
}
