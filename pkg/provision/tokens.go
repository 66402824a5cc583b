package provision

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"trackerdcs/pkg/disk"
)

// Grant is what the token of a program may do with the archive's database.
type Grant struct {
	Name        string // of the program, and of the token's folder
	Read, Write bool
}

// Grants are the tokens that are made, each no stronger than its program needs.
// The loader asks nothing of the archive: it only writes.
func Grants() []Grant {
	return []Grant{
		{Name: "loader", Write: true},
		{Name: "grafana", Read: true},
		{Name: "gateway", Read: true},
		{Name: "backup", Read: true, Write: true},
	}
}

// may says for people what the grant allows.
func (g Grant) may() string {
	switch {
	case g.Read && g.Write:
		return "read and write"
	case g.Write:
		return "write"
	}
	return "read"
}

// isGrant reports whether there is such a token.
func isGrant(name string) bool {
	return slices.ContainsFunc(Grants(), func(g Grant) bool { return g.Name == name })
}

// grantNames lists the tokens for a message.
func grantNames() string {
	var names []string
	for _, g := range Grants() {
		names = append(names, g.Name)
	}
	return strings.Join(names, ", ")
}

// server is an InfluxDB of one version.
type server interface {
	// prepare sees that the database is there and can be asked in InfluxQL.
	prepare(ctx context.Context) error
	// stands reports whether the server knows the token and allows what it must,
	// and no more as far as that can be seen.
	stands(ctx context.Context, g Grant, token string) (bool, error)
	// renew makes a new token, has it kept, and takes the old ones away.
	renew(ctx context.Context, g Grant, keep func(token string) error) error
}

// token sees that there is a token of one grant that works, in its file.
func (c *Influx) token(ctx context.Context, s server, g Grant) error {
	file := filepath.Join(c.TokensDir, g.Name, "token")
	old, err := readToken(file)
	if err != nil {
		return fmt.Errorf("the token of %s: %w", g.Name, err)
	}
	rotate := slices.Contains(c.Rotate, g.Name)
	if old != "" && !rotate {
		ok, err := s.stands(ctx, g, old)
		if err != nil {
			return fmt.Errorf("trying the token of %s: %w", g.Name, err)
		}
		if ok {
			c.Log.Info("a token works and stays", "name", g.Name, "may", g.may())
			return nil
		}
	}
	made := ""
	err = s.renew(ctx, g, func(token string) error {
		made = token
		return writeToken(file, token)
	})
	if err != nil {
		return fmt.Errorf("making the token of %s: %w", g.Name, err)
	}
	ok, err := s.stands(ctx, g, made)
	switch {
	case err != nil:
		return fmt.Errorf("trying the new token of %s: %w", g.Name, err)
	case !ok:
		return fmt.Errorf("the new token of %s may not %s in the archive although it was given that right: look into InfluxDB's log", g.Name, g.may())
	}
	what := "a token is made"
	if rotate || old != "" {
		what = "a token is replaced"
	}
	c.Log.Info(what, "name", g.Name, "may", g.may(), "file", file)
	return nil
}

// readToken reads a token's file; none, or an empty one, is no token yet.
func readToken(file string) (string, error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(b)), err
}

// writeToken replaces a token's file in one step: a program that reads it
// meanwhile has the old token or the new one. Its folder is what a container
// mounts, and each container has another user, so all may read.
func writeToken(file, token string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("making its folder: %w", err)
	}
	err := disk.WriteFileWith(file, []byte(token+"\n"), 0o444, func(f *os.File) error { return f.Chmod(0o444) })
	if err != nil {
		return fmt.Errorf("writing its file: %w", err)
	}
	return nil
}
