package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"trackerdcs/pkg/provision"
)

// provisionCmd makes what the programs need in the databases. Its settings are
// those of a container that runs once, so each flag has its variable.
type provisionCmd struct {
	InfluxURL          string `name:"influx-url" help:"InfluxDB's address." env:"DCS_INFLUX_URL" default:"http://127.0.0.1:8086" placeholder:"URL"`
	InfluxOrg          string `name:"influx-org" help:"Organisation of InfluxDB 2." env:"DCS_INFLUX_ORG" default:"dcs" placeholder:"NAME"`
	InfluxBucket       string `name:"influx-bucket" help:"Bucket, or database of InfluxDB 1.8." env:"DCS_INFLUX_BUCKET" default:"dcs" placeholder:"NAME"`
	InfluxTokenFile    string `name:"influx-admin-token-file" help:"File with the administrator's token, for InfluxDB 2." env:"DCS_INFLUX_ADMIN_TOKEN_FILE" placeholder:"FILE"`
	InfluxPasswordFile string `name:"influx-admin-password-file" help:"File with the password of the user dcs, for InfluxDB 1.8." env:"DCS_INFLUX_ADMIN_PASSWORD_FILE" placeholder:"FILE"`
	TokensDir          string `name:"tokens-dir" help:"Each token is written to NAME/token in this folder." env:"DCS_TOKENS_DIR" default:"/tokens" placeholder:"DIR"`

	MongoAdminURIFile string   `name:"mongo-admin-uri-file" help:"File with MongoDB's address and the administrator's login." env:"DCS_MONGO_ADMIN_URI_FILE" placeholder:"FILE"`
	MongoURIFiles     []string `name:"mongo-uri-files" help:"Files with the programs' addresses: their users and passwords are made." env:"DCS_MONGO_URI_FILES" placeholder:"FILE,…"`
	MongoDatabase     string   `name:"mongo-database" help:"The database of the runs." env:"DCS_MONGO_DATABASE" default:"dcs" placeholder:"NAME"`

	Rotate []string      `help:"Replace the token of this program although it works: loader, grafana, gateway or backup." placeholder:"NAME"`
	Wait   time.Duration `help:"How long a database may not be there yet." default:"2m" placeholder:"DURATION"`
}

// Help is what --help says behind the flags.
func (*provisionCmd) Help() string {
	return `Tokens of InfluxDB, none stronger than its program needs:

    loader           writes
    grafana, gateway read
    backup           reads and writes

and users of MongoDB: gateway reads; runcontrol, calibration and backup read
and write. Run again it changes nothing that works. InfluxDB is left out without
its administrator's file, MongoDB without its own.

Exit codes: 0 done, 1 failed, 2 wrong settings, 5 a database does not answer.`
}

// Run makes them.
func (c *provisionCmd) Run(ctx context.Context) error { return c.run(ctx, os.Stderr) }

func (c *provisionCmd) run(ctx context.Context, log io.Writer) error {
	l := slog.New(slog.NewTextHandler(log, nil))
	var parts []part
	if c.InfluxTokenFile != "" || c.InfluxPasswordFile != "" {
		parts = append(parts, &provision.Influx{
			URL: c.InfluxURL, Org: c.InfluxOrg, Bucket: c.InfluxBucket, TokenFile: c.InfluxTokenFile, PasswordFile: c.InfluxPasswordFile,
			TokensDir: c.TokensDir, Rotate: c.Rotate, Wait: c.Wait, Log: l,
		})
	}
	if c.MongoAdminURIFile != "" {
		parts = append(parts, &provision.Mongo{AdminURIFile: c.MongoAdminURIFile, URIFiles: c.MongoURIFiles, Database: c.MongoDatabase, Wait: c.Wait, Log: l})
	}
	if err := c.check(parts); err != nil {
		l.Error("wrong settings", "error", err)
		return exitCode(2)
	}
	errs := make([]error, len(parts))
	var group errgroup.Group // one that fails does not stop the other
	for i, p := range parts {
		group.Go(func() error {
			errs[i] = p.Run(ctx)
			return nil
		})
	}
	_ = group.Wait()
	err := errors.Join(errs...)
	if errors.Is(err, provision.ErrNoAnswer) {
		l.Error("a database does not answer", "error", err)
		return exitNoAnswer
	}
	return err
}

// part is one database.
type part interface {
	Validate() error
	Run(ctx context.Context) error
}

func (c *provisionCmd) check(parts []part) error {
	var errs []error
	switch {
	case len(parts) == 0:
		errs = append(errs, errors.New("name DCS_INFLUX_ADMIN_TOKEN_FILE, DCS_INFLUX_ADMIN_PASSWORD_FILE or DCS_MONGO_ADMIN_URI_FILE: without an administrator's secret nothing can be made"))
	case c.MongoAdminURIFile == "" && len(c.MongoURIFiles) > 0:
		errs = append(errs, errors.New("DCS_MONGO_URI_FILES: DCS_MONGO_ADMIN_URI_FILE is needed as well"))
	case len(c.Rotate) > 0 && c.InfluxTokenFile == "" && c.InfluxPasswordFile == "":
		errs = append(errs, errors.New("--rotate: tokens are InfluxDB's, and neither DCS_INFLUX_ADMIN_TOKEN_FILE nor DCS_INFLUX_ADMIN_PASSWORD_FILE is named"))
	}
	for _, p := range parts {
		errs = append(errs, p.Validate())
	}
	return errors.Join(errs...)
}
