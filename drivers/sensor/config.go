package main

import (
	"errors"
	"strings"

	"trackerdcs/pkg/device"
	"trackerdcs/pkg/scpi"
	"trackerdcs/pkg/service"
	"trackerdcs/pkg/wire"
)

type config struct {
	Legacy string `env:"DCS_LEGACY_SENSOR" doc:"publish /sensor/<this name>/<measurement> as well, as the original stack did"`
	device.Instrument
	device.Settings
}

// Validate reports every wrong setting.
func (c *config) Validate() error {
	errs := []error{c.Check()}
	if _, ok := instruments[c.Model]; !ok && c.Model != "" {
		errs = append(errs, service.Bad("DCS_MODEL", "%q is not known: choose one of %s", c.Model, strings.Join(models(), ", ")))
	}
	switch {
	case c.Model == "sine": // has none
	case c.Address == "":
		errs = append(errs, service.Bad("DCS_ADDRESS", "is required: where the sensor is, such as serial:///dev/ttyUSB0?baud=9600"))
	default:
		if err := scpi.CheckAddress(c.Address); err != nil {
			errs = append(errs, service.Bad("DCS_ADDRESS", "%v", err))
		}
	}
	if c.Legacy != "" {
		if err := wire.CheckName(c.Legacy); err != nil {
			errs = append(errs, service.Bad("DCS_LEGACY_SENSOR", "%v", err))
		}
	}
	return errors.Join(errs...)
}
