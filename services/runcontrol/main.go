// Runcontrol owns the numbers and the life of runs: it takes their commands,
// brings supplies to what a run needs, has a driver execute it, and waits until
// its results are kept.
package main

import "trackerdcs/pkg/service"

func main() {
	service.Main("runcontrol", "numbers runs and leads them through their life", run)
}
