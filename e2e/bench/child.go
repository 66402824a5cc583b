package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

// child is a program that runs in a process group of its own, so that Ctrl-C
// reaches us alone and we end the others in order.
type child struct {
	name string
	log  string // the file with its output
	cmd  *exec.Cmd
	done chan struct{}
}

// startChild runs a program with our environment and env. Its output is added
// to the file log.
func startChild(name, log string, env []string, program string, args ...string) (*child, error) {
	f, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = f, f
	cmd.SysProcAttr = ownGroup()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	c := &child{name: name, log: log, cmd: cmd, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		_ = cmd.Wait() // how it ended is in its log
	}()
	return c, nil
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// signal reaches the whole group, and nothing when the child has ended.
func (c *child) signal(s syscall.Signal) {
	select {
	case <-c.done:
	default:
		_ = syscall.Kill(-c.pid(), s)
	}
}

// kill ends it as a power cut does.
func (c *child) kill() {
	c.signal(syscall.SIGKILL)
	<-c.done
}

// stop asks it to end and kills it if it does not. A nil child has ended.
func (c *child) stop() {
	if c == nil {
		return
	}
	c.signal(syscall.SIGTERM)
	select {
	case <-c.done:
	case <-time.After(10 * time.Second):
		c.kill()
	}
}

// await waits until ready says so.
func (c *child) await(ctx context.Context, limit time.Duration, ready func(context.Context) bool) error {
	deadline := time.After(limit)
	for !ready(ctx) {
		select {
		case <-c.done:
			return fmt.Errorf("%s ended by itself:\n%s", c.name, tail(c.log))
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline:
			return fmt.Errorf("%s is not ready after %v:\n%s", c.name, limit, tail(c.log))
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

// tail is the end of a log.
func tail(file string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-2000):])
}

// freePort is a port on loopback that nobody listens on.
func freePort(ctx context.Context) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	addr, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return "", errors.New("no TCP address")
	}
	return strconv.Itoa(addr.Port), nil
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
