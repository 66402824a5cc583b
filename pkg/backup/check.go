package backup

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// dialTime is how long a broker that runs may take to answer.
const dialTime = 2 * time.Second

// check says all that stands in the way of a restore.
func (r *restorer) check(ctx context.Context) error {
	if r.force {
		return nil
	}
	errs := []error{r.checkRunning(ctx)}
	if len(r.volumes) > 0 {
		errs = append(errs, r.checkVolumes(), r.checkSecrets())
	}
	if r.wants(PartMongo) {
		names, err := r.to.Mongo.Collections(ctx)
		for _, name := range names {
			n, e := r.to.Mongo.Count(ctx, name)
			if err = errors.Join(err, e); n > 0 {
				errs = append(errs, fmt.Errorf("MongoDB is not empty, %s has %d documents: --force replaces those of the same _id and leaves the others", name, n))
				break
			}
		}
		errs = append(errs, err)
	}
	if r.wants(PartInflux) {
		names, err := r.to.Influx.Measurements(ctx)
		if len(names) > 0 {
			errs = append(errs, fmt.Errorf("InfluxDB is not empty, it has %s: --force adds to it", strings.Join(names[:min(len(names), 5)], ", ")))
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// checkRunning looks for programs that would write over what is restored, or go
// on with what they have in memory.
func (r *restorer) checkRunning(ctx context.Context) error {
	var errs []error
	if u, err := url.Parse(r.opts.Broker); err == nil && u.Host != "" {
		dialer := net.Dialer{Timeout: dialTime}
		if conn, err := dialer.DialContext(ctx, "tcp", u.Host); err == nil {
			_ = conn.Close()
			errs = append(errs, fmt.Errorf("the stack runs, its broker answers at %s: end all but the databases first (docker compose stop; docker compose up -d --wait influxdb mongo)", u.Host))
		}
	}
	for _, name := range r.volumes {
		err := filepath.WalkDir(filepath.Join(r.to.Volumes, name), func(p string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return nil // what cannot be read is told when it is replaced
			}
			if ext := filepath.Ext(p); d.Name() != "lock" && ext != ".lock" && ext != ".db" {
				return nil
			}
			if held(p) {
				return fmt.Errorf("a program runs that holds %s: end it first", p)
			}
			return nil
		})
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// checkVolumes refuses to mix what is there with what was saved.
func (r *restorer) checkVolumes() error {
	var full, missing []string
	for _, name := range r.volumes {
		entries, err := os.ReadDir(filepath.Join(r.to.Volumes, name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			missing = append(missing, name)
		case err != nil:
			return err
		case slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() != "lost+found" }):
			full = append(full, name)
		}
	}
	var errs []error
	if len(full) > 0 {
		errs = append(errs, fmt.Errorf("not empty: %s in %s: --force replaces their content", strings.Join(full, ", "), r.to.Volumes))
	}
	// In a container a volume that is not mounted would be restored into nothing.
	if len(missing) > 0 && len(missing) < len(r.volumes) {
		errs = append(errs, fmt.Errorf("not there: %s in %s: mount them (dcs init writes the override file from instruments.yml), name the others with --only volumes/NAME, or make the folders",
			strings.Join(missing, ", "), r.to.Volumes))
	}
	return errors.Join(errs...)
}

// Secrets that are made from others, or that nothing restored depends on.
var derived = []string{
	"secrets/mosquitto_acl", "secrets/mosquitto_passwd", "secrets/mosquitto_crt", "secrets/mosquitto_key", // the certificate is renewed by itself
	"secrets/first_users", "secrets/first_login", "secrets/README.md", "secrets/.gitignore",
}

// checkSecrets refuses an installation whose secrets are others than those of the
// backup: what Node-RED has encrypted with its own could not be read any more.
func (r *restorer) checkSecrets() error {
	if r.to.Install == "" || r.manifest.Config == nil {
		return nil
	}
	root, err := os.OpenRoot(r.to.Install)
	if err != nil {
		return fmt.Errorf("DCS_INSTALL_DIR: %w", err)
	}
	defer func() { _ = root.Close() }()
	f, err := r.open(configFile)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	var differ []string
	for files := tar.NewReader(f); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("%s: %w", configFile, err)
		}
		if !strings.HasPrefix(h.Name, "secrets/") || slices.Contains(derived, h.Name) {
			continue
		}
		saved := sha256.New()
		if _, err := io.Copy(saved, files); err != nil {
			return fmt.Errorf("%s: %w", configFile, err)
		}
		has, err := root.ReadFile(h.Name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if sum := sha256.Sum256(has); err != nil || string(sum[:]) != string(saved.Sum(nil)) {
			differ = append(differ, strings.TrimPrefix(h.Name, "secrets/"))
		}
	}
	if len(differ) > 0 {
		return fmt.Errorf("secrets differ from those of the backup: %s: dcs init --from %s takes those of the backup (before the databases are started for the first time)", strings.Join(differ, ", "), r.opts.Backup)
	}
	return nil
}
