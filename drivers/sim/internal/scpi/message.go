package scpi

import "strings"

// Unit is one command of a program message.
type Unit struct {
	Text   string   // as sent, without the blanks around it
	Header []string // its nodes from the root of the tree; {"*IDN"} for a common command
	Query  bool
	Args   []string // parted at commas outside of parentheses and quotes
}

// Split takes a program message apart. A header without leading colon continues
// in the subsystem of the unit before it (SCPI-99 vol. 1, 6.2.4): after
// "MEAS:VOLT?", "CURR?" means "MEAS:CURR?". A common command leaves that as it is.
func Split(message string) []Unit {
	var units []Unit
	var path []string
	for _, text := range fields(message, ';') {
		if text == "" {
			continue
		}
		header, args := text, ""
		if i := strings.IndexAny(text, " \t"); i >= 0 {
			header, args = text[:i], strings.TrimSpace(text[i:])
		}
		u := Unit{Text: text}
		header, u.Query = strings.CutSuffix(header, "?")
		if args != "" {
			u.Args = fields(args, ',')
		}
		switch {
		case strings.HasPrefix(header, "*"):
			u.Header = []string{header}
			units = append(units, u)
			continue
		case strings.HasPrefix(header, ":"):
			u.Header = strings.Split(header[1:], ":")
		default:
			u.Header = append(append([]string{}, path...), strings.Split(header, ":")...)
		}
		// A message of thousands of units must not grow its headers without bound.
		if len(u.Header) > 16 {
			u.Header = u.Header[:16]
		}
		path = u.Header[:len(u.Header)-1]
		units = append(units, u)
	}
	return units
}

// fields parts a text at sep, outside of parentheses and quotes, and trims blanks.
func fields(text string, sep byte) []string {
	var out []string
	var quote byte
	depth, start := 0, 0
	for i := range len(text) {
		switch ch := text[i]; {
		case quote != 0:
			if ch == quote {
				quote = 0
			}
		case ch == '"' || ch == '\'':
			quote = ch
		case ch == '(':
			depth++
		case ch == ')':
			depth = max(depth-1, 0)
		case ch == sep && depth == 0:
			out = append(out, strings.TrimSpace(text[start:i]))
			start = i + 1
		}
	}
	return append(out, strings.TrimSpace(text[start:]))
}
