// Command ferretdb is the MongoDB-compatible server of the demonstrator and the
// tests: FerretDB with SQLite, as a library, in one process.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/FerretDB/FerretDB/ferretdb"
)

const usage = `usage: ferretdb
It takes no arguments, only the environment:
  FERRETDB_LISTEN  address to listen on (127.0.0.1:27017; port 0 chooses one)
  FERRETDB_DIR     directory of the databases, made if missing (data/ferretdb)
`

func main() {
	if len(os.Args) > 1 {
		fmt.Fprintf(os.Stderr, "ferretdb: unknown argument %q\n%s", os.Args[1], usage)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends it at once
	if err := run(ctx, env("FERRETDB_LISTEN", "127.0.0.1:27017"), env("FERRETDB_DIR", "data/ferretdb")); err != nil {
		fmt.Fprintln(os.Stderr, "ferretdb:", err)
		os.Exit(1)
	}
}

func env(key, otherwise string) string {
	if v := os.Getenv(key); v != "" {
		return v
	}
	return otherwise
}

// run serves the databases in dir until ctx ends.
func run(ctx context.Context, listen, dir string) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50) // documents of megabytes are copied several times on their way
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	// The library puts the directory into a URL and a glob without quoting it:
	// with these it would not find its own files again.
	if strings.ContainsAny(dir, `?#%*[\`) {
		return fmt.Errorf(`FERRETDB_DIR %s: the characters ?#%%*[\ do not work`, dir)
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	db, err := ferretdb.New(&ferretdb.Config{
		Listener:  ferretdb.ListenerConfig{TCP: listen},
		Handler:   "sqlite",
		SQLiteURL: "file:" + dir + "/",
		Logger:    slog.New(quiet{slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})}),
	})
	if err != nil {
		return err
	}
	x := &indexer{dir: dir, seen: map[string]time.Time{}}
	if err := x.look(ctx); err != nil {
		return fmt.Errorf("indexes of _id: %w", err)
	}
	go x.watch(ctx)
	// It listens since New and accepts since Run: who connects now is served.
	fmt.Fprintln(os.Stderr, "ferretdb: listening on", strings.Trim(strings.TrimPrefix(db.MongoDBURI(), "mongodb:"), "/"))
	return db.Run(ctx)
}

// quiet leaves out what the library warns of and the client is told anyway: each
// answer that says no, printed in full, and so at each disconnection the one to
// "endSessions", which FerretDB does not know.
type quiet struct{ slog.Handler }

func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelError && strings.HasPrefix(r.Message, "Response ") {
		return nil
	}
	return q.Handler.Handle(ctx, r)
}

func (q quiet) WithAttrs(a []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(a)} }
func (q quiet) WithGroup(name string) slog.Handler   { return quiet{q.Handler.WithGroup(name)} }
