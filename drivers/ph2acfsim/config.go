package main

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"regexp"
	"time"

	"github.com/alecthomas/kong"

	"trackerdcs/pkg/scpi"
)

// version of the program, which stands in its results.
const version = "1.0.0"

// config is the command line.
type config struct {
	Module    string        `required:"" help:"Name of the module; a module is always the same module."`
	Procedure string        `default:"calibration" enum:"calibration,noise,latency" help:"calibration, noise or latency."`
	Vcal      int           `default:"200" help:"Amplitude of the test pulse of the gain point and of the latency scan, 0 to 255: one unit is 100 electrons that a laser sets free in the sensor, 200 about a particle."`
	Duration  time.Duration `default:"20s" help:"How long it takes; 0s: as fast as it can."`
	Channels  int           `default:"2032" help:"Channels, 1 to 16384, in chips of 254."`
	HV        string        `name:"hv" placeholder:"tcp://127.0.0.1:10001" help:"Supply of the bias voltage, an iseg module; empty: none is asked."`
	HVChannel int           `name:"hv-channel" default:"0" help:"Its channel, from 0."`
	Bias      float64       `default:"300" help:"Bias voltage in V when no supply is asked."`
	Megabytes int           `default:"20" help:"Size of the raw events, 0 to 2000; 0: none."`
	Events    int           `default:"100" help:"Events at each point of an S-curve, 1 to 10000."`
	Seed      uint64        `default:"0" help:"Of the module's properties; 0: from its name."`
	Run       int64         `default:"0" help:"Number of the run, written into the files."`
	Fault     string        `default:"none" enum:"none,fail,hang,crash,ignore-term,orphan" help:"What goes wrong: none, fail, hang, crash, ignore-term or orphan."`
	FailAt    float64       `name:"fail-at" default:"0.5" help:"When it goes wrong, 0 to 1 of the duration."`

	Version kong.VersionFlag `help:"Print the version."`
}

// largest is the largest integer that every reader of JSON keeps.
const largest = 1<<53 - 1

var moduleRE = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// Validate reports everything that is wrong; kong calls it.
func (c *config) Validate() error {
	var errs []error
	bad := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	bad(!moduleRE.MatchString(c.Module), "--module: %.80q is not 1 to 64 letters, digits, dots, _ or -", c.Module)
	bad(c.Vcal < 0 || c.Vcal > 255, "--vcal: %d is not 0 to 255", c.Vcal)
	bad(c.Duration < 0 || c.Duration > 24*time.Hour, "--duration: %v is not 0s to 24h", c.Duration)
	bad(c.Channels < 1 || c.Channels > 16384, "--channels: %d is not 1 to 16384", c.Channels)
	if c.HV != "" {
		err := scpi.CheckAddress(c.HV)
		bad(err != nil, "--hv: %w", err)
	}
	bad(c.HVChannel < 0 || c.HVChannel > 63, "--hv-channel: %d is not 0 to 63", c.HVChannel)
	bad(!(math.Abs(c.Bias) <= 2000), "--bias: %v is not -2000 to 2000 V", c.Bias)
	bad(c.Megabytes < 0 || c.Megabytes > 2000, "--megabytes: %d is not 0 to 2000", c.Megabytes)
	bad(c.Events < 1 || c.Events > 10000, "--events: %d is not 1 to 10000", c.Events)
	bad(c.Seed > largest, "--seed: %d is more than %d", c.Seed, uint64(largest))
	bad(c.Run < 0 || c.Run > largest, "--run: %d is not 0 to %d", c.Run, int64(largest))
	bad(!(c.FailAt >= 0 && c.FailAt <= 1), "--fail-at: %v is not 0 to 1", c.FailAt)
	return errors.Join(errs...)
}

// seed of the module's properties.
func (c *config) seed() uint64 {
	if c.Seed != 0 {
		return c.Seed
	}
	h := fnv.New64a()
	_, _ = io.WriteString(h, c.Module) // a hash takes everything
	return h.Sum64() & largest
}

// parse reads the command line. --help and --version call exit.
func parse(args []string, stdout, stderr io.Writer, exit func(int)) (*config, error) {
	var c config
	k, err := kong.New(&c,
		kong.Name("ph2acfsim"),
		kong.Description("Stands in for PH2ACF: calibrates a module that is not there. Results are summary.json, scurves.csv and raw.bin in the working directory.\n\n"+
			"Exit codes: 0 done, 1 no files, 2 bad arguments, 3 the procedure failed, 4 no voltage from the supply, 130 aborted."),
		kong.Vars{"version": "ph2acfsim " + version},
		kong.Writers(stdout, stderr),
		kong.Exit(exit),
	)
	if err != nil {
		panic("ph2acfsim: " + err.Error()) // the tags above are badly written
	}
	_, err = k.Parse(args)
	return &c, err
}
