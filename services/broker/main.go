// Command broker is an MQTT broker for tests, the demonstrator and clusters.
package main

import "trackerdcs/pkg/service"

func main() {
	service.Main("broker", "is an MQTT 3.1.1 broker: a NATS server that keeps sessions and retained messages on disk.", run)
}
