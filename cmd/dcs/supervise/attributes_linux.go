package supervise

import "syscall"

// processAttributes puts a part into a process group of its own, so that a
// Ctrl-C at the terminal reaches the supervisor alone, and has the kernel kill
// it when the supervisor is killed.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
