package procedure

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/wire"
)

const good = `
procedures:
  calibration:
    title: Threshold and noise of a module
    program: ph2acfsim
    arguments: ["--module", "{module}", "--vcal={vcal}", "-t{temperature}", "{mode}{label}", "--run", "{run}", "{dir}/x", '{"a":{vcal}}', "{fast}", "{note}", "/data/{a}/{b}"]
    environment: {LANG: C, WHO: "{uid} {procedure} {module}"}
    limit: 10m
    grace: 3s
    parameters:
      module: {type: string, pattern: "M[0-9]{1,4}|x", required: true, title: The module}
      vcal: {type: int, min: 0, max: 255, default: 200, unit: DAC}
      mode: {type: string, values: [fast, full, ""], default: fast}
      label: {type: string, pattern: ".*", default: ""}
      note: {type: string, pattern: ".*", allow_dash: true, max_length: 2000, default: ""}
      temperature: {type: float, min: -40, max: 60.5, default: 20}
      fast: {type: bool, default: false}
      steps: {type: int, values: [1, 10, 100], default: 10}
      a: {type: string, pattern: "[.]*", default: ""}
      b: {type: string, pattern: "[.a-z]*", default: ""}
    progress: '\[progress\] (?P<percent>[0-9.]+) %'
    phase: 'phase=(?P<phase>\w+)'
    version: ["--version"]
    files:
      - {glob: summary.json, read: json, required: true}
      - {glob: "out_{run}/*.csv", read: csv}
      - {glob: raw.bin, read: raw}
  short:
    program: /bin/true
`

func parse(t testing.TB) Procedures {
	ps, err := Parse([]byte(good))
	require.NoError(t, err)
	return ps
}

func TestParse(t *testing.T) {
	ps := parse(t)
	assert.Equal(t, []string{"calibration", "short"}, ps.Names())
	p := ps["calibration"]
	assert.Equal(t, 10*time.Minute, p.Limit)
	assert.Equal(t, 3*time.Second, p.Grace)
	assert.Len(t, p.Arguments, 12)
	assert.Equal(t, []string{"--version"}, p.Version)
	assert.Equal(t, []File{{"summary.json", wire.ReadJSON, true}, {"out_{run}/*.csv", wire.ReadCSV, false}, {"raw.bin", wire.ReadRaw, false}}, p.Files)
	assert.Equal(t, DefaultLimit, ps["short"].Limit)
	assert.Equal(t, DefaultGrace, ps["short"].Grace)
	assert.Nil(t, ps["short"].Version)
	b, err := json.Marshal(ps.Meta()["calibration"].Parameters["vcal"])
	require.NoError(t, err)
	assert.JSONEq(t, `{"type":"int","unit":"DAC","min":0,"max":255,"default":200}`, string(b))
}

func TestArguments(t *testing.T) {
	p := parse(t)["calibration"]
	values, err := p.Check(wire.Parameters{"module": "M12", "label": "{run} $(id) `x` ; \"'", "temperature": -0.5, "fast": true, "note": "-rf"})
	require.NoError(t, err)
	call := Call{Run: 42, UID: "u-1", Dir: "/runs", Parameters: values}
	args, err := p.ArgumentsOf(call)
	require.NoError(t, err)
	assert.Equal(t, []string{"--module", "M12", "--vcal=200", "-t-0.5", "fast{run} $(id) `x` ; \"'", "--run", "42", "/runs/x", `{"a":200}`, "true", "-rf", "/data//"}, args)
	env, err := p.EnvironmentOf(call)
	require.NoError(t, err)
	assert.Equal(t, []string{"LANG=C", "WHO=u-1 calibration M12"}, env)
}

// What tries to break out is refused, and the message says parameter, rule and
// value.
func TestBreakOuts(t *testing.T) {
	p := parse(t)["calibration"]
	for _, tt := range []struct {
		name  string
		value any
		want  string
	}{
		{"module", "; rm -rf /", `parameter module: "; rm -rf /" does not fit the pattern M[0-9]{1,4}|x`},
		{"module", "$(reboot)", `parameter module: "$(reboot)" does not fit the pattern M[0-9]{1,4}|x`},
		{"module", "M1 M2", `parameter module: "M1 M2" does not fit the pattern M[0-9]{1,4}|x`},
		{"module", "M1x", `parameter module: "M1x" does not fit the pattern M[0-9]{1,4}|x`},
		{"module", "", `parameter module: "" does not fit the pattern M[0-9]{1,4}|x`},
		{"module", "M12\n", `parameter module: "M12\n" has the character U+000A, and control characters, line ends and invisible ones are never allowed`},
		{"module", "M12\x00", `parameter module: "M12\x00" has the character U+0000, and control characters, line ends and invisible ones are never allowed`},
		{"module", "M１２", `parameter module: "M１２" does not fit the pattern M[0-9]{1,4}|x`},
		{"module", "М12", `parameter module: "М12" does not fit the pattern M[0-9]{1,4}|x`}, // Cyrillic
		{"module", 12.0, `parameter module: 12 is not a string`},
		{"module", true, `parameter module: true is not a string`},
		{"label", "a\u202Egpj.exe", `parameter label: "a\u202egpj.exe" has the character U+202E, and control characters, line ends and invisible ones are never allowed`},
		{"label", "a\u200Bb", `parameter label: "a\u200bb" has the character U+200B, and control characters, line ends and invisible ones are never allowed`},
		{"label", "a\u2028b", `parameter label: "a\u2028b" has the character U+2028, and control characters, line ends and invisible ones are never allowed`},
		{"label", "a\x1b[31m", `parameter label: "a\x1b[31m" has the character U+001B, and control characters, line ends and invisible ones are never allowed`},
		{"label", "a\x7f", `parameter label: "a\x7f" has the character U+007F, and control characters, line ends and invisible ones are never allowed`},
		{"label", "a\uFFFDb", `parameter label: "a` + "\uFFFD" + `b" is not UTF-8`},
		{"label", "\xff", `parameter label: "` + "\uFFFD" + `" is not UTF-8`},
		{"label", "../../etc/passwd", `parameter label: "../../etc/passwd" has .. in it, which leads out of a folder and is never allowed`},
		{"label", "a/..", `parameter label: "a/.." has .. in it, which leads out of a folder and is never allowed`},
		{"label", "..", `parameter label: ".." has .. in it, which leads out of a folder and is never allowed`},
		{"label", `..\x`, `parameter label: "..\\x" has .. in it, which leads out of a folder and is never allowed`},
		{"label", "-rf", `parameter label: "-rf" begins with -, and the program would take it for an option`},
		{"label", strings.Repeat("x", 1<<20), `parameter label: 1048576 bytes ("` + strings.Repeat("x", 64) + `"…): at most 256 are allowed`},
		{"note", strings.Repeat("x", 2001), `parameter note: 2001 bytes ("` + strings.Repeat("x", 64) + `"…): at most 2000 are allowed`},
		{"mode", "slow", `parameter mode: "slow" is none of fast, full, `},
		{"vcal", 256.0, `parameter vcal: 256 is above the maximum, 255`},
		{"vcal", -1.0, `parameter vcal: -1 is below the minimum, 0`},
		{"vcal", 1.5, `parameter vcal: 1.5 is not a whole number up to 2^53`},
		{"vcal", "200", `parameter vcal: "200" is not a number`},
		{"vcal", "0x10; id", `parameter vcal: "0x10; id" is not a number`},
		{"steps", 2.0, `parameter steps: 2 is none of 1, 10, 100`},
		{"steps", 1e300, `parameter steps: 1e+300 is not a whole number up to 2^53`},
		{"temperature", 60.6, `parameter temperature: 60.6 is above the maximum, 60.5`},
		{"temperature", false, `parameter temperature: false is not a number`},
		{"fast", 1.0, `parameter fast: 1 is neither true nor false`},
		{"fast", "true", `parameter fast: "true" is neither true nor false`},
		{"LD_PRELOAD", "x", `parameter "LD_PRELOAD" is unknown: calibration takes a, b, fast, label, mode, module, note, steps, temperature, vcal`},
	} {
		given := wire.Parameters{"module": "M1", tt.name: tt.value}
		_, err := p.Check(given)
		assert.EqualError(t, err, tt.want)
	}
	_, err := p.Check(nil)
	assert.EqualError(t, err, "parameter module is missing: a string that fits M[0-9]{1,4}|x")
	_, err = parse(t)["short"].Check(wire.Parameters{"x": 1.0})
	assert.EqualError(t, err, `parameter "x" is unknown: short takes none`)

	// A mode that is empty lets the label lead; two values together make "..".
	_, err = p.Check(wire.Parameters{"module": "M1", "mode": "", "label": "--config=/etc/x"})
	assert.ErrorContains(t, err, "begins with -")
	values, err := p.Check(wire.Parameters{"module": "M1", "a": ".", "b": "."})
	require.NoError(t, err)
	p.Arguments = []string{"/data/{a}{b}/x"}
	_, err = p.ArgumentsOf(Call{Parameters: values})
	assert.EqualError(t, err, `argument "/data/{a}{b}/x" would be "/data/../x", with .. in it, which is never allowed`)
	p.Environment = map[string]string{"OUT": "/data/.{a}/secret"}
	_, err = p.EnvironmentOf(Call{Parameters: values})
	assert.EqualError(t, err, `environment OUT "/data/.{a}/secret" would be "/data/../secret", with .. in it, which is never allowed`)
}

func TestUID(t *testing.T) {
	for _, good := range []string{"a", "6c885afb1f", "2f1c-4.x_Y"} {
		assert.NoError(t, CheckUID(good))
	}
	for _, bad := range []string{"", "-a", ".a", "a b", "a/b", "a\x00", "a\n", "é", strings.Repeat("x", 129)} {
		assert.Error(t, CheckUID(bad), bad)
	}
}

// Every mistake is named with its line and what to do.
func TestMistakes(t *testing.T) {
	head := "procedures:\n  p:\n    program: /bin/true\n"
	parameter := head + "    parameters:\n      q: "
	for _, tt := range []struct{ file, want string }{
		{"", "the file is empty: begin it with procedures:"},
		{"# nothing\n", "the file is empty: begin it with procedures:"},
		{"a: {", "line 1: not YAML"},
		{"procedures: 1", "line 1: procedures has to be keys with values, each as key: value"},
		{"{}", "there is no procedure"},
		{"procedure:\n  p: {}", `line 1: unknown key "procedure": allowed are procedures`},
		{"procedures:\n  p: {}\n---\nprocedures: {}\n", "line 4: a second document"},
		{"procedures:\n  a b: {program: /bin/true}\n", "line 2: procedure a b: its name: use letters, digits, _ and - only"},
		{"procedures:\n  p:\n    title: x\n", "line 2: procedure p: program is missing"},
		{"procedures:\n  p:\n    program: bin/x\n", `line 3: procedure p: program: "bin/x" is neither an absolute path nor a plain name`},
		{"procedures:\n  p:\n    program: /bin/{run}\n", `line 3: procedure p: program: nothing is put into it, write "/bin/{run}" without braces`},
		{head + "    shell: x\n", `line 4: procedure p: unknown key "shell": allowed are arguments, directory,`},
		{head + "    arguments: x\n", "line 4: procedure p: arguments has to be a list"},
		{head + "    arguments: [a, {b: c}]\n", "line 4: procedure p: an element of arguments has to be a text"},
		{head + "    arguments: [\"{modul}\"]\n", `line 4: procedure p: arguments: {modul} in "{modul}" is neither a parameter nor one of {run}, {uid}, {procedure}, {dir}`},
		{head + "    arguments: [\"{user}\"]\n", `{user} in "{user}" is neither`},
		{head + "    arguments: [\"a\\nb\"]\n", "has a line end or another invisible character"},
		{head + "    limit: 10\n", `line 4: procedure p: limit: "10" is not a time: write it as 90s, 10m or 2h`},
		{head + "    limit: -1s\n", "line 4: procedure p: limit: -1s is not in 100ms to 744h0m0s"},
		{head + "    directory: x\n", `line 4: procedure p: directory: "x" is not an absolute path`},
		{head + "    directory: /x/{uid}\n", `line 4: procedure p: directory: only {run} is replaced in it, not {uid}`},
		{head + "    environment: {A B: c}\n", `line 4: procedure p: environment: "A B" cannot be a variable's name`},
		{head + "    environment: {DCS_RUN_UID: c}\n", "DCS_RUN_UID is the driver's own"},
		{head + "    environment: {A: \"{b}\"}\n", "line 4: procedure p: environment: {b} in A is neither"},
		{head + "    version: [\"{run}\"]\n", "line 4: procedure p: version: nothing is replaced in it"},
		{head + "    progress: '(?P<percent>'\n", "line 4: procedure p: progress: error parsing regexp"},
		{head + "    progress: '(?P<done>x)'\n", "line 4: procedure p: progress: it needs the group (?P<percent>…), or both"},
		{head + "    progress: '(?P<prozent>x)(?P<percent>x)'\n", `line 4: procedure p: progress: unknown group "prozent"`},
		{head + "    phase: 'x'\n", "line 4: procedure p: phase: the group (?P<phase>…) is missing"},
		{head + "    files: [{glob: x}]\n", `line 4: procedure p: files: read "": choose json, csv or raw`},
		{head + "    files: [{read: raw}]\n", "line 4: procedure p: files: glob is missing"},
		{head + "    files: [{glob: ../x, read: raw}]\n", `line 4: procedure p: files: glob "../x": it is relative to the directory and stays in it`},
		{head + "    files: [{glob: /x, read: raw}]\n", "stays in it"},
		{head + "    files: [{glob: \"[\", read: raw}]\n", `glob "[" is not one`},
		{head + "    files: [{glob: \"**/x\", read: raw}]\n", "** is not known"},
		{head + "    files: [{glob: \"{module}\", read: raw}]\n", "only {run} is replaced in a glob, not {module}"},
		{head + "    files: [{glob: x, read: raw, required: yes please}]\n", "required is neither true nor false"},
		{parameter + "{}\n", `line 5: procedure p, parameter q: type "": choose string, int, float or bool`},
		{parameter + "{type: text}\n", `type "text": choose string, int, float or bool`},
		{parameter + "{type: string, required: true}\n", `line 5: procedure p, parameter q: a string needs a pattern, as pattern: "M[0-9]{1,4}", or values: give one`},
		{parameter + "{type: string, pattern: \"[\", required: true}\n", "pattern: error parsing regexp"},
		{parameter + "{type: string, pattern: \"a)|(b\", required: true}\n", "pattern: error parsing regexp"},
		{parameter + "{type: string, pattern: a}\n", "say required: true, or give a default"},
		{parameter + "{type: string, pattern: a, default: a, required: true}\n", "required and default: keep one of them"},
		{parameter + "{type: string, pattern: a, default: b}\n", `default: "b" does not fit the pattern a`},
		{parameter + "{type: string, values: [../a], required: true}\n", `values: "../a" has .. in it`},
		{parameter + "{type: string, pattern: a, max_length: 5000, required: true}\n", "max_length: choose 1 to 4096 bytes"},
		{parameter + "{type: int, default: 1.5}\n", "default: 1.5 is not a whole number"},
		{parameter + "{type: int, default: \"1\"}\n", "default is not a number"},
		{parameter + "{type: int, min: 2, max: 1, default: 1}\n", "min 2 is above max 1"},
		{parameter + "{type: int, min: 2, default: 1}\n", "default: 1 is below the minimum, 2"},
		{parameter + "{type: float, min: .inf, default: 1}\n", "min is not a number"},
		{parameter + "{type: float, pattern: x, default: 1}\n", "pattern, max_length and allow_dash are for strings"},
		{parameter + "{type: bool, min: 1, default: true}\n", "min and max are for int and float"},
		{parameter + "{type: bool, default: 1}\n", "default is neither true nor false"},
		{parameter + "{type: bool, defaul: true}\n", `unknown key "defaul"`},
		{head + "    parameters:\n      run: {type: int, default: 1}\n", "{run} is the driver's own"},
		{head + "    parameters:\n      a-b: {type: int, default: 1}\n", "its name: use letters, digits and _"},
		{"procedures:\n  p:\n    program: /bin/sh\n    arguments: [-c, \"echo {run}\"]\n", "line 4: procedure p: arguments: a shell would take the value in \"echo {run}\" apart"},
		{head + "    limit: x\n    grace: y\n", "line 5: procedure p: grace:"},
		{head + "    title: a\n    title: b\n", "line"},
	} {
		_, err := Parse([]byte(tt.file))
		if assert.Error(t, err, tt.file) {
			assert.Contains(t, err.Error(), tt.want, tt.file)
		}
	}
}

// A start's payload, however broken, either is refused or gives exactly the
// arguments of the file, with values that have passed their checks.
func FuzzStart(f *testing.F) {
	ps := parse(f)
	p := ps["calibration"]
	for _, seed := range []string{
		`{"procedure":"calibration","parameters":{"module":"M12"}}`,
		`{"procedure":"calibration","parameters":{"module":"M12","label":"; rm -rf /","vcal":3,"mode":"","note":"-x"}}`,
		`{"procedure":"calibration","parameters":{"module":"x","label":"../..","a":".","b":"."}}`,
		`{"procedure":"calibration","parameters":{"module":"M12","label":"\u0000\u202e\ud800"}}`,
		`{"procedure":"calibration","parameters":{"module":"{run}","label":"{module}","temperature":1e-300,"fast":true}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		c, err := wire.ParseRunCommand(wire.Start, payload)
		if err != nil {
			return
		}
		values, err := p.Check(c.Parameters)
		if err != nil {
			return
		}
		call := Call{Run: 7, UID: "u", Dir: "/d", Parameters: values}
		args, err := p.ArgumentsOf(call)
		if err != nil {
			return
		}
		if len(args) != len(p.Arguments) || len(values) != len(p.Parameters) {
			t.Fatalf("%d arguments: %q", len(args), args)
		}
		text := func(name string) string { return word(values[name]) }
		want := []string{"--module", text("module"), "--vcal=" + text("vcal"), "-t" + text("temperature"), text("mode") + text("label"), "--run", "7",
			"/d/x", `{"a":` + text("vcal") + `}`, text("fast"), text("note"), "/data/" + text("a") + "/" + text("b")}
		if !slices.Equal(args, want) {
			t.Fatalf("%q, not %q", args, want)
		}
		for name, q := range p.Parameters {
			if err := q.check(values[name]); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		env, err := p.EnvironmentOf(call)
		if err != nil {
			return
		}
		for _, s := range append(args, env...) {
			if strings.ContainsAny(s, "\x00\n\r") || climbs(s) {
				t.Fatalf("%q", s)
			}
		}
		if strings.HasPrefix(args[1], "-") || strings.HasPrefix(args[4], "-") {
			t.Fatalf("an option: %q", args)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte("procedures: {p: {program: x, files: [{glob: a, read: raw}]}}"))
	f.Fuzz(func(_ *testing.T, text []byte) { _, _ = Parse(text) })
}

// The README's example is read as it stands there.
func TestREADMEExample(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "README.md"))
	require.NoError(t, err)
	for i, part := range strings.Split(string(b), "```yaml\n")[1:] {
		text, _, _ := strings.Cut(part, "```")
		_, err := Parse([]byte(text))
		assert.NoError(t, err, fmt.Sprint("example ", i+1))
	}
}
