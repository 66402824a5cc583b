package live

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestRoute(t *testing.T) {
	for _, tt := range []struct {
		root  string
		topic string
		want  address
	}{
		{"", "/hv/status", address{kind: aStatus, name: "hv"}},
		{"lab1", "lab1/hv/status", address{kind: aStatus, name: "hv"}},
		{"lab1", "/hv/status", address{}},
		{"", "lab1/hv/status", address{}},
		{"", "/hv/state", address{kind: aState, name: "hv"}},
		{"", "/hv/meta", address{kind: aMeta, name: "hv"}},
		{"", "/hv/ack", address{kind: anAck, name: "hv"}},
		{"", "/hv/locks", address{kind: aLocks, name: "hv"}},
		{"", "/hv/run", address{kind: aReport, name: "hv"}},
		{"", "/hv/log", address{kind: aLog, name: "hv"}},
		{"", "/hv/replay", address{}},
		{"", "/hv/cmd", address{}},
		{"", "/hv", address{}},
		{"", "", address{}},
		{"", "/", address{}},
		{"", "//status", address{}},
		{"", "/a b/status", address{}},
		{"", "/" + strings.Repeat("x", 129) + "/status", address{}},
		{"", "/run/state", address{kind: aRun, name: "run"}},
		{"", "/run/ack", address{kind: aRunAck, name: "run"}},
		{"", "/run/status", address{}},
		{"", "/run/meta", address{}},
		{"", "/run/run", address{}},
		{"", "/service/state", address{}},
		{"", "/sensor/state", address{}},
		{"", "/sensor/status", address{}},
		{"", "/alarm/state", address{}},
		{"", "/ack/state", address{}},
		{"", "/state/state", address{}},
		{"", "/sensor/room/t", address{kind: aSensor, name: "room", of: "t"}},
		{"", "/sensor/room 1/t°", address{kind: aSensor, name: "room 1", of: "t°"}},
		{"", "/sensor/room/", address{}},
		{"", "/sensor/ro\nom/t", address{}},
		{"", "/sensor/\xff/t", address{}},
		{"", "/sensor/a/b/c", address{}},
		{"", "/service/loader/state", address{kind: aService, name: "loader"}},
		{"", "/service/gateway/beat", address{kind: aBeat, name: "gateway"}},
		{"", "/service/loader/ledger", address{}},
		{"", "/service/a b/state", address{}},
	} {
		got, ok := route(wireRoot(tt.root), tt.topic)
		assert.Equal(t, tt.want != address{}, ok, "%q", tt.topic)
		if ok {
			assert.Equal(t, tt.want, got, "%q", tt.topic)
		}
	}
}

func FuzzRoute(f *testing.F) {
	for _, s := range []string{"/hv/status", "/run/state", "/sensor/a/b", "/service/x/state", "lab/hv/ack"} {
		f.Add("", s)
	}
	f.Fuzz(func(t *testing.T, root, topic string) {
		a, ok := route(wireRoot(root), topic)
		if ok && (a.kind == "" || a.name == "" || len(a.name) > maxName || len(a.of) > maxName) {
			t.Errorf("%q is %+v", topic, a)
		}
	})
}
