package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// maxPasswordLine is far above what a password may have.
const maxPasswordLine = 4096

// passwordFlags say where a password comes from.
type passwordFlags struct {
	PasswordFile string `help:"File whose first line is the password; - is the standard input. Without it dcs asks." placeholder:"FILE"`
}

// keys are where somebody types.
type keys struct {
	in     io.Reader
	secret func(context.Context) (string, error) // reads a line and does not show it; nil when nobody is there
}

// keyboard is that of the process.
func keyboard() keys {
	k := keys{in: os.Stdin}
	if fd := int(os.Stdin.Fd()); term.IsTerminal(fd) {
		k.secret = func(ctx context.Context) (string, error) { return readSecret(ctx, fd) }
	}
	return k
}

// readSecret reads a line from a terminal that does not show it. When ctx ends
// the terminal shows again what is typed.
func readSecret(ctx context.Context, fd int) (string, error) {
	before, err := term.GetState(fd)
	if err != nil {
		return "", fmt.Errorf("asking for the password: %w", err)
	}
	type line struct {
		text []byte
		err  error
	}
	lines := make(chan line, 1)
	go func() { // ends with the line, or with the process: a terminal cannot be told to stop
		text, err := term.ReadPassword(fd)
		lines <- line{text, err}
	}()
	select {
	case l := <-lines:
		if l.err != nil {
			return "", fmt.Errorf("reading the password: %w", l.err)
		}
		return string(l.text), nil
	case <-ctx.Done():
		_ = term.Restore(fd, before)
		return "", errors.New("interrupted: nothing was changed")
	}
}

// password reads a password from where the flags say; on a terminal it asks
// twice.
func (f *passwordFlags) password(ctx context.Context, con console, in keys) (string, error) {
	switch {
	case f.PasswordFile != "" && f.PasswordFile != "-":
		file, err := os.Open(f.PasswordFile)
		if err != nil {
			return "", fmt.Errorf("--password-file: %w", err)
		}
		defer file.Close()
		return firstLine(file)
	case in.secret == nil || f.PasswordFile == "-":
		return firstLine(in.in)
	}
	var typed [2]string
	for i, ask := range []string{"Password: ", "Once more: "} {
		fmt.Fprint(con.err, ask)
		text, err := in.secret(ctx)
		fmt.Fprintln(con.err)
		if err != nil {
			return "", err
		}
		typed[i] = text
	}
	if typed[0] != typed[1] {
		return "", errors.New("the two passwords differ: nothing was changed")
	}
	return typed[0], nil
}

// firstLine reads up to the first line's end.
func firstLine(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, maxPasswordLine)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("reading the password: %w", err)
	}
	line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
	if line == "" {
		return "", errors.New("no password on the first line")
	}
	return line, nil
}
