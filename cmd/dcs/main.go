// Command dcs is the stack's command line.
package main

import "os"

func main() { os.Exit(run(os.Args[1:])) }
