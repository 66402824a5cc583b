package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"regexp"
	"strconv"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/wire"
	"trackerdcs/services/gateway/problem"
)

// maxMeasurements is how many values one body can have.
const maxMeasurements = 100

var sensorRE = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// measured is one value from outside.
type measured struct {
	measurement string
	value       float64
}

// parseIngest reads a list of numbers, which are named meas1, meas2 …, or an
// object of them.
func parseIngest(body []byte) ([]measured, error) {
	var found []measured
	add := func(name string, raw json.RawMessage) error {
		x, err := number(raw)
		switch {
		case err != nil:
			return fmt.Errorf("%q %w", wire.Echo(name), err)
		case math.Abs(x) >= wire.Overflow:
			return fmt.Errorf("%q is %g, which is how instruments say that they have no value: leave it out", wire.Echo(name), x)
		case len(found) == maxMeasurements:
			return fmt.Errorf("it has more than %d values", maxMeasurements)
		}
		found = append(found, measured{name, x})
		return nil
	}
	var list []json.RawMessage
	var err error
	if first := firstByte(body); first == '[' {
		if err = json.Unmarshal(body, &list); err != nil {
			return nil, notJSON(err)
		}
		for i, raw := range list {
			if err := add("meas"+strconv.Itoa(i+1), raw); err != nil {
				return nil, err
			}
		}
	} else {
		err = eachField(body, func(key string, raw json.RawMessage) error {
			if !sensorRE.MatchString(key) {
				return fmt.Errorf("%q cannot be a measurement: write 1 to 64 letters, digits, _ and -", wire.Echo(key))
			}
			return add(key, raw)
		})
	}
	if err == nil && len(found) == 0 {
		err = errors.New("it has no value")
	}
	return found, err
}

// firstByte is the first that is no space.
func firstByte(body []byte) byte {
	for _, b := range body {
		if b != ' ' && b != '\t' && b != '\n' && b != '\r' {
			return b
		}
	}
	return 0
}

func (s *server) ingest(w http.ResponseWriter, r *http.Request) error {
	who, err := asker(r)
	if err != nil {
		return err
	}
	sensor := r.PathValue("sensor")
	if !sensorRE.MatchString(sensor) {
		return bad("%q cannot be a sensor: write 1 to 64 letters, digits, _ and -.", wire.Echo(sensor))
	}
	body, err := readBody(w, r, maxIngest, true)
	if err != nil {
		return err
	}
	values, err := parseIngest(body)
	if err != nil {
		return bad("The values cannot be read: %v. Send a list or an object of numbers.", err)
	}
	published, err := s.publish(r.Context(), sensor, values)
	lost, why := len(values)-published, ""
	if err != nil {
		why = err.Error()
	}
	s.metrics.values.WithLabelValues("published").Add(float64(published))
	s.metrics.values.WithLabelValues("lost").Add(float64(lost))
	s.tally.add(who, sensor, published, lost, why) // a log that does not take it costs no measurement
	if err != nil {
		return &refusal{problem.Problem{
			Status: http.StatusServiceUnavailable, Slug: "offline", More: map[string]any{"published": published},
			Detail: fmt.Sprintf("The broker has %d of %d values; it does not take %s: %v. Send the others again later.", published, len(values), values[published].measurement, err),
		}}
	}
	return writeJSON(w, http.StatusOK, map[string]int{"published": published})
}

// publish publishes values, and says how many the broker has.
func (s *server) publish(ctx context.Context, sensor string, values []measured) (published int, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for i, v := range values {
		payload := wire.Encode(struct {
			Value float64 `json:"value"`
		}{v.value})
		if err := s.cfg.Publish(ctx, bus.Message{Topic: string(s.cfg.Root.Sensor(sensor, v.measurement)), Payload: payload, QoS: 1}); err != nil {
			return i, err
		}
	}
	return len(values), nil
}
