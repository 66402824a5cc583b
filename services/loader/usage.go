package main

import (
	"bytes"
	"os"
	"strconv"
)

// resident is how much memory the process has, in bytes, where the kernel says so:
// the second word of proc(5)'s statm, in pages.
func resident() (int64, bool) {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, false
	}
	words := bytes.Fields(b)
	if len(words) < 2 {
		return 0, false
	}
	pages, err := strconv.ParseInt(string(words[1]), 10, 64)
	return pages * int64(os.Getpagesize()), err == nil
}
