package wire

import (
	"fmt"
	"strconv"
)

// Kinds of topic below the name of a device that executes runs.
const (
	KindRun     = "run"
	KindLog     = "log"
	KindResults = "results"
)

// RunCommand is the topic of a command to run control.
func (r Root) RunCommand(op string) string { return string(r) + "/run/cmd/" + op }

// RunCommands is the filter of all commands to run control.
func (r Root) RunCommands() string { return string(r) + "/run/cmd/#" }

// RunAck is the topic on which run control says what became of a command.
func (r Root) RunAck() string { return string(r) + "/run/ack" }

// RunState is the retained topic of the run under way, or else of the last.
func (r Root) RunState() string { return string(r) + "/run/state" }

// RunRecord is the topic on which run control hands records to the sink.
func (r Root) RunRecord() string { return string(r) + "/run/record" }

// RunAnnotation is the topic of annotations for the archive.
func (r Root) RunAnnotation() string { return string(r) + "/run/annotation" }

// RunOp is the topic of a command about a run to the device that executes it.
func (r Root) RunOp(dev, op string) string { return r.device(dev, KindCmd) + "/" + op }

// Report is the retained topic of what a device says of its run.
func (r Root) Report(dev string) string { return r.device(dev, KindRun) }

// Log is the topic of the lines that a device's program prints.
func (r Root) Log(dev string) string { return r.device(dev, KindLog) }

// Manifest is the topic on which a device offers the results of a run.
func (r Root) Manifest(dev string, run int64) string {
	return r.device(dev, KindResults) + "/" + strconv.FormatInt(run, 10) + "/manifest"
}

// Manifests is the filter of what all devices offer.
func (r Root) Manifests() string { return r.device("+", KindResults) + "/+/manifest" }

// Chunk is the topic of one piece of a result: file counts from 0 in the order
// of the manifest, chunk from 0 within it.
func (r Root) Chunk(dev string, run int64, file int, chunk int64) string {
	return fmt.Sprintf("%s/%d/%d/%d", r.device(dev, KindResults), run, file, chunk)
}

// Chunks is the filter of all pieces of all results.
func (r Root) Chunks() string { return r.device("+", KindResults) + "/+/+/+" }

// CutChunk reads the topic of a piece. It reports false for any other topic.
func (r Root) CutChunk(topic string) (dev string, run int64, file int, chunk int64, ok bool) {
	l, ok := r.Cut(topic)
	if !ok || len(l) != 5 || l[1] != KindResults {
		return "", 0, 0, 0, false
	}
	run, err1 := strconv.ParseInt(l[2], 10, 64)
	file, err2 := strconv.Atoi(l[3])
	chunk, err3 := strconv.ParseInt(l[4], 10, 64)
	if err1 != nil || err2 != nil || err3 != nil || run < 1 || file < 0 || chunk < 0 {
		return "", 0, 0, 0, false
	}
	return l[0], run, file, chunk, true
}

// Receipts is the topic on which a sink confirms the results of a device.
func (r Root) Receipts(sink, dev string) string {
	return string(r) + "/service/" + sink + "/results/" + dev
}

// RecordReceipts is the topic on which a sink confirms records of runs.
func (r Root) RecordReceipts(sink string) string { return string(r) + "/service/" + sink + "/record" }

// Kept is the retained topic on which a sink says what it has.
func (r Root) Kept(sink string) string { return string(r) + "/service/" + sink + "/runs" }
