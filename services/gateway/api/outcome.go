package api

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"trackerdcs/pkg/wire"
	"trackerdcs/services/gateway/live"
	"trackerdcs/services/gateway/problem"
)

// statusOf is the HTTP status of what a command has come to.
func statusOf(o live.Outcome) int {
	switch o.Phase {
	case wire.Done:
		return http.StatusOK
	case wire.Accepted:
		if o.Code == string(wire.Dry) {
			return http.StatusOK
		}
		return http.StatusAccepted
	case wire.Rejected, wire.Superseded:
		return http.StatusConflict
	case wire.Failed:
		return http.StatusBadGateway
	}
	return http.StatusGatewayTimeout
}

// answerOutcome says what a command has come to.
func answerOutcome(w http.ResponseWriter, o live.Outcome, to target, op string) error {
	status := statusOf(o)
	if status < http.StatusBadRequest {
		return writeJSON(w, status, o)
	}
	more := map[string]any{"id": o.ID, "phase": o.Phase, "code": o.Code, "closest": o.Closest}
	if o.Ack != nil {
		more["ack"] = o.Ack
	}
	return &refusal{problem.Problem{Status: status, Slug: slug(o), Title: title(o), Detail: detail(o, to, op), More: more}}
}

// target is whom a command went to.
type target struct {
	name  string
	state *wire.State
	meta  *wire.Meta
	// unheard is a device of which nothing has been heard.
	unheard bool
}

func targetOf(d live.Device) target {
	return target{d.Name, d.State, d.Meta, d.State == nil && d.Meta == nil && status(d) == nil}
}

func (t target) unit(op string) string {
	if t.meta == nil {
		return ""
	}
	return t.meta.Commands[op].Unit
}

// slug is what the type of a problem ends in: the code where it says more than
// that there is none.
func slug(o live.Outcome) string {
	if o.Code == "" || o.Code == string(wire.OK) {
		return o.Phase
	}
	return strings.ToLower(strings.ReplaceAll(o.Code, "_", "-"))
}

// title is the same for each type.
func title(o live.Outcome) string {
	s := strings.ReplaceAll(slug(o), "-", " ")
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// detail is what is wrong, in the driver's words, and what can be done.
func detail(o live.Outcome, to target, op string) string {
	if o.Phase == live.PhaseUnanswered {
		s := to.name + " has not answered: what became of the command is not known. Look at what it reads back before you send it again."
		if to.unheard {
			s += " Nothing has been heard of it since the gateway started: is that its name, and does its driver run?"
		}
		if st := to.state; st != nil && st.State != wire.Ready {
			s += " Its state is " + st.State
			if st.Error != "" {
				s += " (" + st.Error + ")"
			}
			s += "."
		}
		return s
	}
	s := o.Message
	if s == "" {
		s = fmt.Sprintf("%s says: %s %s.", to.name, o.Phase, o.Code)
	}
	if o.Code == string(wire.OutOfRange) && o.Closest != nil {
		s = strings.TrimSuffix(s, ".") + ". The closest valid value is " + strconv.FormatFloat(*o.Closest, 'g', -1, 64)
		if unit := to.unit(op); unit != "" {
			s += " " + unit
		}
		s += "."
	}
	return s
}
