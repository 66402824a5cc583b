package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"

	"trackerdcs/cmd/dcs/supervise"
)

// readyTime is how long the parts of the demonstrator may take to be ready.
const readyTime = 90 * time.Second

// demoCmd is `dcs demo`.
type demoCmd struct {
	Dir        string `help:"The source tree; default: the one around the working directory." type:"existingdir"`
	PortOffset int    `help:"Added to each port, so that two demonstrators can run." env:"PORT_OFFSET"`
	BuildOnly  bool   `help:"Build what is missing and stop."`
}

// Run builds the demonstrator and runs it until ctx ends.
func (c *demoCmd) Run(ctx context.Context) error {
	tree, err := findTree(c.Dir)
	if err != nil {
		return err
	}
	if c.PortOffset < 0 || c.PortOffset > 50000 {
		return fmt.Errorf("PORT_OFFSET: %d: choose 0 to 50000", c.PortOffset)
	}
	followParent()
	if err := build(ctx, tree, os.Stderr); err != nil {
		if ctx.Err() != nil {
			return exitCode(0)
		}
		return err
	}
	if c.BuildOnly {
		return nil
	}
	d := newDemo(tree, c.PortOffset)
	if err := d.checkPorts(); err != nil {
		return err
	}
	return d.run(ctx, os.Stdout)
}

// demo is one demonstrator.
type demo struct {
	tree, data string
	offset     int
}

func newDemo(tree string, offset int) *demo {
	name := "demo"
	if offset != 0 {
		name += "+" + strconv.Itoa(offset)
	}
	return &demo{tree: tree, data: filepath.Join(tree, "data", name), offset: offset}
}

// findTree looks for the project's source around a folder.
func findTree(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for d := dir; ; d = filepath.Dir(d) {
		b, err := os.ReadFile(filepath.Join(d, "go.mod"))
		if err == nil && strings.HasPrefix(string(b), "module trackerdcs\n") {
			return d, nil
		}
		if d == filepath.Dir(d) {
			return "", fmt.Errorf("%s is not in Tracker DCS's source tree: clone it and go there, or name it with --dir", dir)
		}
	}
}

// run starts all parts, prints the table once they are ready, and follows.
func (d *demo) run(ctx context.Context, out io.Writer) error {
	if err := os.MkdirAll(d.data, 0o750); err != nil {
		return err
	}
	if err := d.writeProcedures(); err != nil {
		return err
	}
	logins, err := d.logins()
	if err != nil {
		return err
	}
	began := time.Now()
	log := &prefixedLog{out: out, colour: isTerminal(out)}
	watch := newStates(d.broker())
	watchCtx, stopWatch := context.WithCancel(context.WithoutCancel(ctx))
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		watch.run(watchCtx)
	}()
	defer func() {
		stopWatch()
		<-watched
	}()

	group := supervise.New(log.line)
	group.Environ = withoutSettings(group.Environ)
	parts := d.parts(watch)
	for _, p := range parts {
		log.width = max(log.width, len(p.Name))
	}
	for _, p := range parts {
		if err := group.Start(p); err != nil {
			d.stop(group)
			return err
		}
	}
	fmt.Fprintf(os.Stderr, "starting %d parts …\n", len(parts))
	readyCtx, cancel := context.WithTimeout(ctx, readyTime)
	err = group.WaitReady(readyCtx, func(name string, left []string) {
		if len(left) > 0 {
			fmt.Fprintf(os.Stderr, "  ready: %-10s still starting: %s\n", name, strings.Join(left, " "))
		}
	})
	cancel()
	if err != nil {
		if ctx.Err() == nil {
			log.open()
		}
		d.stop(group)
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("%w\nthe log above says why; data is in %s", err, d.data)
	}
	d.table(out, time.Since(began), logins)
	log.open()
	<-ctx.Done()
	fmt.Fprintln(os.Stderr, "\nending all parts …")
	d.stop(group)
	fmt.Fprintln(os.Stderr, "all parts have ended; the data is kept in", d.data)
	return nil
}

// stop ends all parts; a second Ctrl-C ends them at once.
func (d *demo) stop(group *supervise.Group) {
	again := make(chan os.Signal, 1)
	signal.Notify(again, syscall.SIGINT)
	defer signal.Stop(again)
	hurry := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		select {
		case <-again:
			close(hurry)
		case <-ended:
		}
	}()
	group.Stop(hurry)
	close(ended)
}

// table tells where everything is.
func (d *demo) table(out io.Writer, took time.Duration, logins []login) {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintf(w, "\nTracker DCS demonstrator, ready after %.1f s\n\n", took.Seconds())
	fmt.Fprintf(w, "  WHAT\tADDRESS\tLOGIN\n")
	door := fmt.Sprintf("https://localhost:%d", d.port(gatewayPort))
	fmt.Fprintf(w, "  operators' console\t%s\tbelow\n", door)
	fmt.Fprintf(w, "  Node-RED's page\t%s/nodered/dashboard/power\toperator and up\n", door)
	fmt.Fprintf(w, "  Node-RED's editor\t%s/nodered/\texpert and up\n", door)
	fmt.Fprintf(w, "  MQTT broker\t%s\tnone\n", d.broker())
	fmt.Fprintf(w, "  InfluxDB 1.8\thttp://127.0.0.1:%d   database dcs\tnone\n", d.port(influxPort))
	fmt.Fprintf(w, "  MongoDB (FerretDB)\t%s   database dcs\tnone\n", d.mongo())
	for _, i := range simulators {
		fmt.Fprintf(w, "  simulated %s\ttcp://127.0.0.1:%d   device %s\tnone\n", i.title, d.port(i.port), i.device)
	}
	_ = w.Flush()
	fmt.Fprintf(out, "\n  %s\n\n", "The gateway's certificate is its own: the browser asks once, or trust "+d.shown("gateway", "tls", "ca.pem"))
	w = tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintf(w, "  LOGIN\tPASSWORD\tMAY\n")
	for _, l := range logins {
		fmt.Fprintf(w, "  %s\t%s\t%s\n", l.Name, l.Password, l.may)
	}
	_ = w.Flush()
	env := ""
	if d.offset != 0 {
		env = fmt.Sprintf("PORT_OFFSET=%d ", d.offset)
	}
	fmt.Fprintf(out, `
  %sbin/dcs watch              all channels, live
  %sbin/dcs set hv/0 100       a setpoint, and what became of it
  %sbin/dcs switch hv/0 on     and the ramp
  %sbin/dcs run start calibration --module M12     a calibration of a module

Ctrl-C ends all of it. What the parts say:

`, env, env, env, env)
}

// prefixedLog writes the lines of all parts, each behind its part's name. They
// are held back until the table has been printed.
type prefixedLog struct {
	out    io.Writer
	colour bool
	width  int

	mu   sync.Mutex
	held []string
	live bool
}

// maxHeld bounds what is held back from a start that goes wrong for long.
const maxHeld = 2000

func (l *prefixedLog) line(part, text string) {
	s := fmt.Sprintf("%-*s | %s\n", l.width, part, text)
	if l.colour {
		s = fmt.Sprintf("\x1b[%dm%-*s |\x1b[0m %s\n", colourOf(part), l.width, part, text)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.live {
		_, _ = io.WriteString(l.out, s)
		return
	}
	if len(l.held) == maxHeld {
		l.held = l.held[1:]
	}
	l.held = append(l.held, s)
}

func (l *prefixedLog) open() {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = io.WriteString(l.out, strings.Join(l.held, ""))
	l.held, l.live = nil, true
}

// colourOf gives a part one of the terminal's colours, always the same.
func colourOf(part string) int {
	sum := 0
	for _, b := range []byte(part) {
		sum = 31*sum + int(b)
	}
	return 31 + sum%6
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
