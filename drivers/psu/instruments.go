package main

import (
	"maps"
	"slices"

	"trackerdcs/drivers/psu/hmp4040"
	"trackerdcs/drivers/psu/iseg"
	"trackerdcs/pkg/psu"
)

// instruments are the supplies that DCS_MODEL can name.
var instruments = map[string]psu.Opener{
	"hmp4040": hmp4040.Open,
	"iseg":    iseg.Open,
}

func models() []string { return slices.Sorted(maps.Keys(instruments)) }
