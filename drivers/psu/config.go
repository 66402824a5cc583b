package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"trackerdcs/pkg/device"
	"trackerdcs/pkg/psu"
	"trackerdcs/pkg/scpi"
	"trackerdcs/pkg/service"
)

type config struct {
	Limits      psu.Limits `env:"DCS_LIMITS" doc:"operator's limits in volts by channel, as in 0=0:500,1=-300:0"`
	Labels      labels     `env:"DCS_LABELS" doc:"names of channels for people, as in 1=module A,2=module B"`
	PadChannels bool       `env:"DCS_PAD_CHANNELS" envDefault:"false" doc:"put an inert channel 0 first, for flows that index the list by channel number"`
	device.Instrument
	device.Settings
}

// Validate reports every wrong setting.
func (c *config) Validate() error {
	errs := []error{c.Check()}
	if _, ok := instruments[c.Model]; !ok && c.Model != "" {
		errs = append(errs, service.Bad("DCS_MODEL", "%q is not known: choose one of %s", c.Model, strings.Join(models(), ", ")))
	}
	if c.Address == "" {
		errs = append(errs, service.Bad("DCS_ADDRESS", "is required: where the supply is, such as tcp://10.0.0.7:5025"))
	} else if err := scpi.CheckAddress(c.Address); err != nil {
		errs = append(errs, service.Bad("DCS_ADDRESS", "%v", err))
	}
	return errors.Join(errs...)
}

// labels are names of channels.
type labels map[int]string

// UnmarshalText reads the form of DCS_LABELS.
func (l *labels) UnmarshalText(b []byte) error {
	out := make(labels)
	for part := range strings.SplitSeq(string(b), ",") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		number, name, ok := strings.Cut(part, "=")
		n, err := strconv.ParseUint(strings.TrimSpace(number), 10, 16)
		if !ok || err != nil {
			return fmt.Errorf("%q: want channel=name, as in 1=module A,2=module B", part)
		}
		out[int(n)] = strings.TrimSpace(name)
	}
	*l = out
	return nil
}
