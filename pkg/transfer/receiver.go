package transfer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"trackerdcs/pkg/disk"
	"trackerdcs/pkg/wire"
)

// againGap keeps a receiver that has found a hole from asking for the same place
// for each of the chunks that were already on their way.
const againGap = time.Second

// ReceiverOptions say where a Receiver keeps what comes.
type ReceiverOptions struct {
	Dir     string // a folder for each run is made in it
	Boot    string
	Reserve int64 // bytes of the disk that are left free
	Log     *slog.Logger
	Metrics *prometheus.Registry

	// Known says what is known of a run that is not in Dir: ResultsStored when it
	// is in the database, nothing when it is new, or an error, such as that the
	// number belongs to another run.
	Known func(run int64, uid string) (state string, err error)

	// Receipt sends a receipt to a device. It must only enqueue.
	Receipt func(device string, r wire.Receipt)

	// Received is called when all files of a run are on the disk.
	Received func(device string, m wire.Manifest)
}

// Receiver takes the results of runs and keeps them in folders:
//
//	<Dir>/<run>/manifest.json   what the driver said, and its name
//	<Dir>/<run>/files/<n>       file n of the manifest, as far as it has come
//	<Dir>/<run>/received        all files are there, and their sums are right
//
// It is for one goroutine.
type Receiver struct {
	o     ReceiverOptions
	open  map[int64]*incoming
	bytes prometheus.Counter
	bad   prometheus.Counter
	now   func() time.Time
}

// Offered is a manifest and who offers it.
type Offered struct {
	Device   string        `json:"device"`
	Manifest wire.Manifest `json:"manifest"`
}

// incoming is a run that is being received.
type incoming struct {
	Offered
	dir   string
	at    position // all before it is there
	file  *writing // the file at at.file, if it is open
	asked time.Time
	mark  position // the hole that was asked for
	all   bool
}

// NewReceiver makes a receiver; what a former one has left in Dir goes on.
func NewReceiver(o ReceiverOptions) *Receiver {
	r := &Receiver{
		o: o, open: make(map[int64]*incoming), now: time.Now,
		bytes: prometheus.NewCounter(prometheus.CounterOpts{Name: "dcs_results_received_bytes_total", Help: "Bytes of results written to disk."}),
		bad:   prometheus.NewCounter(prometheus.CounterOpts{Name: "dcs_chunks_refused_total", Help: "Chunks of results that were damaged, unknown or out of order."}),
	}
	if o.Metrics != nil {
		o.Metrics.MustRegister(r.bytes, r.bad)
	}
	return r
}

// Folder is where the results of a run are.
func (r *Receiver) Folder(run int64) string {
	return filepath.Join(r.o.Dir, strconv.FormatInt(run, 10))
}

// Path is where file i of a run is.
func (r *Receiver) Path(run int64, i int) string { return FilePath(r.Folder(run), i) }

// FilePath is where file i is in the folder of a run.
func FilePath(dir string, i int) string { return filepath.Join(dir, "files", strconv.Itoa(i)) }

// Load reads what stands in the folder of a run: what was offered, and whether
// all of it has come.
func Load(dir string) (o Offered, all bool, err error) {
	b, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		return o, false, err
	}
	if err := json.Unmarshal(b, &o); err != nil {
		return o, false, fmt.Errorf("reading the manifest in %s: %w", dir, err)
	}
	_, err = os.Stat(filepath.Join(dir, "received"))
	return o, err == nil, nil
}

// Manifest takes what a device offers and answers with how far it has come.
func (r *Receiver) Manifest(device string, payload []byte) {
	var m wire.Manifest
	if len(payload) > MaxManifest {
		r.o.Log.Warn("a manifest that is too long", "device", device, "bytes", len(payload))
		return
	}
	if err := json.Unmarshal(payload, &m); err != nil || m.Run < 1 {
		r.o.Log.Warn("a manifest that cannot be read", "device", device, "error", err)
		return
	}
	if err := CheckManifest(&m); err != nil {
		r.refuse(device, &m, err)
		return
	}
	in, err := r.find(m.Run)
	if err != nil {
		r.refuse(device, &m, err)
		return
	}
	if in == nil {
		if in, err = r.begin(device, m); err != nil {
			r.refuse(device, &m, err)
			return
		}
		if in == nil {
			r.o.Receipt(device, wire.Receipt{Run: m.Run, UID: m.UID, Boot: r.o.Boot, State: wire.ResultsStored})
			return
		}
	}
	if in.Manifest.UID != m.UID || in.Device != device {
		r.refuse(device, &m, fmt.Errorf("run %d is there already, from %s with uid %s: a number was used twice", m.Run, in.Device, in.Manifest.UID))
		return
	}
	if !in.all {
		in.asked = time.Time{}
		if err := r.advance(in); err != nil {
			r.refuse(device, &m, err)
			return
		}
	}
	r.tell(in, true)
}

// refuse says why nothing goes on. The device asks again.
func (r *Receiver) refuse(device string, m *wire.Manifest, err error) {
	r.o.Log.Error("results cannot be taken", "device", device, "run", m.Run, "error", err)
	r.o.Receipt(device, wire.Receipt{Run: m.Run, UID: m.UID, Boot: r.o.Boot, State: wire.ResultsReceiving, Error: err.Error()})
}

// find gives the run that is being received, after a restart from disk; nil if
// there is none.
func (r *Receiver) find(run int64) (*incoming, error) {
	if in := r.open[run]; in != nil {
		return in, nil
	}
	dir := r.Folder(run)
	o, all, err := Load(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	in := &incoming{Offered: o, dir: dir, all: all}
	if !all {
		if in.at, err = resume(dir, o.Manifest.Files); err != nil {
			return nil, err
		}
	} else {
		in.at = position{file: len(o.Manifest.Files)}
	}
	r.open[run] = in
	return in, nil
}

// begin makes the folder of a run; nil when the run is in the database.
func (r *Receiver) begin(device string, m wire.Manifest) (*incoming, error) {
	state, err := r.o.Known(m.Run, m.UID)
	if err != nil {
		return nil, err
	}
	if state == wire.ResultsStored {
		return nil, nil
	}
	var size int64
	for _, f := range m.Files {
		size += f.Size
	}
	dir := r.Folder(m.Run)
	if err := os.MkdirAll(filepath.Join(dir, "files"), 0o750); err != nil {
		return nil, err
	}
	if err := r.room(size); err != nil {
		return nil, err
	}
	in := &incoming{Offered: Offered{Device: device, Manifest: m}, dir: dir}
	b, err := json.Marshal(in.Offered)
	if err != nil {
		return nil, err
	}
	if err := disk.WriteFile(filepath.Join(dir, "manifest.json"), b, 0o640); err != nil {
		return nil, err
	}
	r.open[m.Run] = in
	r.o.Log.Info("results are coming", "device", device, "run", m.Run, "files", len(m.Files), "bytes", size)
	return in, nil
}

// room reports whether the disk has room for so many bytes.
func (r *Receiver) room(size int64) error {
	free, err := disk.Free(r.o.Dir)
	if err != nil {
		return fmt.Errorf("asking how much room there is: %w", err)
	}
	if free-size < r.o.Reserve {
		return fmt.Errorf("no room on the disk: %d bytes are free, %d are to come and %d are kept free", free, size, r.o.Reserve)
	}
	return nil
}

// Chunk takes a piece of a file.
func (r *Receiver) Chunk(device string, run int64, file int, chunk int64, payload []byte) {
	in, err := r.find(run)
	if err != nil || in == nil || in.Device != device {
		r.bad.Inc() // the device says its manifest when it hears nothing
		return
	}
	p := position{file: file, chunk: chunk}
	switch {
	case in.all || p.before(in.at):
		return // it was sent twice
	case p != in.at:
		r.bad.Inc()
		r.again(in)
		return
	}
	data, err := unseal(payload)
	if err == nil {
		err = r.write(in, data)
	}
	if err != nil {
		r.bad.Inc()
		r.o.Log.Warn("a chunk cannot be taken", "device", device, "run", run, "file", file, "chunk", chunk, "error", err)
		if !errors.Is(err, errDamaged) { // what the file holds now is not known
			in.drop()
			if at, err2 := resume(in.dir, in.Manifest.Files); err2 == nil {
				in.at = at
			}
		}
		r.tellError(in, err)
		return
	}
	r.bytes.Add(float64(len(data)))
	in.at.chunk++
	if err := r.advance(in); err != nil {
		r.tellError(in, err)
		return
	}
	r.tell(in, false)
}

// write appends the next chunk's data to its file.
func (r *Receiver) write(in *incoming, data []byte) error {
	f := in.Manifest.Files[in.at.file]
	if want := min(wire.ChunkSize, f.Size-in.at.chunk*wire.ChunkSize); int64(len(data)) != want {
		return fmt.Errorf("%w: %d bytes of data, not %d", errDamaged, len(data), want)
	}
	if in.file == nil {
		w, err := openWriting(FilePath(in.dir, in.at.file), in.at.chunk*wire.ChunkSize)
		if err != nil {
			return err
		}
		in.file = w
	}
	return in.file.write(data)
}

// advance closes what is complete and goes on to the next file that needs a
// chunk. A file whose sum is wrong begins anew.
func (r *Receiver) advance(in *incoming) error {
	files := in.Manifest.Files
	for !in.all {
		if in.at.file == len(files) {
			if err := disk.WriteFile(filepath.Join(in.dir, "received"), nil, 0o640); err != nil {
				return err
			}
			in.all = true
			r.o.Log.Info("results are received", "device", in.Device, "run", in.Manifest.Run)
			r.o.Received(in.Device, in.Manifest)
			return nil
		}
		f := files[in.at.file]
		if in.at.chunk < chunks(f.Size) {
			return nil
		}
		if in.file == nil {
			w, err := openWriting(FilePath(in.dir, in.at.file), f.Size)
			if err != nil {
				return err
			}
			in.file = w
		}
		sum, err := in.file.finish()
		in.file = nil
		if err != nil {
			in.at = position{file: in.at.file}
			return err
		}
		if sum != f.SHA256 {
			in.at = position{file: in.at.file}
			if err := os.Truncate(FilePath(in.dir, in.at.file), 0); err != nil {
				return err
			}
			if f.Size == 0 {
				return fmt.Errorf("file %s: an empty file cannot have the SHA-256 %s", f.Name, f.SHA256)
			}
			return fmt.Errorf("file %s: its SHA-256 is %s, not %s: it is taken anew", f.Name, sum, f.SHA256)
		}
		in.at = position{file: in.at.file + 1}
	}
	return nil
}

// tell sends a receipt.
func (r *Receiver) tell(in *incoming, again bool) {
	state := wire.ResultsReceiving
	if in.all {
		state = wire.ResultsReceived
	}
	re := wire.Receipt{Run: in.Manifest.Run, UID: in.Manifest.UID, Boot: r.o.Boot, State: state, File: in.at.file, Chunk: in.at.chunk}
	if again && !in.all {
		re.Again = wire.Yes
	}
	r.o.Receipt(in.Device, re)
}

// tellError asks for a damaged chunk once more, and says what else is wrong.
func (r *Receiver) tellError(in *incoming, err error) {
	if errors.Is(err, errDamaged) {
		r.again(in)
		return
	}
	r.o.Receipt(in.Device, wire.Receipt{
		Run: in.Manifest.Run, UID: in.Manifest.UID, Boot: r.o.Boot, State: wire.ResultsReceiving,
		File: in.at.file, Chunk: in.at.chunk, Error: err.Error(),
	})
}

// again asks for the chunks from the first that is missing on, but not for each
// of those that were on their way behind it.
func (r *Receiver) again(in *incoming) {
	now := r.now()
	if in.mark == in.at && now.Sub(in.asked) < againGap {
		return
	}
	in.mark, in.asked = in.at, now
	r.tell(in, true)
}

// Forget removes a run that is in the database, and tells its device.
func (r *Receiver) Forget(run int64) error {
	in, err := r.find(run)
	if err != nil {
		return err
	}
	if in != nil {
		in.drop()
		r.o.Receipt(in.Device, wire.Receipt{Run: run, UID: in.Manifest.UID, Boot: r.o.Boot, State: wire.ResultsStored})
	}
	delete(r.open, run)
	return os.RemoveAll(r.Folder(run))
}

// Close closes the files that are being written.
func (r *Receiver) Close() {
	for _, in := range r.open {
		in.drop()
	}
}

func (in *incoming) drop() {
	if in.file != nil {
		in.file.close()
		in.file = nil
	}
}
