//go:build !unix

package main

import "os"

// terminalSize says that there is no terminal: output is plain lines.
func terminalSize(*os.File) (width, height int, ok bool) { return 0, 0, false }
