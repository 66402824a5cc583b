package provision

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// pingTime is how long one attempt may take to reach a server that may not be
// there yet.
const pingTime = 3 * time.Second

// authDatabase is where MongoDB keeps the users.
const authDatabase = "admin"

// Roles of users on the database of the runs, by the user's name.
var mongoRoles = map[string]string{
	"gateway":     "read",
	"runcontrol":  "readWrite",
	"calibration": "readWrite",
	"backup":      "readWrite",
}

// Mongo is what is made in MongoDB: a user for each program, with the name and
// the password that stand in the program's own address.
type Mongo struct {
	AdminURIFile string   // address with the administrator's login
	URIFiles     []string // addresses of the programs
	Database     string   // of the runs
	Wait         time.Duration
	Log          *slog.Logger
}

// login is what a program's address says.
type login struct {
	file           string
	options        *options.ClientOptions
	user, password string
	role           string
}

// Validate reports what cannot work.
func (c *Mongo) Validate() error {
	_, _, err := c.logins()
	if c.Database == "" {
		err = errors.Join(err, errors.New("DCS_MONGO_DATABASE: is empty"))
	}
	return err
}

// logins reads the files.
func (c *Mongo) logins() (admin login, programs []login, err error) {
	admin, err = readLogin("DCS_MONGO_ADMIN_URI_FILE", c.AdminURIFile)
	errs := []error{err}
	for _, file := range c.URIFiles {
		l, err := readLogin("DCS_MONGO_URI_FILES", file)
		if err == nil && l.user == "" {
			err = fmt.Errorf("DCS_MONGO_URI_FILES: %s: there is no user in it: want mongodb://user:password@host/", file)
		}
		if err == nil {
			if l.role = mongoRoles[l.user]; l.role == "" {
				err = fmt.Errorf("DCS_MONGO_URI_FILES: %s: user %q is none of the stack's, so it has no role", file, l.user)
			}
		}
		errs = append(errs, err)
		programs = append(programs, l)
	}
	return admin, programs, errors.Join(errs...)
}

// readLogin reads one address. What is wrong with it is said without it: there
// is a password in it.
func readLogin(setting, file string) (l login, err error) {
	uri, err := secret(setting, file, "MongoDB")
	if err != nil {
		return l, err
	}
	if !strings.HasPrefix(uri, "mongodb://") || strings.ContainsAny(uri, "\r\n") {
		return l, fmt.Errorf("%s: %s: want one line that begins with mongodb://", setting, file)
	}
	o := options.Client().ApplyURI(uri)
	if o.Validate() != nil {
		return l, fmt.Errorf("%s: %s: not an address of MongoDB: want mongodb://user:password@host:port/?authSource=admin, with %%-escapes for special characters", setting, file)
	}
	o.SetAppName("dcs provision").SetConnectTimeout(requestTime).SetServerSelectionTimeout(requestTime)
	l = login{file: file, options: o}
	if o.Auth != nil {
		l.user, l.password = o.Auth.Username, o.Auth.Password
	}
	return l, nil
}

// Run waits for MongoDB and makes or mends the users.
func (c *Mongo) Run(ctx context.Context) error {
	admin, programs, err := c.logins()
	if err != nil {
		return err
	}
	client, err := mongo.Connect(admin.options)
	if err != nil {
		return fmt.Errorf("%s: %w", admin.file, err)
	}
	defer disconnect(client)
	address := strings.Join(admin.options.Hosts, ",")
	err = await(ctx, c.Wait, c.Log, "MongoDB", address, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, pingTime)
		defer cancel()
		return denied(client.Ping(ctx, nil), admin.file)
	})
	if err != nil {
		return err
	}
	c.Log.Info("MongoDB answers", "address", address)
	users := client.Database(authDatabase)
	var errs []error
	for _, l := range programs {
		err := c.user(ctx, users, l)
		if isNoCommand(err) {
			c.Log.Info("this server has no users, as FerretDB: whoever reaches it may do everything; nothing is made", "address", address)
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// user makes a user, or mends one that cannot log in or has another role.
func (c *Mongo) user(ctx context.Context, users *mongo.Database, l login) error {
	known, err := c.exists(ctx, users, l.user)
	if err != nil {
		return err
	}
	if known && c.stands(ctx, l) {
		c.Log.Info("a user can log in and stays", "name", l.user, "role", l.role)
		return nil
	}
	command, what := "createUser", "a user is made"
	if known {
		command, what = "updateUser", "a user has the password and the role again that it must"
	}
	err = users.RunCommand(ctx, bson.D{
		{Key: command, Value: l.user},
		{Key: "pwd", Value: l.password},
		{Key: "roles", Value: bson.A{bson.D{{Key: "role", Value: l.role}, {Key: "db", Value: c.Database}}}},
	}).Err()
	if err != nil {
		return fmt.Errorf("MongoDB's user %s: %s: %w", l.user, command, err)
	}
	c.Log.Info(what, "name", l.user, "role", l.role, "database", c.Database)
	return nil
}

// exists asks for the user.
func (c *Mongo) exists(ctx context.Context, users *mongo.Database, name string) (bool, error) {
	var a struct {
		Users []struct{ User string } `bson:"users"`
	}
	if err := users.RunCommand(ctx, bson.D{{Key: "usersInfo", Value: name}}).Decode(&a); err != nil {
		return false, fmt.Errorf("MongoDB's user %s: usersInfo: %w", name, err)
	}
	return len(a.Users) > 0, nil
}

// role is one as MongoDB names it.
type role struct {
	Role string `bson:"role"`
	DB   string `bson:"db"`
}

// stands logs in as the user and looks at its roles.
func (c *Mongo) stands(ctx context.Context, l login) bool {
	client, err := mongo.Connect(l.options)
	if err != nil {
		return false
	}
	defer disconnect(client)
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	var a struct {
		Info struct {
			Roles []role `bson:"authenticatedUserRoles"`
		} `bson:"authInfo"`
	}
	if err := client.Database(c.Database).RunCommand(ctx, bson.D{{Key: "connectionStatus", Value: 1}}).Decode(&a); err != nil {
		return false
	}
	return slices.Equal(a.Info.Roles, []role{{l.role, c.Database}})
}

func disconnect(client *mongo.Client) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = client.Disconnect(ctx) // it is only left
}

// Codes of MongoDB's errors.
const (
	codeAuthentication = 18
	codeNoCommand      = 59
)

func isNoCommand(err error) bool {
	var e mongo.CommandError
	return errors.As(err, &e) && e.Code == codeNoCommand
}

// denied makes of a login that is refused an error that waiting does not mend.
func denied(err error, file string) error {
	var e mongo.CommandError
	if !errors.As(err, &e) || e.Code != codeAuthentication {
		return gist(err)
	}
	if strings.Contains(e.Message, "Unsupported authentication mechanism") {
		return refused("MongoDB: this server, FerretDB it seems, knows no SCRAM: add authMechanism=PLAIN to the address in %s, and to those of the programs", file)
	}
	return refused("MongoDB refuses the login in %s: it keeps the password with which its volume was first made; change it there, or take the secret out of that backup", file)
}

// gist is the cause at the end of the whole topology that the driver gives of a
// server that is away.
func gist(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if i := strings.LastIndex(text, "Last error: "); i >= 0 {
		return errors.New(strings.TrimRight(text[i+len("Last error: "):], " ,}]"))
	}
	return err
}
