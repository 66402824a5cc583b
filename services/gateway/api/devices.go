package api

import (
	"net/http"
	"strings"

	"trackerdcs/pkg/wire"
	"trackerdcs/services/gateway/live"
)

func (s *server) devices(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, http.StatusOK, s.cfg.Live.Snapshot())
}

func (s *server) device(w http.ResponseWriter, r *http.Request) error {
	d, err := s.known(r.PathValue("device"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, d)
}

func (s *server) stream(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Type", "text/event-stream")
		return // it would have no end, and nobody would see it
	}
	s.cfg.Live.ServeStream(w, r)
}

// known is what is known of a device, or an error that names those that are known.
func (s *server) known(name string) (live.Device, error) {
	d, ok := s.cfg.Live.Device(name)
	if ok {
		return d, nil
	}
	return d, s.unknown(name)
}

// maxNames is how many devices an error names.
const maxNames = 50

func (s *server) unknown(name string) error {
	var heard []string
	for _, d := range s.cfg.Live.Snapshot().Devices {
		heard = append(heard, d.Name)
	}
	text := "No device has been heard yet"
	if len(heard) > 0 {
		text = "There are " + strings.Join(heard[:min(len(heard), maxNames)], ", ")
	}
	if len(heard) > maxNames {
		text += " and others"
	}
	return refuse(http.StatusNotFound, "no-such-device", "Nothing has been heard of %s since the gateway started. %s.", wire.Echo(name), text)
}
