package service

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"reflect"
	"strings"
	"text/tabwriter"

	"github.com/caarlos0/env/v11"

	"trackerdcs/pkg/wire"
)

// Settings is what a program's own struct of settings satisfies by embedding
// Service or Device. Its fields carry the tags of caarlos0/env and a doc tag:
//
//	Period time.Duration `env:"DCS_PERIOD" envDefault:"1s" doc:"poll period"`
//
// A Validate() error method, if there is one, is asked too; it names the
// settings it complains of with Bad.
type Settings interface {
	common() *Common
	instance(program string) string
	setInstance(name string)
}

// Common are the settings of every program.
type Common struct {
	DataDir   string `env:"DCS_DATA_DIR" doc:"what the program keeps on disk; default data/<name>"`
	HTTP      string `env:"DCS_HTTP" doc:"host:port that serves /healthz, /readyz and /metrics; off when empty"`
	LogLevel  string `env:"DCS_LOG_LEVEL" envDefault:"info" doc:"debug, info, warn or error"`
	LogFormat string `env:"DCS_LOG_FORMAT" envDefault:"text" doc:"text or json, on standard error"`
}

func (c *Common) common() *Common { return c }

func (c *Common) validate() error {
	var errs []error
	var level slog.Level
	if level.UnmarshalText([]byte(c.LogLevel)) != nil {
		errs = append(errs, Bad("DCS_LOG_LEVEL", "%q is not debug, info, warn or error", c.LogLevel))
	}
	if c.LogFormat != "text" && c.LogFormat != "json" {
		errs = append(errs, Bad("DCS_LOG_FORMAT", "%q is neither text nor json", c.LogFormat))
	}
	if c.HTTP != "" {
		if _, _, err := net.SplitHostPort(c.HTTP); err != nil {
			errs = append(errs, Bad("DCS_HTTP", "%q is not host:port", c.HTTP))
		}
	}
	return errors.Join(errs...)
}

func (c *Common) logger(w io.Writer, name string) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.LogLevel)) // validate has looked at it
	o := &slog.HandlerOptions{Level: level}
	var h slog.Handler = slog.NewTextHandler(w, o)
	if c.LogFormat == "json" {
		h = slog.NewJSONHandler(w, o)
	}
	return slog.New(h).With("name", name)
}

// Service is embedded in the settings of a program that owns no hardware.
type Service struct {
	Common
	Name string `env:"DCS_NAME" doc:"the service's name on the bus; default the binary's"`
}

func (s *Service) instance(program string) string {
	if s.Name == "" {
		return program
	}
	return s.Name
}

func (s *Service) setInstance(name string) {
	s.Name = name
	if s.DataDir == "" {
		s.DataDir = filepath.Join("data", name)
	}
}

func (s *Service) validate() error {
	if s.Name == "" {
		return s.Common.validate()
	}
	if err := wire.CheckName(s.Name); err != nil {
		return errors.Join(s.Common.validate(), Bad("DCS_NAME", "%v", err))
	}
	return s.Common.validate()
}

// Device is embedded in the settings of a driver.
type Device struct {
	Common
	Device string `env:"DCS_DEVICE,required,notEmpty" doc:"the device's name on the bus"`
}

func (d *Device) instance(string) string { return d.Device }

func (d *Device) setInstance(name string) {
	if d.DataDir == "" {
		d.DataDir = filepath.Join("data", name)
	}
}

func (d *Device) validate() error {
	if d.Device == "" {
		return d.Common.validate() // env has complained
	}
	if err := wire.CheckDevice(d.Device); err != nil {
		return errors.Join(d.Common.validate(), Bad("DCS_DEVICE", "%v", err))
	}
	return d.Common.validate()
}

// badSetting is a complaint about one setting.
type badSetting struct{ setting, text string }

func (b badSetting) Error() string { return b.setting + ": " + b.text }

// Bad makes the error of a Validate method that names the setting and what is
// wrong with it.
func Bad(setting, format string, args ...any) error {
	return badSetting{setting, fmt.Sprintf(format, args...)}
}

// load fills cfg from the environment and returns every complaint at once.
func load(cfg Settings, environ map[string]string) []error {
	var errs []error
	named := make(map[string]bool)
	fields := fieldsOf(reflect.TypeOf(cfg).Elem())
	if err := env.ParseWithOptions(cfg, env.Options{Environment: environ}); err != nil {
		for _, e := range leaves(err) {
			e = rename(e, fields)
			var b badSetting
			if errors.As(e, &b) {
				named[b.setting] = true
			}
			errs = append(errs, e)
		}
	}
	var bad []error
	if v, ok := cfg.(interface{ validate() error }); ok {
		bad = leaves(v.validate())
	}
	if v, ok := cfg.(interface{ Validate() error }); ok {
		bad = append(bad, leaves(v.Validate())...)
	}
	for _, e := range bad {
		var b badSetting
		if errors.As(e, &b) && named[b.setting] {
			continue // what could not be read is not judged as well
		}
		errs = append(errs, e)
	}
	return errs
}

// leaves takes joined and aggregated errors apart.
func leaves(err error) []error {
	if err == nil {
		return nil
	}
	var agg env.AggregateError
	if errors.As(err, &agg) {
		return agg.Errors
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		var out []error
		for _, e := range many.Unwrap() {
			out = append(out, leaves(e)...)
		}
		return out
	}
	return []error{err}
}

// rename says an error of env in the words of settings.
func rename(err error, fields []field) error {
	var (
		unset env.VarIsNotSetError
		empty env.EmptyVarError
		parse env.ParseError
	)
	switch {
	case errors.As(err, &unset):
		return Bad(unset.Key, "is required: %s", docOf(fields, unset.Key))
	case errors.As(err, &empty):
		return Bad(empty.Key, "is required and empty: %s", docOf(fields, empty.Key))
	case errors.As(err, &parse):
		for _, f := range fields {
			if f.name == parse.Name {
				return Bad(f.key, "%v (%s)", parse.Err, f.doc)
			}
		}
	}
	return err
}

func docOf(fields []field, key string) string {
	for _, f := range fields {
		if f.key == key {
			return f.doc
		}
	}
	return ""
}

// field is one setting.
type field struct {
	name, key, def, doc string
	required            bool
}

// fieldsOf lists the settings of a struct in the order of its fields, those of
// embedded structs last but one's own first: what a program is for comes first.
func fieldsOf(t reflect.Type) []field {
	var own, shared []field
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Type.Kind() == reflect.Struct && f.Tag.Get("env") == "" {
			shared = append(shared, fieldsOf(f.Type)...)
			continue
		}
		key, opts, _ := strings.Cut(f.Tag.Get("env"), ",")
		if key == "" {
			continue
		}
		own = append(own, field{f.Name, key, f.Tag.Get("envDefault"), f.Tag.Get("doc"), strings.Contains(opts, "required")})
	}
	return append(own, shared...)
}

func (f field) defaultText() string {
	switch {
	case f.required:
		return "required"
	case f.def == "":
		return "none"
	}
	return f.def
}

// usage writes the table of settings for -h.
func usage(w io.Writer, program, about string, cfg Settings) {
	fmt.Fprintf(w, "%s %s\n\nUsage: %s [-h | -check | -version | -healthcheck]\n\n", program, about, program)
	fmt.Fprintln(w, "-check validates the settings and exits; -healthcheck asks the running program's /healthz.")
	fmt.Fprintln(w, "All settings are environment variables:")
	fmt.Fprintln(w)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "SETTING\tDEFAULT\tMEANING")
	for _, f := range fieldsOf(reflect.TypeOf(cfg).Elem()) {
		fmt.Fprintf(tw, "%s\t%s\t%s\n", f.key, f.defaultText(), f.doc)
	}
	_ = tw.Flush() // the terminal's trouble
}

// SettingsTable is the table of settings for a program's README.
func SettingsTable(cfg Settings) string {
	var b strings.Builder
	b.WriteString("| Setting | Default | Meaning |\n|---|---|---|\n")
	for _, f := range fieldsOf(reflect.TypeOf(cfg).Elem()) {
		def := f.defaultText()
		if def != "required" && def != "none" {
			def = "`" + def + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", f.key, def, strings.ReplaceAll(f.doc, "|", "\\|"))
	}
	return b.String()
}
