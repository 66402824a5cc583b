// Gateway is the only door: TLS, login, the operators' console and its API,
// and behind the same login Grafana and Node-RED.
package main

import "trackerdcs/pkg/service"

func main() {
	service.Main("gateway", "the one door: login, console, API, Grafana and Node-RED over TLS", run)
}
