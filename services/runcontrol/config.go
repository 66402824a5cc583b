package main

import (
	"errors"
	"os"
	"strings"

	"trackerdcs/pkg/service"
)

type config struct {
	service.Service
	service.Bus

	MongoURI      string `env:"DCS_MONGO_URI" envDefault:"mongodb://127.0.0.1:27017" doc:"MongoDB, where configurations are fetched by name"`
	MongoURIFile  string `env:"DCS_MONGO_URI_FILE" doc:"file with MongoDB's URI, when there is a password in it; it wins over DCS_MONGO_URI"`
	MongoDatabase string `env:"DCS_MONGO_DATABASE" envDefault:"dcs" doc:"database; configurations are in its collection configurations"`
}

// Validate reports every setting that cannot work.
func (c *config) Validate() error {
	errs := []error{c.ValidateBus()}
	if c.MongoURIFile != "" {
		b, err := os.ReadFile(c.MongoURIFile)
		switch {
		case err != nil:
			errs = append(errs, service.Bad("DCS_MONGO_URI_FILE", "%v", err))
		case !mongoURI(strings.TrimSpace(string(b))):
			errs = append(errs, service.Bad("DCS_MONGO_URI_FILE", "%s does not begin with mongodb:// or mongodb+srv:// and a host", c.MongoURIFile))
		}
	} else if !mongoURI(c.MongoURI) {
		errs = append(errs, service.Bad("DCS_MONGO_URI", "begin with mongodb:// or mongodb+srv:// and a host, as mongodb://127.0.0.1:27017"))
	}
	if c.MongoDatabase == "" || strings.ContainsAny(c.MongoDatabase, "/\\. \"$\x00") {
		errs = append(errs, service.Bad("DCS_MONGO_DATABASE", "%q is no name of a database", c.MongoDatabase))
	}
	return errors.Join(errs...)
}

func mongoURI(s string) bool {
	for _, scheme := range []string{"mongodb://", "mongodb+srv://"} {
		if rest, ok := strings.CutPrefix(s, scheme); ok {
			return rest != "" && !strings.HasPrefix(rest, "/")
		}
	}
	return false
}
