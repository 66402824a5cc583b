package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"trackerdcs/pkg/backup"
	"trackerdcs/pkg/history"
	"trackerdcs/pkg/runs"
)

// Of all that is copied nothing stays in memory, so the garbage of the buffers
// is most of what there is: it is collected early.
const backupGarbage = 40 // percent

// backupTimeout is how long a database may be silent: counting a month is slow.
const backupTimeout = 10 * time.Minute

// savedFlags say what an installation is made of.
type savedFlags struct {
	Volumes      string   `help:"Folder whose folders are the programs' data (default /volumes if it is there, otherwise data)." env:"DCS_VOLUMES_DIR" placeholder:"DIR"`
	Config       string   `help:"The installation's folder: secrets, instruments.yml, compose files." env:"DCS_INSTALL_DIR" default:"." placeholder:"DIR"`
	Only         []string `help:"These parts alone: volumes, volumes/NAME (restore), mongo, influx." placeholder:"PART"`
	Influx       string   `help:"InfluxDB (default http://127.0.0.1:8086)." env:"DCS_INFLUX_URL" placeholder:"URL"`
	Org          string   `help:"Organisation of InfluxDB 2.x." env:"DCS_INFLUX_ORG" default:"dcs"`
	Bucket       string   `help:"Bucket; of InfluxDB 1.8 the database, or database/policy." env:"DCS_INFLUX_BUCKET" default:"dcs"`
	TokenFile    string   `help:"File with the token, or for InfluxDB 1.8 with user:password." env:"DCS_INFLUX_TOKEN_FILE" placeholder:"FILE"`
	mongoAddress `embed:""`
	PortOffset   int `hidden:"" env:"PORT_OFFSET"` // the demonstrator's: it moves the default addresses
}

// source opens what is saved, or restored into; done closes it.
func (f *savedFlags) source() (s backup.Source, done func(), err error) {
	s.Volumes, s.Install = f.volumes(), f.Config
	influx := influxFlags{Influx: f.Influx, Org: f.Org, Bucket: f.Bucket, TokenFile: f.TokenFile, Timeout: backupTimeout, PortOffset: f.PortOffset}
	if s.Influx, err = influx.open(); err != nil {
		return s, nil, err
	}
	s.Mongo, err = runs.New(runs.Config{URI: f.uri(f.PortOffset), URIFile: f.MongoURIFile, Database: f.MongoDatabase})
	if err != nil {
		return s, nil, err
	}
	return s, func() {
		s.Influx.Close()
		_ = s.Mongo.Close(context.Background())
	}, nil
}

func (f *savedFlags) volumes() string {
	if f.Volumes != "" {
		return f.Volumes
	}
	if info, err := os.Stat("/volumes"); err == nil && info.IsDir() {
		return "/volumes"
	}
	return "data"
}

// logFlags are those of commands that run for long.
type logFlags struct {
	LogLevel  string `help:"debug, info, warn or error." env:"DCS_LOG_LEVEL" enum:"debug,info,warn,error" default:"info"`
	LogFormat string `help:"text or json." env:"DCS_LOG_FORMAT" enum:"text,json" default:"text"`
}

func (f *logFlags) logger(con console) *slog.Logger {
	level := slog.LevelInfo
	_ = level.UnmarshalText([]byte(f.LogLevel)) // one of the enum
	if f.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(con.err, &slog.HandlerOptions{Level: level}))
	}
	return slog.New(slog.NewTextHandler(con.err, &slog.HandlerOptions{Level: level}))
}

type backupCmd struct {
	savedFlags
	logFlags
	Dir         string        `arg:"" optional:"" help:"Folder in which the backup is made, by a name of its time. It holds the secrets: only its owner may read it."`
	Every       time.Duration `help:"Go on, and make one whenever the last is this old." placeholder:"DURATION"`
	Keep        int           `help:"Whole backups that --every keeps, of those that it made." default:"7"`
	HTTP        string        `name:"http" help:"host:port where --every serves health and metrics." env:"DCS_HTTP" placeholder:"ADDRESS"`
	Verify      string        `help:"Make none: check all sums of this one." placeholder:"BACKUP"`
	KeepPartial bool          `help:"Leave one that failed for looking at."`
	Healthcheck bool          `hidden:"" help:"Ask the one that runs how it is."`
}

// Help is what --help says behind the flags.
func (*backupCmd) Help() string {
	return "Saves what programs keep on disk, the installation's own files, MongoDB and InfluxDB, while all of it runs. A day of the archive that has not changed is linked to the backup before.\n\n" +
		"Exit codes: 0 made, 1 failed, 5 InfluxDB or MongoDB does not answer. A backup that is not complete is removed."
}

// Run makes a backup, or many, or looks at one.
func (c *backupCmd) Run(ctx context.Context) error {
	debug.SetGCPercent(backupGarbage)
	return c.run(ctx, terminal())
}

func (c *backupCmd) run(ctx context.Context, con console) error {
	switch {
	case c.Healthcheck:
		return c.health(ctx, con)
	case c.Verify != "":
		return c.verify(ctx, con)
	case c.Dir == "":
		return errors.New("name the folder in which the backup is made: dcs backup DIR")
	case c.Every < 0 || c.Every > 0 && c.Every < time.Minute:
		return fmt.Errorf("--every %v: at least one minute", c.Every)
	case c.Every > 0 && len(c.Only) > 0:
		return errors.New("--every makes whole backups: leave --only out")
	case c.Keep < 1:
		return fmt.Errorf("--keep %d: at least 1", c.Keep)
	}
	for _, part := range c.Only {
		if !slices.Contains([]string{backup.PartVolumes, backup.PartMongo, backup.PartInflux}, part) {
			return fmt.Errorf("--only %s: want volumes, mongo or influx", part)
		}
	}
	source, done, err := c.source()
	if err != nil {
		return err
	}
	defer done()
	c.narrow(&source)
	log := c.logger(con)
	options := backup.Options{Dir: c.Dir, KeepPartial: c.KeepPartial, Log: log}
	if c.Every > 0 {
		return c.schedule(ctx, log, source, options)
	}
	began := time.Now()
	name, m, err := backup.Make(ctx, source, options)
	if err != nil {
		return c.failed(ctx, con, err)
	}
	fmt.Fprintf(con.out, "%s\n%s\n", filepath.Join(c.Dir, name), indent(summary(m)))
	fmt.Fprintf(con.out, "  took %v; it holds secrets: keep it where only you can read it\n", time.Since(began).Round(time.Millisecond))
	return nil
}

// narrow leaves out what --only does not name.
func (c *backupCmd) narrow(s *backup.Source) {
	if len(c.Only) == 0 {
		return
	}
	s.Install = ""
	if !slices.Contains(c.Only, backup.PartVolumes) {
		s.Volumes = ""
	}
	if !slices.Contains(c.Only, backup.PartMongo) {
		s.Mongo = nil
	}
	if !slices.Contains(c.Only, backup.PartInflux) {
		s.Influx = nil
	}
}

func (c *backupCmd) failed(ctx context.Context, con console, err error) error {
	switch {
	case ctx.Err() != nil:
		return exitInterrupted
	case errors.Is(err, runs.ErrNoAnswer), errors.Is(err, history.ErrNoAnswer):
		con.notef("no backup was made: %v", err)
		return exitNoAnswer
	}
	return fmt.Errorf("no backup was made: %w", err)
}

func (c *backupCmd) verify(ctx context.Context, con console) error {
	dir, err := backup.Find(c.Verify, c.Dir)
	if err != nil {
		return err
	}
	m, err := backup.Verify(ctx, dir)
	if err != nil {
		return err
	}
	fmt.Fprintf(con.out, "%s is as it was made: %d files\n%s\n", dir, len(m.Files), indent(summary(m)))
	return nil
}

// maxSkipped is how many of the things that were left out are printed.
const maxSkipped = 10

func indent(text string) string { return "  " + strings.ReplaceAll(text, "\n", "\n  ") }

// summary says what is in a backup.
func summary(m *backup.Manifest) string {
	var lines []string
	size := int64(0)
	for _, f := range m.Files {
		size += f.Size
	}
	lines = append(lines, fmt.Sprintf("begun %s by dcs %s on %s, %.1f MB", m.Start.Format(time.RFC3339), m.Version, m.Host, float64(size)/1e6))
	if m.Volumes != nil {
		files, bytes := 0, int64(0)
		for _, v := range m.Volumes {
			files, bytes = files+v.Files, bytes+v.Bytes
		}
		lines = append(lines, fmt.Sprintf("volumes: %d with %d files, %.1f MB", len(m.Volumes), files, float64(bytes)/1e6))
	}
	if m.Config != nil {
		lines = append(lines, fmt.Sprintf("configuration: %d files", m.Config.Files))
	}
	if m.Mongo != nil {
		n := int64(0)
		for _, c := range m.Mongo.Collections {
			n += c
		}
		lines = append(lines, fmt.Sprintf("MongoDB %s: %d documents in %d collections, %d runs", m.Mongo.Version, n, len(m.Mongo.Collections), m.Mongo.Collections[runs.Collection]))
	}
	if m.Influx != nil {
		lines = append(lines, fmt.Sprintf("InfluxDB %s: %d points in %d measurements", m.Influx.Version, m.Influx.Points(), len(m.Influx.Measurements)))
	}
	for _, name := range slices.Sorted(maps.Keys(m.Torn)) {
		lines = append(lines, fmt.Sprintf("%s: %s", name, m.Torn[name]))
	}
	if n := len(m.Skipped); n > 0 {
		lines = append(lines, fmt.Sprintf("WARNING: not in it, or not as it is (%d): %s", n, strings.Join(m.Skipped[:min(n, maxSkipped)], "; ")))
		if n > maxSkipped {
			lines[len(lines)-1] += "; … (all in manifest.json)"
		}
	}
	for _, doubt := range m.Doubts {
		lines = append(lines, "LOOK AT THIS: "+doubt)
	}
	if missing := (backup.Head{Parts: m.Parts}).Missing(); len(missing) > 0 {
		lines = append(lines, "not a whole backup, it lacks "+strings.Join(missing, ", "))
	}
	return strings.Join(lines, "\n")
}
