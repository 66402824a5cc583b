package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// step is one thing to be built.
type step struct {
	name, first string // first is what is said of a first time
	needed      func() bool
	command     []string
	dir         string
}

// build makes what is missing, with a line for each step.
func build(ctx context.Context, tree string, out io.Writer) error {
	for _, tool := range []string{"go", "node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%s is not installed: the demonstrator needs Go, Node 20 or newer, and make", tool)
		}
	}
	bin := filepath.Join(tree, "bin") + string(filepath.Separator)
	modules := filepath.Join(tree, "nodered", "node_modules", ".package-lock.json")
	console := filepath.Join(tree, "services", "gateway", "console")
	steps := []step{
		{
			name: "the console's tools", first: "half a minute the first time",
			needed: func() bool {
				return older(filepath.Join(console, "node_modules", ".package-lock.json"), filepath.Join(console, "package-lock.json"))
			},
			command: []string{"npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"},
			dir:     console,
		},
		{
			name:    "the console",
			needed:  func() bool { return olderThanAny(filepath.Join(console, "dist", "index.html"), console) },
			command: []string{"npm", "run", "build"},
			dir:     console,
		},
		{
			name: "our programs", needed: func() bool { return true },
			command: []string{"go", "build", "-o", bin, "./drivers/psu", "./drivers/sensor", "./drivers/sim", "./drivers/ph2acf", "./drivers/ph2acfsim",
				"./services/loader", "./services/broker", "./services/runcontrol", "./services/calibration", "./services/gateway"},
			dir: tree,
		},
		{
			name: "InfluxDB 1.8", first: "one to two minutes the first time",
			needed: func() bool {
				return older(filepath.Join(bin, "influxd"), filepath.Join(tree, "tools", "influxd", "go.mod"))
			},
			command: []string{"go", "build", "-o", bin, "-ldflags", "-X main.version=1.8.10", "github.com/influxdata/influxdb/cmd/influxd"},
			dir:     filepath.Join(tree, "tools", "influxd"),
		},
		{
			name: "FerretDB", first: "one to two minutes the first time",
			needed: func() bool {
				made, from := filepath.Join(bin, "ferretdb"), filepath.Join(tree, "tools", "ferretdb")
				return older(made, filepath.Join(from, "go.mod")) || older(made, filepath.Join(from, "main.go"))
			},
			command: []string{"go", "build", "-o", bin, "."},
			dir:     filepath.Join(tree, "tools", "ferretdb"),
		},
		{
			name: "Node-RED and its nodes", first: "half a minute the first time",
			needed:  func() bool { return older(modules, filepath.Join(tree, "nodered", "package-lock.json")) },
			command: []string{"npm", "ci", "--omit=dev", "--no-audit", "--no-fund", "--loglevel=error"},
			dir:     filepath.Join(tree, "nodered"),
		},
	}
	for i, s := range steps {
		fmt.Fprintf(out, "[%d/%d] %s: ", i+1, len(steps), s.name)
		if !s.needed() {
			fmt.Fprintln(out, "there already")
			continue
		}
		if s.first != "" {
			fmt.Fprintf(out, "building, %s … ", s.first)
		}
		began := time.Now()
		if err := s.run(ctx); err != nil {
			fmt.Fprintln(out, "failed")
			return err
		}
		fmt.Fprintf(out, "built in %.1f s\n", time.Since(began).Seconds())
	}
	return nil
}

func (s step) run(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, s.command[0], s.command[1:]...)
	cmd.Dir = s.dir
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("building %s: %w\n%s\nin %s the command was: %s", s.name, err, strings.TrimSpace(said.String()), s.dir, strings.Join(s.command, " "))
	}
	return nil
}

// olderThanAny reports whether made is missing or older than a file of the
// folder; what npm and the build have put there does not count.
func olderThanAny(made, folder string) bool {
	stale := false
	_ = filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == "dist"):
			return fs.SkipDir
		case !d.IsDir() && older(made, path):
			stale = true
			return fs.SkipAll
		}
		return nil
	})
	return stale
}

// older reports whether made is missing or older than what it is made from.
func older(made, from string) bool {
	m, err := os.Stat(made)
	f, err2 := os.Stat(from)
	return errors.Join(err, err2) != nil || m.ModTime().Before(f.ModTime())
}
