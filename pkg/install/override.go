package install

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"trackerdcs/pkg/install/instruments"
)

// ourOverride complains of a compose file in the place of ours, and of one that
// cannot be written, before anything is made.
func (s *session) ourOverride() error {
	if !s.report.Instruments.Compose {
		return nil
	}
	if _, err := s.report.Instruments.Override(s.Instruments); err != nil {
		return err
	}
	text, there, err := s.read(instruments.OverrideName)
	if err != nil || !there || instruments.Generated(text) {
		return err
	}
	return fmt.Errorf("%s was not made by dcs init, and is not overwritten: name its instruments in %s (docker: takes whatever else a service has) and remove it, "+
		"or keep its services in a file of another name and add that with -f", instruments.OverrideName, s.Instruments)
}

// compose writes the compose file for the instruments.
func (s *session) compose(context.Context) error {
	file := s.report.Instruments
	if file == nil || !file.Compose {
		return nil
	}
	b, err := file.Override(s.Instruments)
	if err != nil {
		return err
	}
	old, there, err := s.read(instruments.OverrideName)
	if err != nil {
		return err
	}
	state := Made
	if there {
		state = Changed
	}
	if bytes.Equal(old, b) {
		s.add(GroupInstruments, instruments.OverrideName, There)
		return nil
	}
	if err := s.replace(instruments.OverrideName, b, 0o644); err != nil {
		return fmt.Errorf("writing %s: %w", instruments.OverrideName, err)
	}
	s.add(GroupInstruments, instruments.OverrideName, state)
	return nil
}

// serialNote says what a serial line needs of the host.
func (s *session) serialNote() {
	var names []string
	for _, i := range s.report.Instruments.Instruments {
		if strings.HasPrefix(i.Address, "serial://") {
			names = append(names, i.Name)
		}
	}
	if len(names) > 0 && s.setting("DCS_SERIAL_GROUP") == "" {
		s.notef("%s: the driver opens its serial line as a member of group 20, Debian's dialout. `stat -c %%g` of the device says which it is here; another goes into .env as DCS_SERIAL_GROUP=…",
			strings.Join(names, ", "))
	}
}
