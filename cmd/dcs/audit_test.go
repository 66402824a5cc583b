package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/history"
)

// auditNow is when the audits of these tests are made. Their window is the hour
// from 08:00; scripted times are seconds after 08:00.
var auditNow = time.Date(2026, 11, 18, 9, 0, 2, 0, time.UTC)

func second(s float64) int64 {
	return time.Date(2026, 11, 18, 8, 0, 0, 0, time.UTC).Add(time.Duration(s * float64(time.Second))).UnixNano()
}

// scriptedArchive is an archive in memory.
type scriptedArchive struct {
	devices []string // besides those with statuses
	points  map[string][]history.Status
	states  []history.State
	letters map[string][]history.DeadLetter
	ledgers map[string][]history.Ledger
	broken  error // after the first status
}

func (a *scriptedArchive) Noted(context.Context) ([]string, error) {
	return slices.Sorted(maps.Keys(a.letters)), nil
}

func (a *scriptedArchive) Devices(context.Context) ([]string, error) {
	names := slices.Clone(a.devices)
	for n := range a.points {
		names = append(names, n)
	}
	slices.Sort(names)
	return names, nil
}

// in are the points with from ≤ time < to, in the order of the archive.
func (a *scriptedArchive) in(device string, from, to int64) []history.Status {
	var found []history.Status
	for _, s := range a.points[device] {
		if from <= s.Time && s.Time < to && (s.Seq != 0 || s.Boot != "") {
			found = append(found, s)
		}
	}
	slices.SortStableFunc(found, func(x, y history.Status) int {
		return cmp.Or(cmp.Compare(x.Channel, y.Channel), cmp.Compare(x.Time, y.Time))
	})
	return found
}

func (a *scriptedArchive) Statuses(_ context.Context, device string, from, to time.Time, fn func(history.Status) error) error {
	for _, s := range a.in(device, from.UnixNano(), to.UnixNano()) {
		if err := fn(s); err != nil {
			return err
		}
		if a.broken != nil {
			return a.broken
		}
	}
	return nil
}

func edge(points []history.Status) []history.Status {
	by := make(map[string]history.Status)
	for _, s := range points {
		by[s.Channel] = s
	}
	var found []history.Status
	for _, s := range by {
		found = append(found, s)
	}
	return found
}

func (a *scriptedArchive) Before(_ context.Context, device string, t time.Time) ([]history.Status, error) {
	return edge(a.in(device, 0, t.UnixNano())), nil
}

func (a *scriptedArchive) After(_ context.Context, device string, t time.Time) ([]history.Status, error) {
	found := a.in(device, t.UnixNano(), 1<<62)
	slices.Reverse(found)
	return edge(found), nil
}

func (a *scriptedArchive) Newest(_ context.Context, device string, t time.Time) (at time.Time, ok bool, err error) {
	for _, s := range a.points[device] {
		if s.Time < t.UnixNano() && (!ok || s.At().After(at)) {
			at, ok = s.At(), true
		}
	}
	return at, ok, nil
}

func (a *scriptedArchive) States(_ context.Context, from time.Time, fn func(history.State) error) error {
	for _, s := range a.states {
		if s.Time >= from.UnixNano() {
			if err := fn(s); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *scriptedArchive) DeadLetters(_ context.Context, device string, _ time.Time, fn func(history.DeadLetter) error) error {
	for _, l := range a.letters[device] {
		if err := fn(l); err != nil {
			return err
		}
	}
	return nil
}

func (a *scriptedArchive) Ledgers(_ context.Context, device string, _, _ time.Time) ([]history.Ledger, error) {
	return a.ledgers[device], nil
}

// sent are the statuses from to to of a boot on these channels, one a second;
// the first is sent at begin.
func sent(boot string, begin float64, from, to int, channels ...string) []history.Status {
	if len(channels) == 0 {
		channels = []string{""}
	}
	var out []history.Status
	for i := from; i <= to; i++ {
		for _, c := range channels {
			out = append(out, history.Status{Channel: c, Time: second(begin + float64(i-from)), Boot: boot, Seq: float64(i)})
		}
	}
	return out
}

func without(points []history.Status, lost func(history.Status) bool) []history.Status {
	return slices.DeleteFunc(points, lost)
}

// audited runs the command and returns its output and exit code.
func audited(t *testing.T, a archive, until string, args ...string) (string, int) {
	t.Helper()
	con, out, errs := printed()
	c := &auditCmd{Since: "2026-11-18T08:00:00Z", Until: until, Output: "text", influxFlags: influxFlags{Bucket: "dcs"}}
	if len(args) > 0 {
		c.Device = args[0]
	}
	err := c.run(t.Context(), con, a, auditNow)
	var code exitCode
	switch {
	case errors.As(err, &code):
		return out.String() + errs.String(), int(code)
	case err != nil:
		return out.String() + errs.String() + "dcs: " + err.Error() + "\n", 1
	}
	return out.String() + errs.String(), 0
}

func hv(points ...[]history.Status) map[string][]history.Status {
	return map[string][]history.Status{"hv": slices.Concat(points...)}
}

var two = []string{"0", "1"}

// What is found, and what is not, in archives of one device. The window is from
// 0 to 3600 s, and reaches the present but for two seconds.
func TestAuditRule(t *testing.T) {
	later := history.State{Name: "hv", Time: second(5000), State: "stopped", Boot: "a", Seq: 9999}
	for name, tt := range map[string]struct {
		archive scriptedArchive
		want    []string // lines or parts of them
		missing uint64
		not     string
	}{
		"a gap in the middle": {scriptedArchive{points: hv(sent("a", 1, 1, 10, two...), sent("a", 15, 15, 3590, two...))},
			[]string{"hv: boot a, numbers 11 to 14: 4 statuses missing between 2026-11-18T08:00:10.000Z and 2026-11-18T08:00:15.000Z\n", "4 MISSING"}, 4, ""},
		"one status": {scriptedArchive{points: hv(sent("a", 1, 1, 10, two...), sent("a", 12, 12, 3590, two...))},
			[]string{"hv: boot a, number 11: 1 status missing between"}, 1, ""},
		"the start of the first boot": {scriptedArchive{points: hv(sent("a", 3, 3, 3590))},
			[]string{"hv: boot a, numbers 1 to 2: 2 statuses missing, from its start to 2026-11-18T08:00:03.000Z"}, 2, ""},
		"the start of a second boot": {scriptedArchive{
			points: hv(sent("a", -10, 1, 20), sent("b", 15, 3, 3580)),
			states: []history.State{{Name: "hv", Time: second(11), State: "stopped", Boot: "a", Seq: 20}}},
			[]string{"hv: boot b, numbers 1 to 2: 2 statuses missing, from its start to", "2 boots"}, 2, "cannot be proved"},
		"between the window's edge and the first": {scriptedArchive{points: hv(sent("a", -10, 1, 10), sent("a", 5, 15, 3600))},
			[]string{"numbers 11 to 14: 4 statuses missing between 2026-11-18T07:59:59.000Z and 2026-11-18T08:00:05.000Z"}, 4, ""},
		"none between the edge and the first": {scriptedArchive{points: hv(sent("a", -10, 1, 3605, two...))},
			[]string{"complete", "Nothing is missing: 3 595 statuses of 1 device between 2026-11-18T08:00:00.000Z and 2026-11-18T09:00:00.000Z, every number accounted for.\n"}, 0, "hv: "},
		"a gap before the window": {scriptedArchive{points: hv(sent("a", -100, 1, 10), sent("a", -50, 50, 3690))}, []string{"complete"}, 0, "hv: "},
		"a channel": {scriptedArchive{points: hv(without(sent("a", 1, 1, 3590, two...), func(s history.Status) bool { return s.Channel == "1" && s.Seq >= 7 && s.Seq <= 9 }))},
			[]string{"hv: boot a, numbers 7 to 9: channel 1 of 3 statuses missing between 2026-11-18T08:00:06.000Z and 2026-11-18T08:00:10.000Z", "3 590 statuses"}, 3, ""},
		"two of three channels": {scriptedArchive{points: hv(without(sent("a", 1, 1, 3590, "2", "10", "1"), func(s history.Status) bool { return s.Channel != "2" && s.Seq == 7 }))},
			[]string{"number 7: channels 1, 10 of 1 status missing"}, 1, ""},
		"holes over each other": {scriptedArchive{points: hv(without(sent("a", 1, 1, 3590, two...), func(s history.Status) bool {
			return s.Channel == "0" && s.Seq >= 5 && s.Seq <= 9 || s.Channel == "1" && s.Seq == 7
		}))},
			[]string{
				"numbers 5 to 6: channel 0 of 2 statuses missing between",
				"number 7: 1 status missing between 2026-11-18T08:00:06.000Z and 2026-11-18T08:00:08.000Z",
				"numbers 8 to 9: channel 0 of 2 statuses missing between",
			}, 5, ""},
		"a channel from its first": {scriptedArchive{points: hv(without(sent("a", 1, 1, 3590, two...), func(s history.Status) bool { return s.Channel == "1" && s.Seq < 3 }))},
			[]string{"numbers 1 to 2: channel 1 of 2 statuses missing, from its start to"}, 2, ""},
		"a channel to its last": {scriptedArchive{points: hv(without(sent("a", 1, 1, 3590, two...), func(s history.Status) bool { return s.Channel == "1" && s.Seq > 3588 }))},
			[]string{"numbers 3589 to 3590: channel 1 of 2 statuses missing, after"}, 2, ""},
		"a channel that is only before the window": {scriptedArchive{points: hv(sent("a", -10, 1, 10, two...), sent("a", 0, 11, 3600, "0"))},
			[]string{"numbers 11 to 3600: channel 1 of 3 590 statuses missing, after"}, 3590, ""},
		"channels read on both sides of the edges": {scriptedArchive{points: hv(sent("a", -9.9, 1, 3620, "0"), sent("a", -9.4, 1, 3620, "1"))}, []string{"complete"}, 0, "hv: "},
		"a tail that a stop proves to be lost": {scriptedArchive{points: hv(sent("a", 1, 1, 10)), states: []history.State{{Name: "hv", Time: second(14), State: "stopped", Boot: "a", Seq: 12}}},
			[]string{"numbers 11 to 12: 2 statuses missing between 2026-11-18T08:00:10.000Z and 2026-11-18T08:00:14.000Z"}, 2, "cannot be proved"},
		"a tail that a stop proves to be there": {scriptedArchive{points: hv(sent("a", 1, 1, 10)), states: []history.State{{Name: "hv", Time: second(14), State: "stopped", Boot: "a", Seq: 10}}}, []string{"complete"}, 0, "hv: "},
		"a stop that says no number": {scriptedArchive{points: hv(sent("a", 1, 1, 10)), states: []history.State{{Name: "hv", Time: second(14), State: "stopped", Boot: "a"}}},
			[]string{"hv: boot a stopped without saying its last number: statuses after number 10 at 2026-11-18T08:00:10.000Z, if there were any, cannot be proved"}, 0, ""},
		"killed": {scriptedArchive{points: hv(sent("a", 1, 1, 10), sent("b", 20, 1, 3580))},
			[]string{"hv: boot a ended without a word (killed or lost): statuses after number 10 at 2026-11-18T08:00:10.000Z", "complete"}, 0, "boot b"},
		"lost": {scriptedArchive{points: hv(sent("a", 1, 1, 10)), states: []history.State{{Name: "hv", Time: second(14), State: "lost", Boot: "a"}}}, []string{"hv: boot a ended without a word"}, 0, ""},
		"lost and back": {scriptedArchive{points: hv(sent("a", 1, 1, 3590)), states: []history.State{
			{Name: "hv", Time: second(14), State: "lost", Boot: "a"}, {Name: "hv", Time: second(15), State: "ready", Boot: "a"}}}, []string{"complete"}, 0, "hv: "},
		"stopped behind the window": {scriptedArchive{points: hv(sent("a", 1, 1, 3590)), states: []history.State{later}}, []string{"complete"}, 0, "hv: "},
		"all of a boot": {scriptedArchive{points: hv(sent("b", 20, 1, 3580)), states: []history.State{{Name: "hv", Time: second(14), State: "stopped", Boot: "a", Seq: 12}}},
			[]string{"hv: boot a, numbers 1 to 12: 12 statuses missing, from its start to 2026-11-18T08:00:14.000Z"}, 12, ""},
		"all of a device": {scriptedArchive{states: []history.State{{Name: "hv", Time: second(14), State: "stopped", Boot: "a", Seq: 12}, {Name: "loader", Time: second(15), State: "stopped", Boot: "x"}}},
			[]string{"hv: boot a, numbers 1 to 12"}, 12, "loader"},
		"the last ones, over the edge": {scriptedArchive{points: hv(sent("a", -10, 1, 9)), states: []history.State{{Name: "hv", Time: second(1), State: "stopped", Boot: "a", Seq: 11}}},
			[]string{"numbers 10 to 11: 2 statuses missing between 2026-11-18T07:59:58.000Z and 2026-11-18T08:00:01.000Z"}, 2, ""},
		"fell silent":  {scriptedArchive{points: hv(sent("a", 1, 1, 10))}, []string{"hv: silent since 2026-11-18T08:00:10.000Z: whether it sent anything", "complete", "every number that is known of accounted for. Not proved to the end: 1 device. Fell silent: 1 device.\n"}, 0, ""},
		"out of order": {scriptedArchive{points: hv(sent("a", -50, 1, 30, two...), sent("a", 50, 51, 60, two...), sent("a", 100, 31, 50, two...), sent("a", 200, 61, 3400, two...))}, []string{"complete"}, 0, "hv: boot"},
		"a clock set back over the edge is no excuse": {scriptedArchive{points: hv(sent("a", -50, 51, 60), sent("a", 100, 31, 50), sent("a", 200, 61, 3400))},
			[]string{"numbers 51 to 59: 9 statuses missing"}, 9, ""},
		"out of order with a gap": {scriptedArchive{points: hv(sent("a", 100, 31, 50), sent("a", 200, 1, 29), sent("a", 300, 51, 3400))},
			[]string{"number 30: 1 status missing between 2026-11-18T08:03:48.000Z and 2026-11-18T08:01:40.000Z"}, 1, ""},
		"numbers that come twice": {scriptedArchive{points: hv(sent("a", 1, 1, 3590), sent("a", 10.5, 10, 12))}, []string{"hv: 3 points are in the archive with a number that its channel had", "3 590 statuses", "complete"}, 0, ""},
		"no usable number": {scriptedArchive{points: hv(sent("a", 1, 1, 3590), sent("a", 10.5, -3, -1), []history.Status{{Time: second(20.5), Boot: "a", Seq: 1.5}, {Time: second(21.5), Boot: "a", Seq: 1e300}})},
			[]string{"hv: 5 points have no usable number", "complete"}, 0, ""},
		"put aside": {scriptedArchive{
			points: hv(sent("a", 1, 1, 10), sent("a", 15, 15, 3590)),
			letters: map[string][]history.DeadLetter{"hv": {
				{Time: second(11), Boot: "a", Seq: 11, Reason: "partial write: field type conflict"}, {Time: second(11), Boot: "a", Seq: 11, Reason: "partial write: field type conflict"},
				{Time: second(12), Boot: "a", Seq: 12, Reason: "bad time"}, {Time: second(12), Boot: "b", Seq: 13, Reason: "another boot"},
				{Time: second(12), Boot: "a", Seq: 15, Reason: "it is there"}, {Time: second(12), Reason: "not JSON"}}}},
			[]string{
				"numbers 11 to 14: 4 statuses missing between 2026-11-18T08:00:10.000Z and 2026-11-18T08:00:15.000Z; 2 of them put aside in the dead-letter file: partial write: field type conflict; bad time\n",
				"hv: boot b, number 13: 1 status missing, or a part of each; all put aside in the dead-letter file: another boot\n",
				"hv: 2 messages or lines were put aside in a loader's dead-letter file, not among the numbers missing here; the last: not JSON",
			}, 5, ""},
		"all refused": {scriptedArchive{
			letters: map[string][]history.DeadLetter{"hv": {
				{Time: second(1), Boot: "a", Seq: 1, Reason: "field type conflict"}, {Time: second(2), Boot: "a", Seq: 2, Reason: "field type conflict"}}}},
			[]string{"hv: boot a, numbers 1 to 2: 2 statuses missing", "Missing: 2 statuses in 1 gap"}, 2, ""},
		"the end refused": {scriptedArchive{
			points: hv(sent("a", 1, 1, 10)),
			letters: map[string][]history.DeadLetter{"hv": {
				{Time: second(11), Boot: "a", Seq: 11, Reason: "field type conflict"}}}},
			[]string{"hv: boot a, number 11: 1 status missing", "Missing: 1 status in 1 gap"}, 1, ""},
		"a boot without a status": {scriptedArchive{
			points: hv(sent("b", 1, 1, 3590)),
			states: []history.State{{Name: "hv", State: "lost", Boot: "a", Time: second(1)}}},
			[]string{"boot a said that it was lost, and no status of it is in the archive", "every number that is known of accounted for. Not proved to the end: 1 device.\n"}, 0, ""},
		"a clock ahead": {scriptedArchive{
			points: hv(sent("a", 1, 1, 3590)),
			ledgers: map[string][]history.Ledger{"hv": {
				{Loader: "loader", Time: second(3000), Duplicates: 1200, Skew: 5.25, HasSkew: true}, {Loader: "loader2", Time: second(2000), Skew: 0.01, HasSkew: true}}}},
			[]string{"1 200 duplicates  skew +5.250 s  complete", "hv: its clock is 5.25 s ahead of the loader's: the times here are the sender's"}, 0, ""},
		"a clock behind": {scriptedArchive{points: hv(sent("a", 1, 1, 3590)), ledgers: map[string][]history.Ledger{"hv": {{Skew: -1, HasSkew: true}}}}, []string{"its clock is 1 s behind"}, 0, ""},
		"a good clock":   {scriptedArchive{points: hv(sent("a", 1, 1, 3590)), ledgers: map[string][]history.Ledger{"hv": {{Skew: -0.99, HasSkew: true}}}}, []string{"skew -0.990 s  complete"}, 0, "hv: "},
	} {
		t.Run(name, func(t *testing.T) {
			out, code := audited(t, &tt.archive, "now")
			for _, want := range tt.want {
				assert.Contains(t, out, want)
			}
			if tt.not != "" {
				assert.NotContains(t, out, tt.not)
			}
			if tt.missing == 0 {
				assert.Equal(t, 0, code)
				assert.Contains(t, out, "\nNothing is missing: ")
			} else {
				assert.Equal(t, 4, code)
				assert.Contains(t, out, "\nMissing: "+counted(tt.missing, "status", "statuses")+" in ")
			}
		})
	}
}

// Long after a window nothing of it is under way: what stands behind it counts.
func TestAuditOfThePast(t *testing.T) {
	a := &scriptedArchive{points: hv(sent("a", -10, 1, 10), sent("a", 1810, 1820, 1830))}
	out, code := audited(t, a, "2026-11-18T08:30:00Z")
	assert.Equal(t, 4, code)
	assert.Contains(t, out, "hv: boot a, numbers 11 to 1819: 1 809 statuses missing between 2026-11-18T07:59:59.000Z and 2026-11-18T08:30:10.000Z")

	a = &scriptedArchive{points: hv(sent("a", -10, 1, 10), sent("b", 1810, 3, 30))}
	out, code = audited(t, a, "2026-11-18T08:30:00Z")
	assert.Equal(t, 1, code, "the start of b lies behind the window")
	assert.Contains(t, out, "hv  silent: its last status is of 2026-11-18T07:59:59.000Z")
	assert.Contains(t, out, "Nothing can be proved: there is no numbered status between")
}

func TestAuditSilentAndUnnumbered(t *testing.T) {
	a := &scriptedArchive{devices: []string{"never"}, points: hv(sent("a", 1, 1, 3590))}
	a.points["lv"] = sent("c", -100, 1, 10)
	a.points["weather"] = []history.Status{{Time: second(5)}, {Time: second(6)}}
	a.points["old"] = []history.Status{{Time: second(7), Boot: "x"}}
	out, code := audited(t, a, "now")
	assert.Equal(t, 0, code)
	for _, want := range []string{
		"hv       1 boot  3 590 statuses  2026-11-18T08:00:01.000Z to 2026-11-18T08:59:50.000Z  complete\n",
		"lv       silent: its last status is of 2026-11-18T07:58:29.000Z\n",
		"never    silent: it has no status in the archive\n",
		"old      not numbered: nothing can be proved; its last point is of 2026-11-18T08:00:07.000Z\n",
		"weather  not numbered: nothing can be proved; its last point is of 2026-11-18T08:00:06.000Z\n",
		"every number accounted for. Silent: 2 devices. Not numbered: 2 devices.\n",
	} {
		assert.Contains(t, out, want)
	}
	_, code = audited(t, a, "now", "weather")
	assert.Equal(t, 1, code, "nothing can be proved")
	out, code = audited(t, a, "now", "hv")
	assert.Equal(t, 0, code)
	assert.NotContains(t, out, "lv")
}

func TestAuditUnknownDevice(t *testing.T) {
	out, code := audited(t, &scriptedArchive{points: hv(sent("a", 1, 1, 10))}, "now", "vh")
	assert.Equal(t, 1, code)
	assert.Equal(t, "dcs: no device vh in the archive: there are hv\n", out)
	out, code = audited(t, &scriptedArchive{}, "now", "vh")
	assert.Equal(t, 1, code)
	assert.Equal(t, "dcs: no device vh: no device at all is in the archive dcs\n", out)
	out, code = audited(t, &scriptedArchive{}, "now")
	assert.Equal(t, 1, code)
	assert.Contains(t, out, "Nothing can be proved")
}

// An answer that breaks off is never "nothing is missing".
func TestAuditBrokenOff(t *testing.T) {
	a := &scriptedArchive{points: hv(sent("a", 1, 1, 3590)), broken: fmt.Errorf("%w: the answer broke off", history.ErrNoAnswer)}
	out, code := audited(t, a, "now")
	assert.Equal(t, 5, code)
	assert.Equal(t, "dcs: hv: InfluxDB does not answer: the answer broke off\n", out)

	a.broken = errors.New("no")
	out, code = audited(t, a, "now")
	assert.Equal(t, 1, code)
	assert.Equal(t, "dcs: hv: no\n", out)

	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch q := r.URL.Query().Get("q"); {
		case strings.HasPrefix(q, "SHOW"):
			_, _ = w.Write([]byte(`{"results":[{"series":[{"name":"measurements","columns":["name"],"values":[["hv"]]}]}]}`))
		case strings.Contains(q, `FROM "hv"`):
			_, _ = w.Write([]byte(`{"results":[{"series":[{"name":"hv","columns":["time","seq","boot"],"values":[[1,1,"a"]]}],"partial":true}]}`))
		default:
			_, _ = w.Write([]byte(`{"results":[{}]}`))
		}
	}))
	t.Cleanup(s.Close)
	f := influxFlags{Influx: s.URL, Bucket: "dcs"}
	client, err := f.open()
	require.NoError(t, err)
	t.Cleanup(client.Close)
	out, code = audited(t, client, "now")
	assert.Equal(t, 5, code)
	assert.Contains(t, out, "dcs: hv: InfluxDB does not answer at "+s.URL+": the answer broke off")
	assert.NotContains(t, out, "issing")
}

func TestAuditJSON(t *testing.T) {
	a := &scriptedArchive{points: hv(sent("a", 1, 1, 10, two...), sent("a", 12, 12, 3590, "1"))}
	con, out, _ := printed()
	c := &auditCmd{Since: "2026-11-18T08:00:00Z", Until: "now", Output: "json"}
	require.Equal(t, exitFailed, c.run(t.Context(), con, a, auditNow))
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 2)
	assert.JSONEq(t, `{"device":"hv","verdict":"missing","statuses":3589,"missing":3580,"first":"2026-11-18T08:00:01Z","last":"2026-11-18T08:59:50Z",
		"boots":[{"boot":"a","from":1,"to":3590,"first":"2026-11-18T08:00:01Z","last":"2026-11-18T08:59:50Z","statuses":3589,"missing":3580}],
		"gaps":[{"boot":"a","from":11,"to":11,"statuses":1,"after":"2026-11-18T08:00:10Z","before":"2026-11-18T08:00:12Z"},
			{"boot":"a","from":12,"to":3590,"statuses":3579,"after":"2026-11-18T08:00:10Z","channels":["0"]}]}`, lines[0])
	assert.JSONEq(t, `{"verdict":"missing","since":"2026-11-18T08:00:00Z","until":"2026-11-18T09:00:00Z","devices":1,"fell_silent":0,"end_unproved":0,"silent":0,"not_numbered":0,"statuses":3589,"missing":3580,"gaps":2}`, lines[1])
}

func parseAudit(t *testing.T, args ...string) *auditCmd {
	t.Helper()
	var c commands
	parser, err := kong.New(&c, kong.Vars{"version": ""}, kong.BindTo(t.Context(), (*context.Context)(nil)))
	require.NoError(t, err)
	_, err = parser.Parse(append([]string{"audit"}, args...))
	require.NoError(t, err)
	return &c.Audit
}

func TestAuditFlags(t *testing.T) {
	t.Setenv("PORT_OFFSET", "7000")
	c := parseAudit(t, "hv", "--since", "monday")
	assert.Equal(t, "hv", c.Device)
	assert.Equal(t, []string{"monday", "now", "dcs", "dcs"}, []string{c.Since, c.Until, c.Org, c.Bucket})
	assert.Equal(t, "http://127.0.0.1:15086", c.address())

	t.Setenv("DCS_INFLUX_URL", "http://influx:8086")
	t.Setenv("DCS_INFLUX_BUCKET", "dcs/autogen")
	t.Setenv("DCS_INFLUX_TOKEN_FILE", "/run/secrets/token")
	c = parseAudit(t)
	assert.Equal(t, "24h", c.Since)
	assert.Equal(t, "http://influx:8086", c.address())
	assert.Equal(t, "dcs/autogen", c.Bucket)
	assert.Equal(t, "/run/secrets/token", c.TokenFile)
	_, err := (&influxFlags{Influx: "influx:8086", Bucket: "dcs"}).open()
	assert.ErrorContains(t, err, "want http://host:port")
}

func TestGrouped(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 999: "999", 1000: "1 000", 345600: "345 600", 1234567: "1 234 567"} {
		assert.Equal(t, want, grouped(n))
	}
}
