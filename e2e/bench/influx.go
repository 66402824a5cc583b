package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"time"
)

// influx is an InfluxDB 1.8 with one database. It can be killed and started
// again on the same data.
type influx struct {
	*child
	url  string
	boot func() (*child, error)
}

func (b *bench) startInflux(ctx context.Context, dir string) (*influx, error) {
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	x := &influx{url: "http://127.0.0.1:" + port}
	x.boot = func() (*child, error) {
		return startChild("influxd", filepath.Join(dir, "influxd.log"), []string{
			"INFLUXDB_HTTP_BIND_ADDRESS=127.0.0.1:" + port,
			"INFLUXDB_HTTP_FLUX_ENABLED=false", // it costs seconds of a core at the start
			"INFLUXDB_META_DIR=" + filepath.Join(dir, "meta"),
			"INFLUXDB_DATA_DIR=" + filepath.Join(dir, "data"),
			"INFLUXDB_DATA_WAL_DIR=" + filepath.Join(dir, "wal"),
		}, filepath.Join(b.bin, "influxd"), "run", "-config", b.influxd)
	}
	if err := x.start(ctx); err != nil {
		return nil, err
	}
	if err := x.renew(ctx); err != nil {
		x.stop()
		return nil, err
	}
	return x, nil
}

// start runs it and waits until it answers.
func (x *influx) start(ctx context.Context) error {
	c, err := x.boot()
	if err != nil {
		return err
	}
	x.child = c
	if err := c.await(ctx, time.Minute, func(ctx context.Context) bool {
		_, err := x.ask(ctx, "SHOW DATABASES")
		return err == nil
	}); err != nil {
		c.stop()
		return err
	}
	return nil
}

// renew leaves an empty database.
func (x *influx) renew(ctx context.Context) error {
	for _, q := range []string{`DROP DATABASE "dcs"`, `CREATE DATABASE "dcs" WITH NAME "autogen"`} {
		if _, err := x.ask(ctx, q); err != nil {
			return err
		}
	}
	return nil
}

// ask puts a question in InfluxQL and returns the values of the second column
// of each series: what is left of SELECT f(x) beside the time.
func (x *influx) ask(ctx context.Context, q string) ([]float64, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, x.url+"/query?db=dcs&q="+url.QueryEscape(q), nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	v, err := parseAnswer(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", q, res.Status, err)
	}
	return v, nil
}

func parseAnswer(b []byte) ([]float64, error) {
	var a struct {
		Error   string
		Results []struct {
			Error  string
			Series []struct{ Values [][]any }
		}
	}
	if err := json.Unmarshal(b, &a); err != nil {
		return nil, err
	}
	var values []float64
	for _, r := range a.Results {
		a.Error += r.Error
		for _, s := range r.Series {
			for _, v := range s.Values {
				if len(v) < 2 {
					continue // a list of names
				}
				if f, ok := v[1].(float64); ok {
					values = append(values, f)
				}
			}
		}
	}
	if a.Error != "" {
		return nil, fmt.Errorf("%s", a.Error)
	}
	return values, nil
}

// count is how many points the archive has of the devices whose name matches a
// regular expression.
func (x *influx) count(ctx context.Context, names string) (int, error) {
	v, err := x.ask(ctx, `SELECT count("seq") FROM /`+names+`/`)
	sum := 0.0
	for _, n := range v {
		sum += n
	}
	return int(sum), err
}

// last is the highest seq of a device that a query finds, 0 when there is none.
func (x *influx) last(ctx context.Context, device string) (int, error) {
	v, err := x.ask(ctx, `SELECT last("seq") FROM "`+device+`"`)
	if err != nil || len(v) == 0 {
		return 0, err
	}
	return int(v[0]), nil
}
