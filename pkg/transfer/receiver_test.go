package transfer

import (
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/wire"
	"trackerdcs/services/broker/brokertest"
)

// desk is a receiver without a bus, and what it has said.
type desk struct {
	*Receiver
	t        *testing.T
	said     []wire.Receipt
	received int
}

func newDesk(t *testing.T, o ReceiverOptions) *desk {
	d := &desk{t: t}
	if o.Dir == "" {
		o.Dir = filepath.Join(t.TempDir(), "runs")
	}
	o.Boot, o.Log = "b", slog.New(slog.NewTextHandler(t.Output(), nil))
	o.Known = func(int64, string) (string, error) { return "", nil }
	o.Receipt = func(_ string, r wire.Receipt) { d.said = append(d.said, r) }
	o.Received = func(string, wire.Manifest) { d.received++ }
	d.Receiver = NewReceiver(o)
	t.Cleanup(d.Close)
	return d
}

// offer says a manifest and gives the answer.
func (d *desk) offer(o Offer) wire.Receipt {
	d.t.Helper()
	n := len(d.said)
	d.ManifestOf("ph2acf", o.Manifest.Run, wire.Encode(o.Manifest))
	require.Len(d.t, d.said, n+1, "a manifest is answered once")
	return d.said[n]
}

// send gives n chunks of a file, from number first on.
func (d *desk) send(o Offer, file int, first, n int64) {
	d.t.Helper()
	f, err := o.Open(file)
	require.NoError(d.t, err)
	defer f.Close() //nolint:errcheck // it was only read
	for c := first; c < first+n; c++ {
		b := make([]byte, wire.ChunkSum+wire.ChunkSize)
		size, err := f.ReadAt(b[wire.ChunkSum:], c*wire.ChunkSize)
		if err != nil {
			require.ErrorIs(d.t, err, io.EOF)
		}
		b = b[:wire.ChunkSum+size]
		seal(b)
		d.Chunk("ph2acf", o.Manifest.Run, file, c, b)
	}
}

func (d *desk) last() wire.Receipt { return d.said[len(d.said)-1] }

// restart is what a new process finds.
func (d *desk) restart() *desk {
	d.Close()
	return newDesk(d.t, ReceiverOptions{Dir: d.o.Dir, Reserve: d.o.Reserve})
}

// The driver was restarted and has written its manifest once more: a file has
// grown meanwhile.
func TestManifestThatChangesBeginsAnew(t *testing.T) {
	for _, restarted := range []bool{false, true} {
		d := newDesk(t, ReceiverOptions{})
		first, second := results(t, 1, 10, 2*wire.ChunkSize, 38), results(t, 1, 10, 7)
		second.Manifest.Files[0].Name = "another.bin" // its content is the same
		open := second.Open
		second.Open = func(i int) (File, error) {
			if i == 0 {
				return first.Open(0)
			}
			return open(i)
		}
		d.offer(first)
		d.send(first, 0, 0, 1)
		d.send(first, 1, 0, 1)
		if restarted {
			d = d.restart()
		}
		r := d.offer(second)
		assert.Equal(t, wire.Receipt{Run: 1, UID: "uid1", Boot: "b", State: wire.ResultsReceiving, Again: wire.Yes}, r)
		o, all, err := Load(d.Folder(1))
		require.NoError(t, err)
		assert.False(t, all)
		assert.Equal(t, second.Manifest.Files, o.Manifest.Files)
		d.send(second, 0, 0, 1)
		d.send(second, 1, 0, 1)
		assert.Equal(t, wire.ResultsReceived, d.last().State)
		assert.Equal(t, 1, d.received)
	}
}

func TestManifestThatChangesAfterTheEndIsRefused(t *testing.T) {
	d := newDesk(t, ReceiverOptions{})
	first, second := results(t, 1, 10), results(t, 1, 11)
	d.offer(first)
	d.send(first, 0, 0, 1)
	require.Equal(t, wire.ResultsReceived, d.last().State)
	assert.Contains(t, d.offer(second).Error, "run 1 is received already, with other files")
	assert.Equal(t, wire.ResultsReceived, d.offer(first).State, "what is there is kept")
}

func TestNoRoomLeavesNothingBehind(t *testing.T) {
	d := newDesk(t, ReceiverOptions{Reserve: math.MaxInt64 / 2})
	assert.Contains(t, d.offer(results(t, 1, 10)).Error, "no room on the disk")
	entries, err := os.ReadDir(d.o.Dir)
	require.NoError(t, err)
	assert.Empty(t, entries)
}

// Run control's record may be there already: it stays.
func TestFolderThatCannotBeMadeIsTakenAway(t *testing.T) {
	d := newDesk(t, ReceiverOptions{})
	for name, others := range map[string][]string{"nothing else": nil, "a record": {"record.json"}} {
		t.Run(name, func(t *testing.T) {
			// A folder that is not empty is where the manifest is to be written.
			block := filepath.Join(d.Folder(1), "manifest.json.new", "x")
			require.NoError(t, os.MkdirAll(block, 0o750))
			for _, other := range others {
				require.NoError(t, os.WriteFile(filepath.Join(d.Folder(1), other), nil, 0o600))
			}
			assert.NotEmpty(t, d.offer(results(t, 1, 10)).Error)
			assert.NoDirExists(t, filepath.Join(d.Folder(1), "files"))
			require.NoError(t, os.RemoveAll(filepath.Dir(block)))
			for _, other := range others {
				assert.FileExists(t, filepath.Join(d.Folder(1), other))
			}
			assert.Equal(t, wire.ResultsReceiving, d.offer(results(t, 1, 10)).State)
			require.NoError(t, d.Forget(1))
		})
	}
}

// A manifest is answered, whatever it is: its topic says which run is meant.
func TestManifestThatCannotBeReadIsRefused(t *testing.T) {
	d := newDesk(t, ReceiverOptions{})
	for payload, want := range map[string]string{
		strings.Repeat(" ", MaxManifest+1):       "a manifest of 1048577 bytes: at most 1048576 are taken",
		`{"run":`:                                "cannot be read",
		`{"run":8,"uid":"u","state":"finished"}`: "the manifest of run 8 came on the topic of run 7",
		`{"run":7,"uid":"` + strings.Repeat("u", wire.MaxID+1) + `","state":"finished"}`: "no uid, or one that is too long",
	} {
		d.ManifestOf("ph2acf", 7, []byte(payload))
		assert.EqualValues(t, 7, d.last().Run)
		assert.Contains(t, d.last().Error, want)
		assert.LessOrEqual(t, len(d.last().UID), wire.MaxID)
	}
	assert.Len(t, d.said, 4)
}

// A device that ends a run's chunks beyond its files does no harm.
func TestChunkBehindAllFiles(t *testing.T) {
	d := newDesk(t, ReceiverOptions{})
	o := results(t, 1, 10)
	d.offer(o)
	require.NoError(t, os.MkdirAll(filepath.Join(d.Folder(1), "received.new", "x"), 0o750)) // the end cannot be written down
	d.send(o, 0, 0, 1)
	require.NotEmpty(t, d.last().Error)
	d.Chunk("ph2acf", 1, 1, 0, []byte("\x00\x00\x00\x00"))
	require.NoError(t, os.RemoveAll(filepath.Join(d.Folder(1), "received.new")))
	assert.Equal(t, wire.ResultsReceived, d.offer(o).State)
}

func TestDamagedFileIsTakenAnew(t *testing.T) {
	for _, restarted := range []bool{false, true} {
		d := newDesk(t, ReceiverOptions{})
		o := results(t, 1, 0, 10, wire.ChunkSize+1, 0, 20)
		require.ErrorContains(t, d.Damaged(1, 0), "is not received")
		d.offer(o)
		require.ErrorContains(t, d.Damaged(1, 0), "is not received")
		all := func() {
			d.send(o, 1, 0, 1)
			d.send(o, 2, 0, 2)
			d.send(o, 4, 0, 1)
			assert.Equal(t, wire.ResultsReceived, d.last().State)
		}
		all()
		require.ErrorContains(t, d.Damaged(1, 5), "has no file 5")
		require.ErrorContains(t, d.Damaged(1, -1), "has no file -1")
		require.NoError(t, os.Remove(d.Path(1, 2)))
		require.NoError(t, d.Damaged(1, 2))
		want := wire.Receipt{Run: 1, UID: "uid1", Boot: "b", State: wire.ResultsReceiving, File: 2, Again: wire.Yes}
		assert.Equal(t, want, d.last())
		_, received, err := Load(d.Folder(1))
		require.NoError(t, err)
		assert.False(t, received)
		if restarted {
			d = d.restart()
			assert.Equal(t, want, d.offer(o), "the files before it are whole")
		}
		d.received = 0
		d.send(o, 2, 0, 2)
		d.send(o, 4, 0, 1)
		assert.Equal(t, wire.ResultsReceived, d.last().State)
		assert.Equal(t, 1, d.received)
		for i := range o.Manifest.Files { // each can be the one
			require.NoError(t, d.Damaged(1, i))
			d.offer(o)
			all()
		}
	}
}

// The sink finds a damaged file in a run that its driver has parked.
func TestParkedRunIsSentAgain(t *testing.T) {
	url := brokertest.Start(t)
	o, other := results(t, 1, 10, 12*wire.ChunkSize), results(t, 2, 10)
	s := newSink(t, url)
	s.start()
	p := usualPauses()
	p.parked, p.parkedMost = time.Hour, time.Hour
	sender, _ := sendPausing(t, url, p, nil, o, other)
	require.Eventually(t, s.has(other), patience, time.Millisecond)
	s.mu.Lock()
	delete(s.received, 1)
	s.mu.Unlock()
	s.calls <- func(r *Receiver) {
		assert.NoError(t, os.WriteFile(r.Path(1, 0), []byte("spoilt"), 0o600))
		assert.NoError(t, r.Damaged(1, 0))
	}
	require.Eventually(t, s.has(o), patience, time.Millisecond)
	s.right(o)
	assert.Equal(t, 2, sender.Waiting())
}
