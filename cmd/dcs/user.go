package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"trackerdcs/pkg/accounts"
)

// userCmds are the commands about who may log in at the gateway. They write its
// file, so they run where the gateway does; it need not be restarted.
type userCmds struct {
	Add    userAddCmd    `cmd:"" help:"Let somebody in."`
	Passwd userPasswdCmd `cmd:"" help:"Change a password; the user's sessions end."`
	Role   userRoleCmd   `cmd:"" help:"Change what somebody may do; the user's sessions end."`
	List   userListCmd   `cmd:"" help:"List users."`
	Remove userRemoveCmd `cmd:"" help:"Let somebody in no more; the user's sessions end."`
}

// accountFlags are the flags of every command that reads or writes the file.
type accountFlags struct {
	File string `help:"The gateway's users' file." env:"DCS_USERS_FILE" default:"data/gateway/users.json" placeholder:"FILE"`
}

// rolesHelp is about --role, for the help.
const rolesHelp = `Roles, each may what those before it may:

    viewer    look
    operator  command supplies, abort runs, use Node-RED's dashboard
    expert    current limits, locks of others, start runs, edit flows
    admin     all of Grafana, and who logs in`

type userAddCmd struct {
	accountFlags
	passwordFlags
	Name string `arg:"" help:"The name to log in with: letters, digits and . _ @ -"`
	Role string `help:"What the user may do: viewer, operator, expert or admin." enum:"viewer,operator,expert,admin" required:""`
}

// Help is what --help says behind the flags.
func (*userAddCmd) Help() string { return rolesHelp }

// Run makes a user.
func (c *userAddCmd) Run(ctx context.Context) error { return c.run(ctx, terminal(), keyboard()) }

func (c *userAddCmd) run(ctx context.Context, con console, in keys) error {
	store, err := accounts.Open(c.File)
	if err != nil {
		return err
	}
	if _, ok := store.User(c.Name); ok { // before a password is thought of
		return fmt.Errorf("there is a user %q already: dcs user passwd changes the password, dcs user role the role", c.Name)
	}
	password, err := c.password(ctx, con, in)
	if err != nil {
		return err
	}
	if err := store.Add(ctx, c.Name, accounts.Role(c.Role), password); err != nil {
		return err
	}
	fmt.Fprintf(con.out, "%s may log in as %s\n", c.Name, c.Role)
	return nil
}

type userPasswdCmd struct {
	accountFlags
	passwordFlags
	Name string `arg:"" help:"Whose."`
}

// Run changes a password.
func (c *userPasswdCmd) Run(ctx context.Context) error { return c.run(ctx, terminal(), keyboard()) }

func (c *userPasswdCmd) run(ctx context.Context, con console, in keys) error {
	store, err := accounts.Open(c.File)
	if err != nil {
		return err
	}
	if _, ok := store.User(c.Name); !ok {
		return noUser(c.Name, accounts.ErrNoUser)
	}
	password, err := c.password(ctx, con, in)
	if err != nil {
		return err
	}
	u, err := store.SetPassword(ctx, c.Name, password)
	if err != nil {
		return noUser(c.Name, err)
	}
	fmt.Fprintf(con.out, "%s: password changed\n", u.Name)
	return nil
}

type userRoleCmd struct {
	accountFlags
	Name string `arg:"" help:"Whose."`
	Role string `arg:"" help:"viewer, operator, expert or admin." enum:"viewer,operator,expert,admin"`
}

// Help is what --help says behind the flags.
func (*userRoleCmd) Help() string { return rolesHelp }

// Run changes a role.
func (c *userRoleCmd) Run(ctx context.Context) error { return c.run(ctx, terminal()) }

func (c *userRoleCmd) run(ctx context.Context, con console) error {
	store, err := accounts.Open(c.File)
	if err != nil {
		return err
	}
	if err := store.SetRole(ctx, c.Name, accounts.Role(c.Role)); err != nil {
		return noUser(c.Name, err)
	}
	fmt.Fprintf(con.out, "%s: %s\n", c.Name, c.Role)
	return nil
}

type userListCmd struct {
	accountFlags
	Output string `short:"o" help:"text, or json with one object a line." enum:"text,json" default:"text"`
}

// Run lists users.
func (c *userListCmd) Run() error { return c.run(terminal()) }

func (c *userListCmd) run(con console) error {
	store, err := accounts.Open(c.File)
	if err != nil {
		return err
	}
	t := &table{heads: []string{"name", "role", "made", "password changed"}}
	for _, u := range store.Users() {
		if c.Output == "json" {
			if err := printJSON(con, u); err != nil {
				return err
			}
			continue
		}
		t.add(plain, u.Name, string(u.Role), u.Made.Format(time.RFC3339), u.Changed.Format(time.RFC3339))
	}
	switch {
	case c.Output == "json":
	case len(t.rows) == 0:
		con.notef("nobody may log in: dcs user add NAME --role admin --file %s lets the first one in", c.File)
	default:
		t.print(con, "")
	}
	return nil
}

type userRemoveCmd struct {
	accountFlags
	Name string `arg:"" help:"Whom."`
}

// Run removes a user.
func (c *userRemoveCmd) Run(ctx context.Context) error { return c.run(ctx, terminal()) }

func (c *userRemoveCmd) run(ctx context.Context, con console) error {
	store, err := accounts.Open(c.File)
	if err != nil {
		return err
	}
	if err := store.Remove(ctx, c.Name); err != nil {
		return noUser(c.Name, err)
	}
	fmt.Fprintf(con.out, "%s: removed\n", c.Name)
	return nil
}

func noUser(name string, err error) error {
	if errors.Is(err, accounts.ErrNoUser) {
		return fmt.Errorf("there is no user %q: dcs user list shows those that there are", name)
	}
	return err
}
