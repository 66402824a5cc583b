package main

import (
	"context"
	"errors"
	"time"

	"trackerdcs/pkg/runs"
	"trackerdcs/pkg/wire"
)

// fetchLimit is how long fetching all configurations of a start may take.
const fetchLimit = 5 * time.Second

// configurations are those of the database, by name. An error that is
// runs.ErrNotFound says that there is none of that name.
type configurations interface {
	Configuration(ctx context.Context, name string) (wire.Configuration, error)
}

// fetch gets configurations, and stops at the first that cannot be had.
func fetch(ctx context.Context, db configurations, f Fetch) Fetched {
	ctx, cancel := context.WithTimeout(ctx, fetchLimit)
	defer cancel()
	out := Fetched{Ask: f.Ask, Found: make(map[string]wire.Configuration, len(f.Names))}
	for _, name := range f.Names {
		c, err := db.Configuration(ctx, name)
		if errors.Is(err, runs.ErrNotFound) {
			err = errNoConfiguration
		}
		if err != nil {
			out.Name, out.Err = name, err
			return out
		}
		out.Found[name] = c
	}
	return out
}
