package main

import (
	"maps"
	"slices"

	"trackerdcs/drivers/sensor/dht"
	"trackerdcs/drivers/sensor/sine"
	"trackerdcs/pkg/sensor"
)

// instruments are the sensors that DCS_MODEL can name.
var instruments = map[string]sensor.Opener{
	"dht":  dht.Open,
	"sine": sine.Open,
}

func models() []string { return slices.Sorted(maps.Keys(instruments)) }
