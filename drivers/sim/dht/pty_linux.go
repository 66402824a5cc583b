package dht

import (
	"os"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// terminal is the board's end of a pseudo-terminal.
type terminal struct{ master *os.File }

// room is how long a write waits for a reader to make room.
const room = 100 * time.Millisecond

// openTerminal returns a terminal in raw mode, without echo, and the path of
// the end that a driver opens.
func openTerminal() (*terminal, string, error) {
	master, slave, err := pty.Open()
	if err != nil {
		return nil, "", err
	}
	// The driver's end is closed at once: while nobody has it open, the master
	// reports a hang-up, and what is printed then is dropped and not kept for later.
	defer slave.Close()
	defer master.Close()
	if err := raw(slave); err != nil {
		return nil, "", err
	}
	polled, err := polled(master)
	if err != nil {
		return nil, "", err
	}
	return &terminal{polled}, slave.Name(), nil
}

// polled returns the same file without blocking: a write that finds no room obeys
// a deadline then, and ends when the file is closed.
func polled(f *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	// The order counts: Fd has just made the file blocking, for its duplicate too.
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

// raw is cfmakeraw(3). It holds as long as the master is open.
func raw(f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failure error
	err = conn.Control(func(fd uintptr) {
		mode, err := unix.IoctlGetTermios(int(fd), unix.TCGETS)
		if err != nil {
			failure = err
			return
		}
		mode.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
		mode.Oflag &^= unix.OPOST
		mode.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
		mode.Cflag = mode.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
		mode.Cc[unix.VMIN], mode.Cc[unix.VTIME] = 1, 0
		failure = unix.IoctlSetTermios(int(fd), unix.TCSETS, mode)
	})
	if err != nil {
		return err
	}
	return failure
}

// write prints if somebody has the other end open.
func (t *terminal) write(out []byte) error {
	open, err := t.opened()
	if err != nil || !open {
		return err
	}
	if err := t.master.SetWriteDeadline(time.Now().Add(room)); err != nil {
		return err
	}
	_, err = t.master.Write(out)
	return err
}

func (t *terminal) opened() (open bool, err error) {
	conn, err := t.master.SyscallConn()
	if err != nil {
		return false, err
	}
	var failure error
	err = conn.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
		if _, err := unix.Poll(fds, 0); err != nil && err != unix.EINTR {
			failure = err
		}
		open = fds[0].Revents&unix.POLLHUP == 0
	})
	if err != nil {
		return false, err
	}
	return open, failure
}

func (t *terminal) Close() error { return t.master.Close() }
