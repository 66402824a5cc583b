package bus

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestMatches(t *testing.T) {
	for _, tt := range []struct {
		filter, topic string
		want          bool
	}{
		{"/hv/status", "/hv/status", true},
		{"/hv/status", "hv/status", false},
		{"/hv/status", "/hv/status/0", false},
		{"/hv/status/0", "/hv/status", false},
		{"/+/status", "/hv/status", true},
		{"/+/status", "/hv/x/status", false},
		{"/+/status", "//status", true},
		{"+/hv", "/hv", true},
		{"+", "/hv", false},
		{"/hv/cmd/#", "/hv/cmd/setv/0", true},
		{"/hv/cmd/#", "/hv/cmd", true}, // 4.7.1.2: # includes the parent
		{"/hv/cmd/#", "/hv/cmdx", false},
		{"/hv/+/#", "/hv", false},
		{"/hv/+/#", "/hv/a", true},
		{"#", "/any/thing", true},
		{"#", "$SYS/load", false},
		{"+/load", "$SYS/load", false},
		{"$SYS/#", "$SYS/load", true},
		{"a/", "a", false},
		{"a/+", "a/", true},
		{"a", "a/", false},
	} {
		assert.Equal(t, tt.want, matches(tt.filter, tt.topic), "%s %s", tt.filter, tt.topic)
	}
}
