package transfer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
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

// Manifest is ManifestOf for a caller that does not know the run from the topic:
// what cannot be read is not answered.
func (r *Receiver) Manifest(device string, payload []byte) { r.ManifestOf(device, 0, payload) }

// ManifestOf takes what a device offers of the run that its topic names, and
// answers with how far it has come, or why it cannot be taken.
func (r *Receiver) ManifestOf(device string, run int64, payload []byte) {
	var m wire.Manifest
	err := readManifest(run, payload, &m)
	if err == nil {
		err = r.accept(device, m)
	}
	if err == nil {
		return
	}
	if run == 0 {
		run = m.Run
	}
	r.o.Log.Error("results cannot be taken", "device", device, "run", run, "error", err)
	if run < 1 {
		return // there is nothing to be answered about
	}
	refusal := wire.Receipt{Run: run, Boot: r.o.Boot, State: wire.ResultsReceiving, Error: err.Error()}
	if len(m.UID) <= wire.MaxID {
		refusal.UID = m.UID
	}
	r.o.Receipt(device, refusal)
}

// readManifest reads and checks a manifest that came on the topic of a run.
func readManifest(run int64, payload []byte, m *wire.Manifest) error {
	if len(payload) > MaxManifest {
		return fmt.Errorf("a manifest of %d bytes: at most %d are taken", len(payload), MaxManifest)
	}
	if err := json.Unmarshal(payload, m); err != nil {
		return fmt.Errorf("a manifest that cannot be read: %w", err)
	}
	if run != 0 && m.Run != run {
		return fmt.Errorf("the manifest of run %d came on the topic of run %d", m.Run, run)
	}
	return CheckManifest(m)
}

// accept takes a manifest that is as it should be.
func (r *Receiver) accept(device string, m wire.Manifest) error {
	in, err := r.find(m.Run)
	if err != nil {
		return err
	}
	if in == nil {
		if in, err = r.begin(device, m); err != nil {
			return err
		}
		if in == nil {
			r.o.Receipt(device, wire.Receipt{Run: m.Run, UID: m.UID, Boot: r.o.Boot, State: wire.ResultsStored})
			return nil
		}
	}
	if in.Manifest.UID != m.UID || in.Device != device {
		return fmt.Errorf("run %d is there already, from %s with uid %s: a number was used twice", m.Run, in.Device, in.Manifest.UID)
	}
	if !slices.Equal(in.Manifest.Files, m.Files) {
		if in.all {
			return fmt.Errorf("run %d is received already, with other files than those of this manifest: what was received first is kept", m.Run)
		}
		if err := r.replace(in, m); err != nil {
			return err
		}
	}
	if !in.all {
		in.asked = time.Time{}
		if err := r.advance(in); err != nil {
			return err
		}
	}
	r.tell(in, true)
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
	case p != in.at || file >= len(in.Manifest.Files):
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

// Damaged takes a received run back of which a file was lost on the disk, or is
// not what it was. That file and those behind it are removed, and the device is
// asked for them.
func (r *Receiver) Damaged(run int64, file int) error {
	in, err := r.find(run)
	switch {
	case err != nil:
		return err
	case in == nil || !in.all:
		return fmt.Errorf("run %d is not received: no file of it can be given back", run)
	case file < 0 || file >= len(in.Manifest.Files):
		return fmt.Errorf("run %d has no file %d", run, file)
	}
	r.o.Log.Warn("a result is damaged on the disk: it is taken anew", "run", run, "file", in.Manifest.Files[file].Name)
	if err := os.Remove(filepath.Join(in.dir, "received")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	in.all = false
	if err := disk.SyncDir(in.dir); err != nil {
		return err
	}
	if err := in.cut(file); err != nil {
		return err
	}
	r.tell(in, true)
	return nil
}

// Close closes the files that are being written.
func (r *Receiver) Close() {
	for _, in := range r.open {
		in.drop()
	}
}
