package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/goccy/go-yaml"

	"trackerdcs/pkg/runs"
	"trackerdcs/pkg/wire"
)

// runConfigCmds are the commands about configurations.
type runConfigCmds struct {
	Put    configPutCmd    `cmd:"" help:"Keep a configuration under a name."`
	List   configListCmd   `cmd:"" help:"List configurations."`
	Show   configShowCmd   `cmd:"" help:"Print a configuration."`
	Remove configRemoveCmd `cmd:"" help:"Forget a configuration. Runs keep what they had of it."`
}

type configPutCmd struct {
	mongoFlags
	Name string `arg:"" help:"Under which name."`
	File string `arg:"" help:"YAML or JSON; - is the standard input."`
}

// Help is what --help says behind the flags.
func (*configPutCmd) Help() string {
	return `A configuration has setpoints, which are commands to supplies, and sensors, whose readings must be fresh and in range:

    setpoints:
      - {device: hv, channel: 0, op: setv, value: 100}
      - {device: hv, channel: 0, op: switch, value: on}
    sensors:
      - {device: dht_room, field: temperature, min: 15, max: 30}
      - {device: hv, channel: 0, field: vmon, min: 95, max: 105}
    timeout: 600  # s, for all of it
    wait: 10      # s, for readings to come into range`
}

// Run keeps a configuration.
func (c *configPutCmd) Run(ctx context.Context) error {
	con := terminal()
	return c.with(ctx, con, func(s runStore) error { return c.run(ctx, con, s) })
}

func (c *configPutCmd) run(ctx context.Context, con console, store runStore) error {
	cfg, err := readConfiguration(c.File)
	if err != nil {
		return err
	}
	if c.Name == "" || len(c.Name) > wire.MaxID {
		return fmt.Errorf("the name of a configuration has 1 to %d bytes", wire.MaxID)
	}
	cfg.Name = ""
	if err := store.PutConfiguration(ctx, c.Name, cfg, userName()); err != nil {
		return err
	}
	fmt.Fprintf(con.out, "%s: %s and %s, for dcs run start … --configuration %s\n", oneLine(c.Name),
		counted(uint64(len(cfg.Setpoints)), "setpoint", "setpoints"), counted(uint64(len(cfg.Sensors)), "sensor", "sensors"), oneLine(c.Name))
	return nil
}

type configListCmd struct{ mongoFlags }

// Run lists configurations.
func (c *configListCmd) Run(ctx context.Context) error {
	con := terminal()
	return c.with(ctx, con, func(s runStore) error { return c.run(ctx, con, s) })
}

func (c *configListCmd) run(ctx context.Context, con console, store runStore) error {
	list, err := store.Configurations(ctx)
	if err != nil {
		return err
	}
	t := &table{heads: []string{"name", ">setpoints", ">sensors", "written", "by"}}
	for _, n := range list {
		if c.Output == "json" {
			if err := printJSON(con, n); err != nil {
				return err
			}
			continue
		}
		t.add(plain, n.Name, fmt.Sprint(len(n.Configuration.Setpoints)), fmt.Sprint(len(n.Configuration.Sensors)), stampSeconds(n.Time), n.User)
	}
	switch {
	case len(list) == 0:
		con.notef("there are no configurations: dcs run config put NAME FILE makes one")
	case c.Output != "json":
		t.print(con, "")
	}
	return nil
}

type configShowCmd struct {
	mongoFlags
	Name string `arg:"" help:"Its name."`
}

// Run prints a configuration.
func (c *configShowCmd) Run(ctx context.Context) error {
	con := terminal()
	return c.with(ctx, con, func(s runStore) error { return c.run(ctx, con, s) })
}

func (c *configShowCmd) run(ctx context.Context, con console, store runStore) error {
	cfg, err := store.Configuration(ctx, c.Name)
	if err != nil {
		return configurationError(c.Name, err)
	}
	if c.Output == "json" {
		return printJSON(con, cfg)
	}
	fmt.Fprintln(con.out, con.paint(bold, oneLine(c.Name)))
	runPrinter{con}.configuration(cfg)
	return nil
}

type configRemoveCmd struct {
	mongoFlags
	Name string `arg:"" help:"Its name."`
}

// Run forgets a configuration.
func (c *configRemoveCmd) Run(ctx context.Context) error {
	con := terminal()
	return c.with(ctx, con, func(s runStore) error { return c.run(ctx, con, s) })
}

func (c *configRemoveCmd) run(ctx context.Context, con console, store runStore) error {
	if err := store.RemoveConfiguration(ctx, c.Name); err != nil {
		return configurationError(c.Name, err)
	}
	fmt.Fprintln(con.out, oneLine(c.Name)+": removed")
	return nil
}

func configurationError(name string, err error) error {
	if errors.Is(err, runs.ErrNotFound) {
		return fmt.Errorf("no configuration %q: dcs run config list shows those that there are", name)
	}
	return err
}

// readConfiguration reads a configuration from a file, YAML or JSON, and checks
// it as run control does.
func readConfiguration(file string) (wire.Configuration, error) {
	b, err := readInput(file)
	if err != nil {
		return wire.Configuration{}, err
	}
	cfg, err := parseConfiguration(b)
	if err != nil {
		return cfg, fmt.Errorf("%s: %w", file, err)
	}
	return cfg, nil
}

func readInput(file string) ([]byte, error) {
	in := os.Stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, wire.MaxCommand+1))
	if err == nil && len(b) > wire.MaxCommand {
		err = fmt.Errorf("%s has more than the %d bytes of a command", file, wire.MaxCommand)
	}
	return b, err
}

func parseConfiguration(text []byte) (wire.Configuration, error) {
	var cfg wire.Configuration
	var found any
	dec := yaml.NewDecoder(bytes.NewReader(text))
	if err := dec.Decode(&found); err != nil {
		if errors.Is(err, io.EOF) {
			return cfg, errors.New("it is empty")
		}
		return cfg, fmt.Errorf("neither YAML nor JSON: %s", strings.TrimSpace(yaml.FormatError(err, false, false)))
	}
	if err := dec.Decode(new(any)); !errors.Is(err, io.EOF) {
		return cfg, errors.New("more than one document is in it")
	}
	object, ok := found.(map[string]any)
	if !ok {
		return cfg, errors.New("want setpoints: and sensors:, as in dcs run config --help")
	}
	b, err := json.Marshal(object)
	if err != nil {
		return cfg, err
	}
	strict := json.NewDecoder(bytes.NewReader(b))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&cfg); err != nil {
		return cfg, errors.New(strings.ReplaceAll(strings.TrimPrefix(err.Error(), "json: "), "Go struct field ", "")) // the words of a program
	}
	return cfg, checkConfiguration(cfg)
}
