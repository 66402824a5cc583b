// Loader writes what the bus says into InfluxDB: the statuses of all devices,
// live and replayed, acks, states, and the measurements of foreign sensors.
package main

import "trackerdcs/pkg/service"

func main() {
	service.Main("loader", "writes statuses, acks and states into InfluxDB", run)
}
