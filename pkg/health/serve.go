package health

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Serve serves pages, those of Handler, at addr until ctx ends.
func Serve(ctx context.Context, addr string, pages http.Handler, log *slog.Logger) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("DCS_HTTP: %w: choose another port or end what holds it", err)
	}
	log.Info("serving health and metrics", "address", l.Addr().String())
	srv := &http.Server{Handler: pages, ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving health: %w", err)
	}
	return nil
}

// Check asks the program that serves health at addr how it is. The error holds
// what it said when it is not well.
func Check(ctx context.Context, addr string) (said string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+dialable(addr)+"/healthz", nil)
	if err != nil {
		return "", err
	}
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req) // through no proxy
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(res.Body, 4096))
	said = strings.TrimSpace(string(body))
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("not healthy: %s", said)
	}
	return said, nil
}

// dialable turns an address to listen on into one to dial.
func dialable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || !slices.Contains([]string{"", "0.0.0.0", "::"}, host) {
		return addr
	}
	return net.JoinHostPort("127.0.0.1", port)
}
