//go:build unix

package main

import (
	"os"
	"os/exec"
	"syscall"
)

// crash dies of a segmentation fault, without a core file. In a Go program the
// runtime would turn the signal into a panic and an exit code, so another
// program takes the place of this one first.
func crash() {
	_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})
	_ = syscall.Exec("/bin/sh", []string{"sh", "-c", "kill -SEGV $$"}, nil)
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // there is no shell
	select {}
}

func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }
