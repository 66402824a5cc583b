package trackerdcs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	testFunc  = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w*)\(`)
	namedTest = regexp.MustCompile("`((?:Test|Fuzz)[A-Z0-9]\\w*)(…|/[^`]*)?`")
	codeSpan  = regexp.MustCompile("`[^`\n]*`")
	link      = regexp.MustCompile(`\]\(([^()\s]+)\)`)
)

// testsOfTree are the names of all tests and fuzz targets, those behind build
// tags included.
func testsOfTree(t *testing.T) map[string]bool {
	t.Helper()
	names := make(map[string]bool)
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch base := d.Name(); {
		case err != nil:
			return err
		case d.IsDir() && (base == "node_modules" || base == "data" || strings.HasPrefix(base, ".") && base != "."):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(base, "_test.go"):
			return nil
		}
		b, err := os.ReadFile(name)
		for _, m := range testFunc.FindAllSubmatch(b, -1) {
			names[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// documents are the files that people read, by their names.
func documents(t *testing.T, patterns ...string) map[string]string {
	t.Helper()
	texts := make(map[string]string)
	for _, p := range patterns {
		found, err := filepath.Glob(p)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: no such document (%v)", p, err)
		}
		for _, name := range found {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			texts[name] = string(b)
		}
	}
	return texts
}

// A claim whose test was renamed or removed is no claim any more. `TestX…` is
// any test that begins so; of `TestX/Sub` only TestX is looked for.
func TestDocumentsNameTestsThatExist(t *testing.T) {
	tests := testsOfTree(t)
	exists := func(name, rest string) bool {
		if rest != "…" {
			return tests[name]
		}
		for test := range tests {
			if strings.HasPrefix(test, name) {
				return true
			}
		}
		return false
	}
	for file, text := range documents(t, "README.md", "docs/*.md") {
		for _, m := range namedTest.FindAllStringSubmatch(text, -1) {
			if !exists(m[1], m[2]) {
				t.Errorf("%s names %s, and there is no such test", file, m[0])
			}
		}
	}
}

// TestLinksOfDocuments: what the documents link to, pictures included, is there.
func TestLinksOfDocuments(t *testing.T) {
	for file, text := range documents(t, "README.md", "docs/*.md") {
		for _, m := range link.FindAllStringSubmatch(codeSpan.ReplaceAllString(text, ""), -1) {
			to, _, _ := strings.Cut(m[1], "#")
			if to == "" || strings.Contains(to, ":") { // within the page; of other hosts
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(file), filepath.FromSlash(to))); err != nil {
				t.Errorf("%s links to %s: %v", file, m[1], err)
			}
		}
	}
}
