package main

import (
	"errors"
	"strings"
	"time"

	"trackerdcs/pkg/runs"
	"trackerdcs/pkg/service"
)

type config struct {
	service.Service
	service.Bus
	Mongo
	Bucket  string        `env:"DCS_INFLUX_BUCKET" envDefault:"dcs" doc:"named in each run's document as the place of its measurements"`
	Reserve int64         `env:"DCS_RESERVE_BYTES" envDefault:"1000000000" doc:"bytes of the disk that results leave free; a driver keeps what finds no room"`
	Journal int64         `env:"DCS_JOURNAL_BYTES" envDefault:"2000000000" doc:"at most so many bytes of what devices say are kept on disk while runs are under way"`
	Settle  time.Duration `env:"DCS_SETTLE" envDefault:"40s" doc:"for how long statuses that are known to be missing are waited for at the end of a run"`
}

// Mongo says where MongoDB is.
type Mongo struct {
	URI      string `env:"DCS_MONGO_URI" envDefault:"mongodb://127.0.0.1:27017" doc:"where MongoDB is"`
	URIFile  string `env:"DCS_MONGO_URI_FILE" doc:"file with that address, for one with a password; wins over DCS_MONGO_URI"`
	Database string `env:"DCS_MONGO_DATABASE" envDefault:"dcs" doc:"the database"`
}

// Validate reports every wrong setting.
func (c *config) Validate() error {
	errs := []error{c.ValidateBus()}
	if _, err := runs.New(c.mongo()); err != nil {
		name := "DCS_MONGO_URI"
		if c.URIFile != "" {
			name += "_FILE"
		}
		errs = append(errs, service.Bad(name, "%v", err))
	}
	if c.Bucket == "" || strings.ContainsAny(c.Bucket, "\r\n") {
		errs = append(errs, service.Bad("DCS_INFLUX_BUCKET", "%q: name a bucket, or database/policy", c.Bucket))
	}
	if c.Reserve < 0 {
		errs = append(errs, service.Bad("DCS_RESERVE_BYTES", "%d: choose 0 or more", c.Reserve))
	}
	if c.Journal < 1<<20 {
		errs = append(errs, service.Bad("DCS_JOURNAL_BYTES", "%d: choose 1048576 or more", c.Journal))
	}
	if c.Settle < 0 || c.Settle > time.Hour {
		errs = append(errs, service.Bad("DCS_SETTLE", "%v: choose 0 to 1h", c.Settle))
	}
	return errors.Join(errs...)
}

func (c *config) mongo() runs.Config {
	return runs.Config{URI: c.URI, URIFile: c.URIFile, Database: c.Database}
}
