package output

import (
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A reader that comes to it after the deadline loses nothing of what was printed
// in time, whether the pipe is closed or somebody keeps it open.
func TestPipeAfterItsDeadline(t *testing.T) {
	for name, closed := range map[string]bool{"closed": true, "kept open": false} {
		t.Run(name, func(t *testing.T) {
			r, w, err := os.Pipe()
			require.NoError(t, err)
			defer r.Close()
			defer w.Close()
			text := strings.Repeat("a line\n", 1000)
			_, err = io.WriteString(w, text)
			require.NoError(t, err)
			if closed {
				require.NoError(t, w.Close())
			}
			require.NoError(t, r.SetReadDeadline(time.Now().Add(-time.Second)))
			p := newOutput(t, Options{})
			err = p.Read(&Pipe{File: r}, Out)
			if closed {
				assert.NoError(t, err)
			} else {
				assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
			}
			assert.Len(t, texts(t, p), 1000)
		})
	}
}

// Who prints for ever is not read for ever.
func TestPipeThatIsNeverEmpty(t *testing.T) {
	zero, err := os.Open("/dev/zero")
	require.NoError(t, err)
	defer zero.Close()
	n, err := io.Copy(io.Discard, struct{ io.Reader }{&Pipe{File: zero, past: true}})
	assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
	assert.EqualValues(t, maxRest, n)
}
