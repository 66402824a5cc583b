package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"trackerdcs/pkg/wire"
	"trackerdcs/services/gateway/live"
	"trackerdcs/services/gateway/problem"
)

// maxOffNames is how many supplies can be named.
const maxOffNames = 1000

// parseOff reads the names of supplies; none means all.
func parseOff(body []byte) ([]string, error) {
	if body == nil {
		return nil, nil
	}
	var names []string
	err := object(body, keys{"devices": func(raw json.RawMessage) error {
		if raw[0] != '[' || json.Unmarshal(raw, &names) != nil {
			return errors.New("is not a list of names")
		}
		if len(names) == 0 || len(names) > maxOffNames {
			return fmt.Errorf("has %d names: send 1 to %d, or leave it out for all supplies", len(names), maxOffNames)
		}
		if !slices.ContainsFunc(names, func(name string) bool { return checkTarget(name) == nil }) {
			return fmt.Errorf("has no name that can be a device's: %q", wire.Echo(names[0]))
		}
		return nil
	}})
	slices.Sort(names)
	return slices.Compact(names), err
}

// checkTarget reports why nothing can be sent to a name: on top of
// wire.CheckDevice it must not be so long that the broker hangs up.
func checkTarget(name string) error {
	if len(name) > wire.MaxID {
		return fmt.Errorf("the name has %d bytes, and %d at most are sent to", len(name), wire.MaxID)
	}
	return wire.CheckDevice(name)
}

// offResult is what became of one supply's off.
type offResult struct {
	Device  string       `json:"device"`
	Status  int          `json:"status"`
	Outcome live.Outcome `json:"outcome"`
}

func (s *server) off(w http.ResponseWriter, r *http.Request) error {
	who, err := asker(r)
	if err != nil {
		return err
	}
	body, err := readBody(w, r, maxOff, false)
	if err != nil {
		return err
	}
	names, err := parseOff(body)
	if err != nil {
		return bad("It cannot be read what is to be switched off: %v. Without a body it is all supplies.", err)
	}
	supplies, err := s.supplies(names)
	if err != nil {
		return err
	}
	results := make([]offResult, len(supplies))
	var all sync.WaitGroup
	for i, d := range supplies {
		if err := checkTarget(d.Name); err != nil {
			results[i] = noName(d.Name, err)
			continue
		}
		all.Go(func() {
			out, err := s.send(r.Context(), who, d.Name, wire.Command{Op: wire.Switch, Channel: wire.All(), Word: wire.Off})
			results[i] = s.offResult(r, d, out, err)
		})
	}
	all.Wait()
	return answerOff(w, results)
}

// supplies are those that are named, known or not: off is never kept from what
// may be there. Or else all that are known and may be one.
func (s *server) supplies(names []string) ([]live.Device, error) {
	var found []live.Device
	for _, name := range names {
		d, ok := s.cfg.Live.Device(name)
		if !ok {
			d = live.Device{Name: name}
		}
		found = append(found, d)
	}
	if found != nil {
		return found, nil
	}
	for _, d := range s.cfg.Live.Snapshot().Devices {
		if maybeSupply(d) {
			found = append(found, d)
		}
	}
	if len(found) == 0 {
		return nil, refuse(http.StatusNotFound, "no-supply", "Nothing was sent: no power supply has been heard since the gateway started. Has it a connection to the broker, and do the drivers run? What is named is sent to in any case.")
	}
	return found, nil
}

// maybeSupply reports whether a device is a power supply, or may be one: of
// what has not described itself its status tells, or its locks; when there is no
// more than a state it may be.
func maybeSupply(d live.Device) bool {
	switch {
	case d.Meta != nil:
		return d.Meta.Kind == wire.KindPSU
	case status(d) != nil:
		return status(d)[0] == '['
	case len(d.Locks) > 0:
		return true
	}
	return d.State != nil && d.Report == nil
}

// status is a device's last one, nil when there is none.
func status(d live.Device) json.RawMessage {
	if len(d.Status) == 0 || string(d.Status) == "null" {
		return nil
	}
	return d.Status
}

// noName is the result of what cannot be a device.
func noName(name string, err error) offResult {
	return offResult{wire.Echo(name), http.StatusBadRequest, live.Outcome{Phase: wire.Failed, Message: "Nothing was sent, since it cannot be a device: " + err.Error() + "."}}
}

func (s *server) offResult(r *http.Request, d live.Device, out live.Outcome, err error) offResult {
	var told *refusal
	switch {
	case err == nil:
		if out.Phase == live.PhaseUnanswered {
			out.Message = detail(out, targetOf(d), wire.Switch)
		}
		return offResult{d.Name, statusOf(out), out}
	case errors.As(err, &told):
		out.Phase, out.Message = wire.Failed, told.Detail
		return offResult{d.Name, told.Status, out}
	}
	s.cfg.Log.ErrorContext(r.Context(), "switching off has failed", "device", d.Name, "error", err)
	out.Phase, out.Message = live.PhaseUnanswered, "The gateway has failed at sending it."
	return offResult{d.Name, http.StatusGatewayTimeout, out}
}

// worst are the answers, from that of which least is known.
var worst = [...]int{http.StatusGatewayTimeout, http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusConflict, http.StatusBadRequest, http.StatusAccepted, http.StatusOK}

func answerOff(w http.ResponseWriter, results []offResult) error {
	status := http.StatusOK
	for _, s := range worst {
		if slices.ContainsFunc(results, func(r offResult) bool { return r.Status == s }) {
			status = s
			break
		}
	}
	if status < http.StatusBadRequest {
		return writeJSON(w, status, map[string]any{"results": results})
	}
	var texts []string
	for _, r := range results {
		if r.Status >= http.StatusBadRequest {
			said := r.Outcome.Message
			if said == "" {
				said = r.Outcome.Phase + " " + r.Outcome.Code
			}
			texts = append(texts, r.Device+": "+said)
		}
	}
	return &refusal{problem.Problem{
		Status: status, Slug: "not-off", Title: "Not all is off", More: map[string]any{"results": results},
		Detail: fmt.Sprintf("%d of %d supplies may not be off. %s", len(texts), len(results), strings.Join(texts, " ")),
	}}
}
