package proxy

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/accounts"
	"trackerdcs/services/gateway/door"
)

const shown = "open-sesame"

// Node-RED knows the gateway by the secret, whatever a browser sends.
func TestNodeREDIsShownTheSecret(t *testing.T) {
	s := newStand(t, nil)
	g := newGate(t, Config{Grafana: s.url(), NodeRED: s.url(), NodeREDSecret: shown})
	g.as(accounts.Expert, door.BySession)
	outside := [][]string{
		nil,
		{"X-DCS-Gateway", "evil"},
		{"X-Dcs-Gateway", "evil", "X-Dcs-Gateway", "more"},
		{"X_DCS_Gateway", "evil"},
		{"Connection", "X-Dcs-Gateway"}, // would have it taken out on the way
	}
	for _, pairs := range outside {
		for _, path := range []string{"/nodered/flows", "/nodered/dashboard/power"} {
			res, _ := g.do(t, http.MethodGet, path, header(pairs...))
			require.Equal(t, http.StatusOK, res.StatusCode)
			assert.Equal(t, []string{shown}, s.last().Header[secretHeader], "%s with %q", path, pairs)
			for name, values := range s.last().Header {
				assert.NotContains(t, values, "evil", name)
			}
		}
	}
	for _, path := range []string{"/nodered/comms", "/nodered/dashboard/socket.io/?EIO=4&transport=websocket"} {
		res, socket := g.upgrade(t, http.MethodGet, path, header("X-Dcs-Gateway", "evil"))
		require.Equal(t, http.StatusSwitchingProtocols, res.StatusCode)
		assert.Equal(t, []string{shown}, s.last().Header[secretHeader], path)
		assert.Empty(t, res.Header[secretHeader])
		socket.Close()
	}
}

func TestOthersAreNotShownTheSecret(t *testing.T) {
	s := newStand(t, nil)
	secret := newGate(t, Config{Grafana: s.url(), NodeRED: s.url(), NodeREDSecret: shown})
	none := newGate(t, Config{Grafana: s.url(), NodeRED: s.url()})
	for _, c := range []struct {
		gate         *gate
		path, socket string
	}{
		{secret, "/grafana/", "/grafana/api/live/ws"},
		{none, "/grafana/", "/grafana/api/live/ws"},
		{none, "/nodered/", "/nodered/comms"}, // no secret is set
	} {
		c.gate.as(accounts.Admin, door.BySession)
		res, _ := c.gate.do(t, http.MethodGet, c.path, header("X-Dcs-Gateway", "evil"))
		require.Equal(t, http.StatusOK, res.StatusCode)
		assert.Empty(t, s.last().Header[secretHeader], c.path)
		res, socket := c.gate.upgrade(t, http.MethodGet, c.socket, header("X-Dcs-Gateway", "evil"))
		require.Equal(t, http.StatusSwitchingProtocols, res.StatusCode)
		assert.Empty(t, s.last().Header[secretHeader], c.socket)
		socket.Close()
	}
}

// A part that sends its request's headers back, refused or not, tells nobody.
func TestTheSecretStaysInside(t *testing.T) {
	s := newStand(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header()[secretHeader] = r.Header[secretHeader]
		w.Header()["x-dcs-gateway"] = r.Header[secretHeader]
		w.WriteHeader(http.StatusForbidden)
	})
	g := newGate(t, Config{NodeRED: s.url(), NodeREDSecret: shown})
	g.as(accounts.Expert, door.BySession)
	res, _ := g.do(t, http.MethodGet, "/nodered/flows", nil)
	assert.Equal(t, http.StatusForbidden, res.StatusCode)
	for name, values := range res.Header {
		assert.NotContains(t, values, shown, name)
	}
	res, _ = g.upgrade(t, http.MethodGet, "/nodered/comms", nil)
	assert.Equal(t, http.StatusForbidden, res.StatusCode)
	assert.Empty(t, res.Header[secretHeader])
	require.Equal(t, []string{shown}, s.last().Header[secretHeader])
	s.Close()
	res, body := g.do(t, http.MethodGet, "/nodered/flows", browser)
	assert.Equal(t, http.StatusBadGateway, res.StatusCode)
	assert.NotContains(t, body, shown, "away")
}
