// Command calibration is the sink of calibration runs: it keeps their records,
// their results and what all devices measured meanwhile in MongoDB.
package main

import "trackerdcs/pkg/service"

func main() {
	service.Main("calibration", "keeps calibration runs in MongoDB.", run)
}
