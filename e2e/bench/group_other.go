//go:build unix && !linux

package main

import "syscall"

// ownGroup puts a child into a group of its own.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
