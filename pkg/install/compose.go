package install

import (
	"fmt"
	"path/filepath"
	"strings"

	"trackerdcs/pkg/install/instruments"
)

// compose is how commands of Docker Compose begin.
const compose = "docker compose"

// typed is how they begin for this installation: with the files that go with its
// instruments, unless Compose finds these by itself.
func (s *session) typed() string {
	file := s.report.Instruments
	if file == nil || file.Compose {
		return compose
	}
	overlay, known := s.overlay(), s.setting("COMPOSE_FILE")
	switch {
	case known != "" && strings.Contains(known, overlay):
		return compose
	case overlay != "":
		return compose + " -f docker-compose.yml -f " + overlay
	}
	return compose + " -f …"
}

// overlay is the compose file that starts the instruments of a file which does
// not: that of instruments.dummy.yml is docker-compose.dummy.yml.
func (s *session) overlay() string {
	rest, ok := strings.CutPrefix(filepath.Base(s.Instruments), "instruments.")
	if !ok {
		return ""
	}
	name := "docker-compose." + rest
	if info, err := s.folder.root.Lstat(name); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	return name
}

// withCommands puts the commands of this installation into a text.
func (s *session) withCommands(text string) string {
	return strings.ReplaceAll(text, compose+" ", s.typed()+" ")
}

// elsewhere complains of instruments that others start, where this installation
// has some of its own: these would lose their logins at the broker.
func (s *session) elsewhere() error {
	if s.report.Instruments.Compose || filepath.Base(s.Instruments) == DefaultInstruments {
		return nil
	}
	for _, name := range []string{DefaultInstruments, instruments.OverrideName} {
		text, there, err := s.read(name)
		if err != nil {
			return err
		}
		if there && (name == DefaultInstruments || instruments.Generated(text)) {
			return fmt.Errorf("this installation has %s: with %s, which says compose: false, its instruments would lose their logins at the broker. "+
				"Use another folder for the stack of %s, a clone of its own; or run this without DCS_INSTRUMENTS and without its -f", name, s.Instruments, s.Instruments)
		}
	}
	return nil
}
