package brokerauth

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestACL(t *testing.T) {
	b, err := ACL("lab1", []Account{
		{Name: "hv", Role: Driver},
		{Name: "dht", Role: Driver, Topics: []string{"/sensor/old_name/#"}},
		{Name: "loader", Role: Loader},
		{Name: "pump", Role: Outside, Topics: []string{"shellies/pump/#"}},
		{Name: "health", Role: Health},
	})
	require.NoError(t, err)
	assert.Equal(t, `# Who may read and write what, made by dcs init: mosquitto/README.md explains it.

# driver
user hv
topic readwrite lab1/hv/#
topic read lab1/service/+/state
topic read lab1/service/+/results/hv

# driver
user dht
topic readwrite lab1/dht/#
topic read lab1/service/+/state
topic read lab1/service/+/results/dht
topic readwrite lab1/sensor/old_name/#

# loader
user loader
topic read #
topic read $SYS/broker/#
topic write lab1/service/loader/#

# outside
user pump
topic write lab1/sensor/pump/#
topic readwrite shellies/pump/#

# health
user health
topic read $SYS/broker/#
`, string(b))
}

// A line of the file that nobody asked for would be a right that nobody gave.
func TestACLRefuses(t *testing.T) {
	for _, tt := range []struct {
		root     string
		accounts []Account
		says     string
	}{
		{"lab1\ntopic readwrite x", nil, "no control characters"},
		{"lab1\r", nil, "no control characters"},
		{" lab1", nil, "no spaces at its ends"},
		{"lab\xff", nil, "no control characters"},
		{"lab/+", nil, "no wildcards"},
		{"#", nil, "no wildcards"},
		{"$SYS", nil, "no $ in front"},
		{"", []Account{{Name: "hv\ntopic readwrite #", Role: Driver}}, "use letters"},
		{"", []Account{{Name: "hv\n", Role: Driver}}, "use letters"},
		{"", []Account{{Name: "", Role: Driver}}, "use letters"},
		{"", []Account{{Name: "+", Role: Driver}}, "use letters"},
		{"", []Account{{Name: "#", Role: Driver}}, "use letters"},
		{"", []Account{{Name: "hv/cmd", Role: Outside}}, "use letters"},
		{"", []Account{{Name: "%u", Role: Outside}}, "use letters"},
		{"", []Account{{Name: "a b", Role: Viewer}}, "use letters"},
		{"", []Account{{Name: "service", Role: Driver}}, "reserved"},
		{"", []Account{{Name: "run", Role: Driver}}, "reserved"},
		{"", []Account{{Name: "sensor", Role: Outside}}, "reserved"},
		{"", []Account{{Name: "cmd", Role: Loader}}, "reserved"},
		{"", []Account{{Name: "hv", Role: "root"}}, `role "root": choose one of [driver`},
		{"", []Account{{Name: "hv"}}, `role ""`},
		{"", []Account{{Name: "hv", Role: Driver}, {Name: "hv", Role: Operator}}, `"hv" is there twice, as driver and as operator`},
		{"", []Account{{Name: "dcs-hv", Role: Outside}, {Name: "hv", Role: Driver}}, `programs of "hv" connect under such a name`},
		{"", []Account{{Name: "dcs-gateway-audit", Role: Outside}, {Name: "gateway", Role: Gateway}}, `programs of "gateway"`},
		{"", []Account{{Name: "a b", Role: Viewer}, {Name: "c d", Role: Viewer}}, `"c d"`},
		{"", []Account{{Name: "bob", Role: Viewer, Topics: []string{"x"}}}, "a viewer is given no further topics"},
		{"", []Account{{Name: "loader", Role: Loader, Topics: []string{"x"}}}, "no further topics"},
		{"", outside("/hv/#"), "only /sensor/<name>/… can be given away"},
		{"", outside("/service/loader/state"), "only /sensor"},
		{"", outside("/sensor/#"), "only /sensor"},
		{"", outside("/sensor/+/t"), "only /sensor"},
		{"", outside("/sensor/cmd/t"), "only /sensor"},
		{"", outside("/+/cmd/#"), "only /sensor"},
		{"", outside("#"), "begins with a name"},
		{"", outside("+/hv/cmd/#"), "begins with a name"},
		{"", outside("$SYS/#"), "begins with a name"},
		{"", outside(""), "begins with a name"},
		{"", outside("a/#/b"), "a wildcard is a level of its own"},
		{"", outside("a/b#"), "a wildcard"},
		{"", outside("a/+b"), "a wildcard"},
		{"", outside("a\nuser bob"), "no control characters"},
		{"lab1", outside("lab1/hv/#"), "below lab1"},
		{"a/b", outside("a/+/hv"), "below a/b"},
		{"a/b", outside("a/#"), "below a/b"},
	} {
		b, err := ACL(tt.root, tt.accounts)
		assert.ErrorContains(t, err, tt.says, "%+v", tt)
		assert.Empty(t, b)
	}
	_, err := ACL("a/b", outside("a/c/#"))
	assert.NoError(t, err)
	_, err = ACL("lab 1", []Account{{Name: "dcs-hv", Role: Driver}})
	assert.NoError(t, err)
}

// What is another's by its name, or was given to another, cannot be given away.
func TestACLKeepsTopicsApart(t *testing.T) {
	given := func(names ...string) []Account { // name, topic, name, topic, …
		var accounts []Account
		for i := 0; i < len(names); i += 2 {
			a := Account{Name: names[i], Role: Outside}
			if names[i+1] != "" {
				a.Topics = []string{names[i+1]}
			}
			accounts = append(accounts, a)
		}
		return accounts
	}
	flows := Account{Name: "nodered", Role: NodeRED}
	for _, tt := range []struct {
		accounts []Account
		says     string // nothing: it is right
	}{
		{given("a", "/sensor/b/#", "b", ""), `broker account "a": topic "/sensor/b/#": /sensor/b/# is for "b" alone`},
		{given("b", "", "a", "/sensor/b/temperature"), `is for "b" alone`},
		{given("a", "/sensor/b/+", "b", ""), `is for "b" alone`},
		{append(given("a", "/sensor/nodered/#"), flows), `is for "nodered" alone`},
		{[]Account{{Name: "dht", Role: Driver, Topics: []string{"/sensor/b/#"}}, {Name: "b", Role: Outside}}, `broker account "dht": topic "/sensor/b/#": /sensor/b/# is for "b" alone`},
		{given("a", "/sensor/old/#", "b", "/sensor/old/#"), `broker account "a": topic "/sensor/old/#": "b" has "/sensor/old/#": give it to one of the two`},
		{given("a", "pumps/1", "b", "pumps/1"), `"b" has "pumps/1"`},
		{given("a", "pumps/#", "b", "pumps/1/on"), `"b" has "pumps/1/on"`},
		{given("a", "pumps", "b", "pumps/#"), `"b" has "pumps/#"`},
		{given("a", "pumps/+/on", "b", "pumps/1/+"), `"b" has "pumps/1/+"`},
		{given("a", "/sensor/a/#", "b", ""), ""},
		{given("a", "pumps/1/#", "b", "pumps/2/#"), ""},
		{given("a", "pumps/1", "b", "pumps/1/on"), ""},
		{given("a", "/sensor/bb/#", "b", ""), ""},
		{[]Account{{Name: "dht", Role: Driver, Topics: []string{"/sensor/hv/#"}}, {Name: "hv", Role: Driver}}, ""},
		{[]Account{{Name: "a", Role: Outside, Topics: []string{"x/#", "x/1"}}}, ""},
	} {
		_, err := ACL("lab1", tt.accounts)
		if tt.says == "" {
			assert.NoError(t, err, "%+v", tt.accounts)
			continue
		}
		assert.ErrorContains(t, err, tt.says, "%+v", tt.accounts)
		assert.Equal(t, 1, strings.Count(err.Error(), "broker account"), "said once: %v", err)
	}
}

func outside(topic string) []Account {
	return []Account{{Name: "pump", Role: Outside, Topics: []string{topic}}}
}

// Whatever root and names are, the file has no line but those that are meant.
func FuzzACL(f *testing.F) {
	f.Add("", "hv", "shellies/#")
	f.Add("lab1", "alice\n", "/sensor/x/#")
	f.Add("l\u2028", "user x", "a\ttopic")
	f.Fuzz(func(t *testing.T, root, user, topic string) {
		for _, r := range Roles() {
			a := Account{Name: user, Role: r}
			if r == Outside {
				a.Topics = []string{topic}
			}
			b, err := ACL(root, []Account{a})
			if err != nil {
				continue
			}
			x, err := find(r)
			require.NoError(t, err)
			lines := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
			require.Len(t, lines, 4+len(x.grants)+len(a.Topics))
			require.Equal(t, "user "+user, lines[3])
			for _, l := range lines[4:] {
				kind, rest, _ := strings.Cut(l, " ")
				how, what, _ := strings.Cut(rest, " ")
				require.Equal(t, "topic", kind)
				require.Contains(t, []access{read, write, readWrite}, access(how))
				require.NotEmpty(t, what)
			}
		}
	})
}

// The two who may write more than what is theirs by name are few.
func TestWhoCommands(t *testing.T) {
	var commands, ingest []Role
	for _, r := range roles() {
		for _, g := range r.grants {
			switch {
			case g.access == read:
			case g.filter == "/+/cmd/#":
				commands = append(commands, r.role)
			case g.filter == "/sensor/#":
				ingest = append(ingest, r.role)
			case g.filter == "/run/#":
				assert.Equal(t, RunControl, r.role)
			default:
				assert.Contains(t, []string{"/<name>/#", "/service/<name>/#", "/sensor/<name>/#"}, g.filter, r.role)
				assert.Equal(t, g.filter == "/<name>/#", r.role == Driver, "%s writes %s", r.role, g.filter)
			}
		}
	}
	assert.Equal(t, []Role{RunControl, Gateway, NodeRED, Operator}, commands)
	assert.Equal(t, []Role{Gateway}, ingest)
}

func ExampleACL() {
	b, err := ACL("", []Account{{Name: "cleanroom", Role: Outside}})
	fmt.Print(string(b), err)
	// Output:
	// # Who may read and write what, made by dcs init: mosquitto/README.md explains it.
	//
	// # outside
	// user cleanroom
	// topic write /sensor/cleanroom/#
	// <nil>
}
