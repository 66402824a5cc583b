//go:build !linux

package dht

import "errors"

// terminal is missing here: raw mode is set in each system's own way.
type terminal struct{}

func openTerminal() (*terminal, string, error) { return nil, "", errors.ErrUnsupported }

func (*terminal) write([]byte) error { return errors.ErrUnsupported }

func (*terminal) Close() error { return nil }
