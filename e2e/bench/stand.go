package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// stand is a test stand: a broker and a database of its own.
type stand struct {
	dir    string
	data   string // of the contender that runs
	runs   int
	broker *mosquitto
	influx *influx
}

func (b *bench) setUp(ctx context.Context, queues string) (*stand, error) {
	b.stands++
	s := &stand{dir: filepath.Join(b.dir, fmt.Sprint(b.stands))}
	if err := os.MkdirAll(s.dir, 0o750); err != nil {
		return nil, err
	}
	var err error
	if s.broker, err = b.startMosquitto(ctx, s.dir, queues); err != nil {
		return nil, err
	}
	if s.influx, err = b.startInflux(ctx, s.dir); err != nil {
		s.broker.stop()
		return nil, err
	}
	return s, nil
}

// tearDown ends it; the files go with the bench's folder, the large ones now.
func (b *bench) tearDown(s *stand) {
	s.influx.stop()
	s.broker.stop()
	if !b.keep {
		_ = os.RemoveAll(s.dir)
	}
}
