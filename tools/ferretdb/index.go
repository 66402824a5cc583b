package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the library's driver
)

// FerretDB 1.24 looks an _id up as _ferretdb_sjson->'$._id', but makes its index
// of _ferretdb_sjson->"_id". For SQLite these are two expressions, so each find,
// update, replacement and upsert by _id reads the whole table. The indexer makes
// the index that these statements can use.
type indexer struct {
	dir  string
	seen map[string]time.Time // by database: the last look
}

// watch looks for new collections until ctx ends.
func (x *indexer) watch(ctx context.Context) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := x.look(ctx); err != nil && ctx.Err() == nil {
			slog.Warn("making the index of _id; it is tried again", "error", err)
		}
	}
}

// look makes the indexes that are missing in databases written since the last
// call. It leaves no database open: FerretDB may drop it.
func (x *indexer) look(ctx context.Context) error {
	files, err := filepath.Glob(filepath.Join(x.dir, "*.sqlite"))
	if err != nil {
		return err
	}
	var errs []error
	for _, file := range files {
		now := time.Now()
		info, err := os.Stat(file + "-wal")
		if err != nil {
			info, err = os.Stat(file)
		}
		if err != nil || x.seen[file].After(info.ModTime().Add(time.Second)) { // file times are coarse
			continue
		}
		if err := index(ctx, file); err != nil {
			errs = append(errs, err)
			continue
		}
		x.seen[file] = now
	}
	return errors.Join(errs...)
}

// index makes the missing indexes of one database.
func index(ctx context.Context, file string) error {
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: file, RawQuery: "mode=rw&_pragma=busy_timeout(10000)"}).String())
	if err != nil {
		return err
	}
	defer db.Close()
	rows, err := db.QueryContext(ctx, `SELECT name FROM sqlite_master t WHERE type = 'table' AND sql LIKE '%\_ferretdb\_sjson%' ESCAPE '\'
		AND NOT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'index' AND name = t.name || '_lookup')`)
	if err != nil {
		return err
	}
	defer rows.Close()
	var tables []string
	for rows.Next() {
		var t string
		if err := rows.Scan(&t); err != nil {
			return err
		}
		tables = append(tables, t)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, t := range tables {
		quote := func(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
		if _, err := db.ExecContext(ctx, fmt.Sprintf(`CREATE INDEX IF NOT EXISTS %s ON %s (_ferretdb_sjson->'$._id')`, quote(t+"_lookup"), quote(t))); err != nil {
			return err
		}
	}
	return nil
}
