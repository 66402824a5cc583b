package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"trackerdcs/pkg/wire"
)

// envelope is how many bytes of a start are the gateway's own: id, user, expires.
const envelope = 512

// parseStart reads the body of a start. What the procedure takes is run
// control's to say.
func parseStart(body []byte) (wire.RunCommand, error) {
	c := wire.RunCommand{Op: wire.Start}
	err := object(body, keys{
		"procedure": text(&c.Procedure, 1, wire.MaxID),
		"device": func(raw json.RawMessage) error {
			if err := text(&c.Device, 1, wire.MaxID)(raw); err != nil {
				return err
			}
			if err := wire.CheckDevice(c.Device); err != nil {
				return fmt.Errorf("cannot be a device's: %w", err)
			}
			return nil
		},
		"parameters":     func(raw json.RawMessage) (err error) { c.Parameters, err = parameters(raw); return err },
		"configurations": func(raw json.RawMessage) (err error) { c.Configurations, err = namesOf(raw); return err },
		"dry":            yes(&c.Dry),
	})
	switch {
	case err != nil:
		return c, err
	case c.Procedure == "":
		return c, errors.New(`"procedure" is missing: devices that execute runs have them in their meta`)
	case len(c.Payload())+envelope > wire.MaxCommand:
		return c, fmt.Errorf("it is too long for the bus, which takes %d bytes", wire.MaxCommand)
	}
	return c, nil
}

// parameters reads strings, numbers, true and false by name.
func parameters(raw json.RawMessage) (wire.Parameters, error) {
	p := wire.Parameters{}
	err := eachField(raw, func(key string, raw json.RawMessage) error {
		if len(p) == wire.MaxParameters {
			return fmt.Errorf("it has more than %d", wire.MaxParameters)
		}
		v, err := parameter(raw)
		if err != nil {
			return fmt.Errorf("%q %w", wire.Echo(key), err)
		}
		p[key] = v
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	return p, nil
}

func parameter(raw json.RawMessage) (any, error) {
	switch raw[0] {
	case '"':
		var s string
		err := text(&s, 0, wire.MaxParameter)(raw)
		return s, err
	case 't', 'f':
		return raw[0] == 't', nil
	case 'n', '{', '[':
		return nil, errors.New("is neither a string nor a number nor true or false")
	}
	return number(raw)
}

// maxConfigurations is more than there are transitions.
const maxConfigurations = 16

// namesOf reads names of configurations by transition.
func namesOf(raw json.RawMessage) (map[string]wire.ConfigurationOrName, error) {
	names := make(map[string]wire.ConfigurationOrName)
	err := eachField(raw, func(key string, raw json.RawMessage) error {
		if len(names) == maxConfigurations {
			return fmt.Errorf("it has more than %d", maxConfigurations)
		}
		var name string
		if err := text(&name, 1, wire.MaxID)(raw); err != nil {
			return fmt.Errorf("%q %w", wire.Echo(key), err)
		}
		names[key] = wire.ConfigurationOrName{Name: name}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	return names, nil
}

// parseAbort reads the body of an abort, which may be missing.
func parseAbort(body []byte) (wire.RunCommand, error) {
	c := wire.RunCommand{Op: wire.Abort}
	if body == nil {
		return c, nil
	}
	err := object(body, keys{"reason": text(&c.Reason, 0, wire.MaxReason)})
	return c, err
}

func (s *server) startRun(w http.ResponseWriter, r *http.Request) error {
	body, err := readBody(w, r, maxRun, true)
	if err != nil {
		return err
	}
	c, err := parseStart(body)
	if err != nil {
		return bad("The start cannot be read: %v.", err)
	}
	return s.runCommand(w, r, c)
}

func (s *server) abortRun(w http.ResponseWriter, r *http.Request) error {
	number, err := runNumber(r)
	if err != nil {
		return err
	}
	body, err := readBody(w, r, maxCommand, false)
	if err != nil {
		return err
	}
	c, err := parseAbort(body)
	if err != nil {
		return bad("The abort cannot be read: %v.", err)
	}
	c.Run = number
	return s.runCommand(w, r, c)
}

func (s *server) runCommand(w http.ResponseWriter, r *http.Request, c wire.RunCommand) error {
	who, err := asker(r)
	if err != nil {
		return err
	}
	out, err := s.sendRun(r.Context(), who, c)
	if err != nil {
		return err
	}
	return answerOutcome(w, out, target{name: "Run control"}, c.Op)
}
