package main

import (
	"errors"
	"fmt"
	"os"

	"trackerdcs/drivers/ph2acf/procedure"
	"trackerdcs/pkg/device"
	"trackerdcs/pkg/service"
	"trackerdcs/pkg/wire"
)

type config struct {
	Procedures string `env:"DCS_PROCEDURES,required,notEmpty" doc:"the file that says what can be executed"`
	Sink       string `env:"DCS_SINK" envDefault:"calibration" doc:"the service that stores results"`
	LogBytes   int64  `env:"DCS_LOG_BYTES" envDefault:"256000000" doc:"what is kept of a program's output"`
	Reserve    int64  `env:"DCS_RESERVE_BYTES" envDefault:"1000000000" doc:"how much of the disk has to be free for a start"`
	device.Settings
}

// Validate reports every wrong setting, and all that is wrong in the file of
// procedures.
func (c *config) Validate() error {
	errs := []error{c.Check()}
	if c.Procedures != "" {
		if _, err := c.procedures(); err != nil {
			for _, err := range leaves(err) {
				errs = append(errs, service.Bad("DCS_PROCEDURES", "%s: %v", c.Procedures, err))
			}
		}
	}
	if err := wire.CheckName(c.Sink); err != nil {
		errs = append(errs, service.Bad("DCS_SINK", "%v", err))
	}
	if c.LogBytes < 1000 {
		errs = append(errs, service.Bad("DCS_LOG_BYTES", "%d: at least 1000", c.LogBytes))
	}
	if c.Reserve < 0 {
		errs = append(errs, service.Bad("DCS_RESERVE_BYTES", "%d: at least 0", c.Reserve))
	}
	return errors.Join(errs...)
}

// procedures reads the file.
func (c *config) procedures() (procedure.Procedures, error) {
	text, err := os.ReadFile(c.Procedures)
	if err != nil {
		return nil, fmt.Errorf("reading it: %w", errors.Unwrap(err)) // whoever complains names the file
	}
	return procedure.Parse(text)
}

// leaves takes joined errors apart.
func leaves(err error) []error {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		return many.Unwrap()
	}
	return []error{err}
}
