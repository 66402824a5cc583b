package main

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"trackerdcs/pkg/service"
)

type config struct {
	service.Service

	Model     string        `env:"DCS_MODEL,required,notEmpty" doc:"hmp4040, iseg or dht"`
	Address   string        `env:"DCS_ADDRESS" envDefault:"tcp://127.0.0.1:10001" doc:"where it listens; port 0 takes a free one and logs it. dht also: pty:///tmp/dht, a symbolic link to a pseudo-terminal is made there"`
	Channels  int           `env:"DCS_SIM_CHANNELS" envDefault:"4" doc:"channels; an HMP4040 has 1 to 4, an iseg module up to 48, from 0"`
	Voltage   float64       `env:"DCS_SIM_VOLTAGE" envDefault:"1000" doc:"iseg: nominal voltage, V"`
	Current   float64       `env:"DCS_SIM_CURRENT" envDefault:"0.008" doc:"iseg: nominal current, A"`
	Negative  bool          `env:"DCS_SIM_NEGATIVE" envDefault:"false" doc:"iseg: negative polarity"`
	Ramp      optional      `env:"DCS_SIM_RAMP" doc:"iseg: speed of the ramp after power-on, V/s; default 1 % of DCS_SIM_VOLTAGE a second"`
	Load      string        `env:"DCS_SIM_LOAD" doc:"load in ohm, of all channels or by channel: 1e9 or 0=1e9,1=2e9; default what fits the model"`
	Leakage   optional      `env:"DCS_SIM_LEAKAGE" doc:"leakage current in A/sqrt(V) besides the load; default 40e-9 for iseg, 0 for hmp4040"`
	Noise     float64       `env:"DCS_SIM_NOISE" envDefault:"1" doc:"noise of the measured values in units of the model's own; 0: none"`
	Delay     time.Duration `env:"DCS_SIM_DELAY" envDefault:"0s" doc:"what a command takes; a real HMP4040 about 100ms"`
	Start     string        `env:"DCS_SIM_START" doc:"channels that are on after power-on, with their voltage in V: 1=2.5,2=5; default all off"`
	Speed     float64       `env:"DCS_SIM_SPEED" envDefault:"1" doc:"how much faster than real time ramps and climate go"`
	Seed      uint64        `env:"DCS_SIM_SEED" envDefault:"1" doc:"of noise and climate"`
	Period    time.Duration `env:"DCS_SIM_PERIOD" envDefault:"2s" doc:"dht: time between two measurements"`
	EndLines  bool          `env:"DCS_SIM_END_LINES" envDefault:"false" doc:"dht: a well-behaved sketch, which ends the line of the humidity too"`
	FailEvery int           `env:"DCS_SIM_FAIL_EVERY" envDefault:"0" doc:"dht: every n-th measurement fails; 0: none"`
}

// plan is the settings, understood.
type plan struct {
	config
	listen string // host:port
	pty    string // path of the link
	load   loads
	start  map[int]float64
}

// Validate reports everything that is wrong with the settings.
func (c *config) Validate() error {
	_, err := c.plan()
	return err
}

func (c *config) plan() (plan, error) {
	p := plan{config: *c}
	var errs []error
	bad := func(wrong bool, setting, format string, args ...any) {
		if wrong {
			errs = append(errs, service.Bad(setting, format, args...))
		}
	}
	_, known := models[c.Model]
	bad(!known && c.Model != "", "DCS_MODEL", "%q is none of %s", c.Model, strings.Join(modelNames(), ", "))

	var err error
	p.listen, p.pty, err = parseAddress(c.Address)
	bad(err != nil, "DCS_ADDRESS", "%v", err)
	bad(p.pty != "" && known && c.Model != "dht", "DCS_ADDRESS", "%s: a pseudo-terminal is for dht alone", c.Address)

	highest := 48
	if c.Model == "hmp4040" {
		highest = 4
	}
	bad(c.Channels < 1 || c.Channels > highest, "DCS_SIM_CHANNELS", "%d is not 1 to %d", c.Channels, highest)
	bad(!positive(c.Voltage), "DCS_SIM_VOLTAGE", "%v is not above 0", c.Voltage)
	bad(!positive(c.Current), "DCS_SIM_CURRENT", "%v is not above 0", c.Current)
	// The ramp of a module is 20 %/s of its nominal voltage at most.
	ramp := c.Ramp.or(c.Voltage / 100)
	bad(c.Ramp.set && (!positive(ramp) || ramp > c.Voltage/5), "DCS_SIM_RAMP", "%v is not above 0 and at most %v, a fifth of DCS_SIM_VOLTAGE", ramp, c.Voltage/5)
	bad(!positive(c.Speed) || c.Speed > 1e6, "DCS_SIM_SPEED", "%v is not above 0 and at most 1e6", c.Speed)
	bad(c.Noise != 0 && !positive(c.Noise), "DCS_SIM_NOISE", "%v is negative or no number", c.Noise)
	bad(c.Leakage.value != 0 && !positive(c.Leakage.value), "DCS_SIM_LEAKAGE", "%v is negative or no number", c.Leakage.value)
	bad(c.Delay < 0, "DCS_SIM_DELAY", "%v is negative", c.Delay)
	bad(c.Period < time.Millisecond, "DCS_SIM_PERIOD", "%v is less than 1ms", c.Period)
	bad(c.FailEvery < 0, "DCS_SIM_FAIL_EVERY", "%d is negative", c.FailEvery)

	numbers := c.numbers()
	p.load, err = parseLoads(c.Load, numbers)
	bad(err != nil, "DCS_SIM_LOAD", "%v", err)
	p.start, err = parseStart(c.Start, numbers, c.highest())
	bad(err != nil, "DCS_SIM_START", "%v", err)
	return p, errors.Join(errs...)
}

// numbers are the channels' own numbers; a DHT has none.
func (c *config) numbers() (list []int) {
	first := 0
	switch c.Model {
	case "hmp4040":
		first = 1
	case "dht":
		return nil
	}
	for n := range min(max(c.Channels, 0), 48) {
		list = append(list, first+n)
	}
	return list
}

// highest is the highest voltage of a channel.
func (c *config) highest() float64 {
	if c.Model == "hmp4040" {
		return 32.05
	}
	return c.Voltage
}

func positive(v float64) bool { return v > 0 && !math.IsInf(v, 1) }

func parseAddress(text string) (listen, pty string, err error) {
	u, err := url.Parse(text)
	wrong := fmt.Errorf("%q is neither tcp://host:port nor pty:///path", text)
	if err != nil || u.RawQuery != "" {
		return "", "", wrong
	}
	switch u.Scheme {
	case "tcp":
		host, port, err := net.SplitHostPort(u.Host)
		if err != nil || host == "" || u.Path != "" {
			return "", "", wrong
		}
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return "", "", fmt.Errorf("%q: %q is not a port, 0 to 65535", text, port)
		}
		return u.Host, "", nil
	case "pty":
		if u.Host != "" || len(u.Path) < 2 || strings.HasSuffix(u.Path, "/") {
			return "", "", wrong
		}
		return "", u.Path, nil
	}
	return "", "", wrong
}

// optional is a number that may be absent.
type optional struct {
	set   bool
	value float64
}

// UnmarshalText makes it a setting.
func (o *optional) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return nil
	}
	v, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return fmt.Errorf("%q is not a number", text)
	}
	o.set, o.value = true, v
	return nil
}

func (o optional) or(other float64) float64 {
	if o.set {
		return o.value
	}
	return other
}

// loads is ohm by channel; nil: the model's own.
type loads map[int]float64

func (l loads) or(other map[int]float64) map[int]float64 {
	out := map[int]float64{}
	for ch, r := range other {
		out[ch] = r
	}
	for ch, r := range l {
		out[ch] = r
	}
	return out
}

func parseLoads(text string, numbers []int) (loads, error) {
	if text == "" {
		return nil, nil
	}
	if !strings.Contains(text, "=") {
		r, err := strconv.ParseFloat(text, 64)
		if err != nil || !(r > 0) {
			return nil, fmt.Errorf("%q is no resistance in ohm", text)
		}
		l := loads{}
		for _, n := range numbers {
			l[n] = r
		}
		return l, nil
	}
	return byChannel(text, numbers, func(r float64) error {
		if !(r > 0) {
			return errors.New("is no resistance in ohm")
		}
		return nil
	})
}

func parseStart(text string, numbers []int, highest float64) (map[int]float64, error) {
	if text == "" {
		return nil, nil
	}
	return byChannel(text, numbers, func(v float64) error {
		if !(v >= 0 && v <= highest) {
			return fmt.Errorf("is not 0 to %v V", highest)
		}
		return nil
	})
}

// byChannel reads 0=1e9,1=2e9.
func byChannel(text string, numbers []int, check func(float64) error) (map[int]float64, error) {
	out := map[int]float64{}
	for part := range strings.SplitSeq(text, ",") {
		number, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		n, err := strconv.Atoi(number)
		v, err2 := strconv.ParseFloat(value, 64)
		if err != nil || err2 != nil {
			return nil, fmt.Errorf("%q is not channel=value", part)
		}
		if !slices.Contains(numbers, n) {
			return nil, fmt.Errorf("%q: there is no channel %d", part, n)
		}
		if _, twice := out[n]; twice {
			return nil, fmt.Errorf("%q: channel %d stands twice", part, n)
		}
		if err := check(v); err != nil {
			return nil, fmt.Errorf("%q: %w", part, err)
		}
		out[n] = v
	}
	return out, nil
}
