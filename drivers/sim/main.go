// Command sim is a simulated instrument: it speaks the real one's protocol from
// the other side of the wire, with physics behind it.
package main

import "trackerdcs/pkg/service"

func main() {
	service.Main("sim", "is a simulated instrument: a high- or low-voltage supply or a DHT sensor, for tests and the demonstrator.", run)
}
