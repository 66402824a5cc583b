package main

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"trackerdcs/pkg/service"
)

type config struct {
	service.Service
	service.Bus

	InfluxURL       string `env:"DCS_INFLUX_URL" envDefault:"http://127.0.0.1:8086" doc:"where InfluxDB listens, http:// or https://"`
	InfluxOrg       string `env:"DCS_INFLUX_ORG" envDefault:"dcs" doc:"organisation; InfluxDB 1.8 has none and does not look at it"`
	InfluxBucket    string `env:"DCS_INFLUX_BUCKET" envDefault:"dcs" doc:"bucket; for InfluxDB 1.8 database/policy, or the database alone for its default policy"`
	InfluxTokenFile string `env:"DCS_INFLUX_TOKEN_FILE" doc:"file with the token; for InfluxDB 1.8 with logins it holds user:password"`

	MappingFile string `env:"DCS_MAPPING_FILE" doc:"file that says what becomes of foreign topics, see docs/mapping.md; none needed for /sensor/<name>/<measurement>"`

	BatchLines   int           `env:"DCS_BATCH_LINES" envDefault:"5000" doc:"a batch is written when it has this many lines …"`
	BatchBytes   int           `env:"DCS_BATCH_BYTES" envDefault:"1000000" doc:"… or this many bytes …"`
	BatchAge     time.Duration `env:"DCS_BATCH_AGE" envDefault:"1s" doc:"… or is this old …"`
	BatchQuiet   time.Duration `env:"DCS_BATCH_QUIET" envDefault:"200ms" doc:"… or when nothing more came for this long"`
	WriteTimeout time.Duration `env:"DCS_WRITE_TIMEOUT" envDefault:"10s" doc:"how long one write may take"`

	QueueMessages int   `env:"DCS_QUEUE_MESSAGES" envDefault:"5000" doc:"messages that wait in memory for the disk; QoS 0 gets half of the room"`
	QueueBytes    int64 `env:"DCS_QUEUE_BYTES" envDefault:"2500000" doc:"bytes of payload that wait in memory for the disk; QoS 0 gets half of the room"`

	SpoolBytes      int64 `env:"DCS_SPOOL_BYTES" envDefault:"10000000000" doc:"size of the spool on disk; when it is reached messages are left to the broker"`
	DeadLetterBytes int64 `env:"DCS_DEAD_LETTER_BYTES" envDefault:"1000000000" doc:"size of the dead-letter file; past it what cannot be stored is lost, and counted"`
}

// Validate reports every setting that cannot work.
func (c *config) Validate() error {
	errs := []error{c.ValidateBus()}
	bad := func(wrong bool, setting, format string, args ...any) {
		if wrong {
			errs = append(errs, service.Bad(setting, format, args...))
		}
	}
	u, err := url.Parse(c.InfluxURL)
	bad(err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "",
		"DCS_INFLUX_URL", "begin with http:// or https:// and a host, as http://127.0.0.1:8086")
	bad(c.InfluxOrg == "", "DCS_INFLUX_ORG", "is empty")
	bad(c.InfluxBucket == "" || strings.HasPrefix(c.InfluxBucket, "/"), "DCS_INFLUX_BUCKET", "%q names no bucket", c.InfluxBucket)
	if _, err := c.token(); err != nil {
		bad(true, "DCS_INFLUX_TOKEN_FILE", "%v", err)
	}
	if _, err := c.mapping(); err != nil {
		for _, err := range leaves(err) {
			bad(true, "DCS_MAPPING_FILE", "%s: %v", c.MappingFile, err)
		}
	}
	bad(c.BatchLines < 1, "DCS_BATCH_LINES", "%d: at least 1", c.BatchLines)
	bad(c.BatchBytes < 1, "DCS_BATCH_BYTES", "%d: at least 1", c.BatchBytes)
	bad(c.BatchAge <= 0, "DCS_BATCH_AGE", "%v: above 0", c.BatchAge)
	bad(c.BatchQuiet <= 0, "DCS_BATCH_QUIET", "%v: above 0", c.BatchQuiet)
	bad(c.WriteTimeout <= 0, "DCS_WRITE_TIMEOUT", "%v: above 0", c.WriteTimeout)
	bad(c.QueueMessages < 2, "DCS_QUEUE_MESSAGES", "%d: at least 2", c.QueueMessages)
	bad(c.SpoolBytes < 64<<20, "DCS_SPOOL_BYTES", "%d: at least %d, four files of it", c.SpoolBytes, 64<<20)
	bad(c.DeadLetterBytes < 0, "DCS_DEAD_LETTER_BYTES", "%d: at least 0", c.DeadLetterBytes)
	bad(c.QueueBytes < 2*maxPayload, "DCS_QUEUE_BYTES", "%d: at least %d, two of the largest messages", c.QueueBytes, 2*maxPayload)
	return errors.Join(errs...)
}

// shownURL is InfluxDB's address as it may be shown to everyone.
func (c *config) shownURL() string {
	u, err := url.Parse(c.InfluxURL)
	if err != nil {
		return "DCS_INFLUX_URL"
	}
	return u.Redacted()
}

// token reads the token anew each time: one that was replaced is taken without
// a restart.
func (c *config) token() (string, error) {
	if c.InfluxTokenFile == "" {
		return "", nil
	}
	b, err := os.ReadFile(c.InfluxTokenFile)
	if err != nil {
		return "", fmt.Errorf("the token: %w", err)
	}
	token := strings.TrimSpace(string(b))
	if token == "" {
		return "", fmt.Errorf("the token: %s is empty", c.InfluxTokenFile)
	}
	return token, nil
}

// mapping reads the rules for foreign topics.
func (c *config) mapping() (*mapping, error) {
	if c.MappingFile == "" {
		return nil, nil
	}
	text, err := os.ReadFile(c.MappingFile)
	if err != nil {
		return nil, errors.Unwrap(err) // whoever complains names the file
	}
	return parseMapping(c.Root, text)
}

// leaves takes joined errors apart.
func leaves(err error) []error {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		return many.Unwrap()
	}
	return []error{err}
}
