// Command ph2acf executes the procedures of a file, calibrations for instance,
// and keeps their results until they are stored.
package main

import (
	"trackerdcs/drivers/ph2acf/warden"
	"trackerdcs/pkg/service"
)

func main() {
	warden.Main() // returns, unless this process was started to watch over a program
	service.Main("ph2acf", "executes calibration runs.", run)
}
