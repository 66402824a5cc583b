package main

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"trackerdcs/pkg/wire"
)

// offers are what the devices that execute runs can execute.
type offers map[string]wire.Meta // by device

// procedure finds a procedure, of the named device if there is one. Not ok says
// that no description is known that could tell; an error that those which are
// known have no such procedure.
func (o offers) procedure(name, device string) (p wire.MetaProcedure, ok bool, err error) {
	var there []string
	for _, dev := range slices.Sorted(maps.Keys(o)) {
		if device != "" && dev != device {
			continue
		}
		if p, ok := o[dev].Procedures[name]; ok {
			return p, true, nil
		}
		names := strings.Join(slices.Sorted(maps.Keys(o[dev].Procedures)), ", ")
		if names == "" {
			names = "none"
		}
		there = append(there, dev+" has "+names)
	}
	if len(there) == 0 {
		return p, false, nil
	}
	return p, false, fmt.Errorf("no procedure %q: %s", name, strings.Join(there, "; "))
}

// parametersOf reads name=value, with the types that the procedure's
// description says, or guessed where there is none.
func parametersOf(procedure string, sets []string, known *wire.MetaProcedure) (wire.Parameters, error) {
	found := make(wire.Parameters)
	for _, s := range sets {
		name, text, ok := strings.Cut(s, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("--set %s: want name=value", s)
		}
		if _, twice := found[name]; twice {
			return nil, fmt.Errorf("parameter %s is given twice", name)
		}
		if known == nil {
			found[name] = guessed(text)
			continue
		}
		p, ok := known.Parameters[name]
		if !ok {
			return nil, fmt.Errorf("%s takes no parameter %s: %s", procedure, name, takes(*known))
		}
		v, err := typed(text, p)
		if err != nil {
			return nil, fmt.Errorf("parameter %s: %w", name, err)
		}
		found[name] = v
	}
	return found, nil
}

// takes lists the parameters of a procedure.
func takes(p wire.MetaProcedure) string {
	if len(p.Parameters) == 0 {
		return "it takes none"
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(p.Parameters)) {
		q := p.Parameters[name]
		text := name + " (" + q.Type
		if q.Required {
			text += ", required"
		}
		parts = append(parts, text+")")
	}
	return "it takes " + strings.Join(parts, ", ")
}

// typed reads a value of a known type. Whether it is in range is the driver's
// to say.
func typed(text string, p wire.MetaParameter) (any, error) {
	switch p.Type {
	case wire.TypeInt:
		n, err := strconv.ParseInt(text, 10, 64)
		switch {
		case errors.Is(err, strconv.ErrRange) || err == nil && (n > maxWhole || n < -maxWhole):
			return nil, fmt.Errorf("%q is beyond 2^53 (%d), up to which a message can carry any whole number: a parameter for more has to be a string", text, maxWhole)
		case err != nil:
			return nil, fmt.Errorf("%q is no whole number", text)
		}
		return float64(n), nil
	case wire.TypeFloat:
		x, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
			return nil, fmt.Errorf("%q is no number", text)
		}
		return x, nil
	case wire.TypeBool:
		switch text {
		case "true", "false":
			return text == "true", nil
		}
		return nil, fmt.Errorf("%q is neither true nor false", text)
	}
	return text, nil
}

// maxWhole is the number up to which a float64, and with it JSON, holds every whole
// number.
const maxWhole int64 = 1 << 53

// numberRE takes no exponent, no leading zero, and not more digits than a number in
// JSON keeps: 1e3 and 007 are serial numbers as often as numbers.
var numberRE = regexp.MustCompile(`^-?(0|[1-9]\d{0,14})(\.\d+)?$`)

// guessed makes a number of what is plainly one, and true and false of these
// words.
func guessed(text string) any {
	switch text {
	case "true", "false":
		return text == "true"
	}
	if numberRE.MatchString(text) {
		if x, err := strconv.ParseFloat(text, 64); err == nil {
			return x
		}
	}
	return text
}
