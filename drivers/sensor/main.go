// Command sensor drives one sensor, gauge or chiller that only measures.
package main

import "trackerdcs/pkg/service"

func main() {
	service.Main("sensor", "drives one sensor.", run)
}
