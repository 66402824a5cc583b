package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"trackerdcs/pkg/runs"
	"trackerdcs/pkg/wire"
)

// runCmds are the commands about runs: the first three are on the bus, the
// others read what is kept.
type runCmds struct {
	Start   runStartCmd   `cmd:"" help:"Start a run, and follow it."`
	Abort   runAbortCmd   `cmd:"" help:"Abort the run under way."`
	Watch   runWatchCmd   `cmd:"" help:"Follow the run under way."`
	List    runListCmd    `cmd:"" help:"List runs, the newest first."`
	Show    runShowCmd    `cmd:"" help:"Print all that is known of a run."`
	Log     runLogCmd     `cmd:"" help:"Print what a run's program printed."`
	Files   runFilesCmd   `cmd:"" help:"List the files of a run, or write them into a folder."`
	Compare runCompareCmd `cmd:"" help:"Print settings and results of two runs side by side."`
	Config  runConfigCmds `cmd:"" help:"Keep configurations under names."`
}

// mongoAddress are the flags of where runs are kept.
type mongoAddress struct {
	Mongo         string `help:"MongoDB (default mongodb://127.0.0.1:27017)." env:"DCS_MONGO_URI" placeholder:"URI"`
	MongoURIFile  string `name:"mongo-uri-file" help:"File with that address, for one with a password; it wins over --mongo." env:"DCS_MONGO_URI_FILE" placeholder:"FILE"`
	MongoDatabase string `name:"mongo-database" help:"The database." env:"DCS_MONGO_DATABASE" default:"dcs"`
}

// mongoFlags are the flags of every command that reads what is kept.
type mongoFlags struct {
	mongoAddress
	Output     string        `short:"o" help:"text, or json." enum:"text,json" default:"text"`
	Timeout    time.Duration `help:"Give up on MongoDB after this long." default:"10s" placeholder:"DURATION"`
	PortOffset int           `hidden:"" env:"PORT_OFFSET"` // the demonstrator's: it moves the default address
}

// runStore is where runs are kept; runs.Client is one.
type runStore interface {
	Get(ctx context.Context, number int64) (runs.Run, error)
	List(ctx context.Context, f runs.Filter) ([]runs.Run, error)
	OpenFile(ctx context.Context, run int64, name string) (io.ReadCloser, runs.File, error)
	Configuration(ctx context.Context, name string) (wire.Configuration, error)
	Configurations(ctx context.Context) ([]runs.NamedConfiguration, error)
	PutConfiguration(ctx context.Context, name string, cfg wire.Configuration, user string) error
	RemoveConfiguration(ctx context.Context, name string) error
}

// leaveTime is how long connections to MongoDB may take to be closed.
const leaveTime = 2 * time.Second

// with calls fn with the place where runs are kept, and says how dcs ends then.
func (f *mongoFlags) with(ctx context.Context, con console, fn func(runStore) error) error {
	return f.mongoAddress.with(ctx, con, f.PortOffset, f.Timeout, fn)
}

// uri is MongoDB's address, if no file has another.
func (a *mongoAddress) uri(offset int) string {
	if a.Mongo != "" {
		return a.Mongo
	}
	return "mongodb://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(27017+offset))
}

func (a *mongoAddress) with(ctx context.Context, con console, offset int, timeout time.Duration, fn func(runStore) error) error {
	client, err := runs.New(runs.Config{URI: a.uri(offset), URIFile: a.MongoURIFile, Database: a.MongoDatabase, Timeout: timeout})
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTime)
		defer cancel()
		_ = client.Close(ctx)
	}()
	return asked(ctx, con, fn(client))
}

// asked says how dcs ends after MongoDB has been asked.
func asked(ctx context.Context, con console, err error) error {
	var code exitCode
	switch {
	case err == nil, errors.As(err, &code):
		return err
	case ctx.Err() != nil:
		return exitInterrupted
	case errors.Is(err, runs.ErrNoAnswer):
		con.notef("%v", err)
		return exitNoAnswer
	}
	return err
}

// fetchRun reads a run's document.
func fetchRun(ctx context.Context, store runStore, number int64) (runs.Run, error) {
	if err := checkNumber(number); err != nil {
		return runs.Run{}, err
	}
	r, err := store.Get(ctx, number)
	if errors.Is(err, runs.ErrNotFound) {
		return r, fmt.Errorf("run %d is not in the database: see dcs run list; one that is under way or has just ended is shown by dcs run watch", number)
	}
	return r, err
}

func checkNumber(number int64) error {
	if number < 1 {
		return fmt.Errorf("%d is not the number of a run: they begin at 1", number)
	}
	return nil
}

// printJSON writes one object in a line.
func printJSON(con console, v any) error {
	if _, err := fmt.Fprintf(con.out, "%s\n", wire.Encode(v)); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}

// stateColor is the colour of a run's state.
func stateColor(state string) string {
	switch state {
	case wire.RunFinished:
		return green
	case wire.RunFailed, wire.RunInterrupted:
		return red
	case wire.RunAborted:
		return yellow
	}
	return plain
}

// durationText is how long something took.
func durationText(d time.Duration) string {
	switch {
	case d < time.Minute:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	case d < time.Hour:
		return fmt.Sprintf("%d min %02d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d h %02d min", int(d.Hours()), int(d.Minutes())%60)
}

// sizeText is a number of bytes for people.
func sizeText(n int64) string {
	x, unit := float64(n), "B"
	for _, u := range []string{"kB", "MB", "GB", "TB"} {
		if x < 1000 {
			break
		}
		x, unit = x/1000, u
	}
	if unit == "B" {
		return strconv.FormatInt(n, 10) + " B"
	}
	return fixed(x, 3) + " " + unit
}
