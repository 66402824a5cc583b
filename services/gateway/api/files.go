package api

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"

	"trackerdcs/pkg/auditlog"
	"trackerdcs/pkg/runs"
	"trackerdcs/pkg/wire"
)

func (s *server) files(w http.ResponseWriter, r *http.Request) error {
	number, err := runNumber(r)
	if err != nil {
		return err
	}
	return s.heavy(w, r, func() (any, error) {
		found, err := s.cfg.Runs.Files(r.Context(), number)
		if err == nil && len(found) == 0 { // a run without files, or none
			found = []runs.File{}
			_, err = s.cfg.Runs.Get(r.Context(), number)
		}
		if err != nil {
			return nil, s.runsError(r.Context(), err, noSuchRun(number))
		}
		return map[string]any{"files": found}, nil
	})
}

// kinds are the types of files that say which they have; they are attachments
// all the same.
var kinds = map[string]string{
	".csv": "text/csv; charset=utf-8", ".json": "application/json", ".txt": "text/plain; charset=utf-8", ".log": "text/plain; charset=utf-8",
}

// maxFileName is how long the name of a file may be, in bytes.
const maxFileName = 1024

// allowedFile reports whether a file of a run may have the name.
func allowedFile(name string) bool {
	return name != "" && len(name) <= maxFileName && !strings.Contains(name, "..") && !strings.Contains(name, `\`) &&
		!strings.HasPrefix(name, "/") && !strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c == 0x7f })
}

// savedAs is the name under which a browser is to save a file: without folders
// and with plain letters alone.
func savedAs(run int64, name string) string {
	plain := strings.Map(func(c rune) rune {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
			return c
		}
		return '_'
	}, path.Base(name))
	return "run" + strconv.FormatInt(run, 10) + "-" + plain
}

func (s *server) file(w http.ResponseWriter, r *http.Request) error {
	who, err := asker(r)
	if err != nil {
		return err
	}
	number, err := runNumber(r)
	if err != nil {
		return err
	}
	name := r.PathValue("name")
	missing := fmt.Sprintf("Run %d has no file %q: see %s/runs/%d/files.", number, wire.Echo(name), Prefix, number)
	if !allowedFile(name) {
		return refuse(http.StatusNotFound, "no-such-file", "%s", missing)
	}
	content, f, err := s.cfg.Runs.OpenFile(r.Context(), number, name)
	if err != nil {
		return s.runsError(r.Context(), err, missing)
	}
	defer content.Close()
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	if kind := kinds[strings.ToLower(path.Ext(name))]; kind != "" {
		h.Set("Content-Type", kind)
	}
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": savedAs(number, name)}))
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	h.Set("Content-Length", strconv.FormatInt(f.Size, 10))
	if r.Method == http.MethodHead {
		return nil
	}
	if s.fetched.Take(who) {
		e := entryOf(who, auditlog.Download)
		e.Run, e.Message = number, name
		_ = s.note(r.Context(), e)
	}
	way, end := newPaced(r.Context(), w, s.unread)
	defer end()
	if err := copyWhole(way, content); err != nil {
		if r.Context().Err() == nil {
			s.cfg.Log.WarnContext(r.Context(), "a download has broken off", "run", number, "file", name, "error", err)
		}
		panic(http.ErrAbortHandler) // what is there so far must not look like the file
	}
	return nil
}

const copyBytes = 64 << 10

// copyWhole copies a file of which only the end says whether it is whole: the
// last piece goes out when that is known.
func copyWhole(w io.Writer, r io.Reader) error {
	held, next := make([]byte, 0, copyBytes), make([]byte, copyBytes)
	for {
		n, err := io.ReadFull(r, next)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
		if _, err := w.Write(held); err != nil {
			return fmt.Errorf("sending: %w", err)
		}
		if err != nil {
			_, err = w.Write(next[:n])
			return err
		}
		held, next = next[:n], held[:cap(held)]
	}
}
