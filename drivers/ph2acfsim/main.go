// Command ph2acfsim stands in for PH2ACF, the program with which modules of
// the CMS tracker are calibrated.
package main

import "os"

func main() { os.Exit(start(os.Args[1:], os.Stdout, os.Stderr)) }
