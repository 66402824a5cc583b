package main

import (
	"fmt"
	"strings"

	"trackerdcs/pkg/wire"
)

// describe names a command for people: hv/0 setv 100 V.
func describe(to target, c wire.Command) string {
	switch v := c.Value().(type) {
	case float64:
		return fmt.Sprintf("%s %s %g %s", to, c.Op, v, unitOf(c.Op))
	case string:
		return fmt.Sprintf("%s %s %s", to, c.Op, v)
	}
	return fmt.Sprintf("%s %s", to, c.Op)
}

// ackLine is an answer in one line.
func ackLine(con console, to target, cmd wire.Command, a wire.Ack) string {
	color := plain
	switch a.Phase {
	case wire.Done:
		color = green
	case wire.Rejected, wire.Failed:
		color = red
	case wire.Superseded:
		color = yellow
	}
	line := describe(to, cmd) + ": " + con.paint(color, a.Phase)
	if a.Code != wire.OK && a.Code != "" {
		line += " " + string(a.Code)
	}
	if a.Message != "" {
		line += ": " + oneLine(a.Message)
	}
	if a.Closest.Valid {
		line += fmt.Sprintf(" (closest valid value: %g %s)", a.Closest.V, closestUnit(a.Op))
	}
	if a.Readback.Valid {
		line += ", reads " + quantity(a.Readback.V, readbackUnit(a.Op))
	}
	return line
}

// oneLine keeps what others wrote from moving the cursor.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
}

// unitOf is the unit of an op's value.
func unitOf(op string) string {
	switch op {
	case wire.SetV:
		return "V"
	case wire.SetI:
		return "A"
	case wire.Ramp:
		return "V/s"
	}
	return ""
}

// closestUnit is the unit of an ack's closest value: of a switch on it is the
// target's.
func closestUnit(op string) string {
	if op == wire.Switch {
		return "V"
	}
	return unitOf(op)
}

// readbackUnit is the unit of an ack's readback.
func readbackUnit(op string) string {
	if op == wire.SetI || op == wire.Ramp {
		return unitOf(op)
	}
	return "V"
}
