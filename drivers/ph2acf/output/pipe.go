package output

import (
	"errors"
	"io"
	"os"
	"syscall"
	"time"
)

// maxRest is more than a pipe holds.
const maxRest = 1 << 20

// Pipe is a pipe that is read to its end or, where somebody keeps it open, to
// its deadline: what is in it by then is read too, as it may have been the
// reader that had no time.
type Pipe struct {
	*os.File
	past bool // the deadline
	rest int  // bytes read since
}

func (p *Pipe) Read(b []byte) (int, error) {
	if !p.past {
		n, err := p.File.Read(b)
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		p.past = true
		_ = p.SetReadDeadline(time.Time{}) // what follows does not wait
	}
	n, err := p.now(b[:min(len(b), maxRest-p.rest)])
	p.rest += n
	return n, err
}

// now reads what is there.
func (p *Pipe) now(b []byte) (n int, err error) {
	raw, err := p.SyscallConn()
	if err != nil {
		return 0, err
	}
	failed := raw.Read(func(fd uintptr) bool {
		n, err = syscall.Read(int(fd), b)
		return true
	})
	switch {
	case failed != nil:
		return 0, failed
	case len(b) == 0 || errors.Is(err, syscall.EAGAIN):
		return 0, os.ErrDeadlineExceeded
	case err != nil:
		return 0, err
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}
