// Package wire is what goes over the bus: topics, payloads and their units.
//
// It states docs/contract.md in Go and imports the standard library alone, so
// that every program, test and tool can speak the bus's language without
// speaking MQTT. Payloads are JSON in UTF-8 in SI units (V, A, s, °C, %, Pa),
// booleans are 0 or 1, times are RFC 3339 in UTC. A value that could not be
// read is left out: NaN, infinities and an instrument's overflow code never
// reach the bus.
package wire
