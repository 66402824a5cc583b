package service

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Serve serves /healthz, /readyz and /metrics until ctx ends, for a program that
// does not run under Main.
func Serve(ctx context.Context, addr string, health *Health, metrics *prometheus.Registry, log *slog.Logger) error {
	return (&Env{Health: health, Metrics: metrics, Log: log}).serveHTTP(ctx, addr)
}

// NewMetrics returns a registry with the figures of the process.
func NewMetrics() *prometheus.Registry { return newRegistry() }

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
