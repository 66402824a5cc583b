package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"trackerdcs/pkg/service"
	"trackerdcs/pkg/service/servicetest"
)

func TestREADME(t *testing.T) { servicetest.README(t, &config{}, "README.md") }

func TestBadSettings(t *testing.T) {
	file := func(text string) string {
		name := filepath.Join(t.TempDir(), "uri")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	for _, tt := range []struct {
		want string // begins the one complaint, or nothing is wrong
		make func(*config)
	}{
		{"DCS_BROKER:", func(c *config) { c.Broker = "localhost:1883" }},
		{"DCS_MONGO_URI:", func(c *config) { c.MongoURI = "" }},
		{"DCS_MONGO_URI:", func(c *config) { c.MongoURI = "127.0.0.1:27017" }},
		{"DCS_MONGO_URI:", func(c *config) { c.MongoURI = "mongodb://" }},
		{"DCS_MONGO_URI_FILE: open ", func(c *config) { c.MongoURIFile = "/there/is/none" }},
		{"DCS_MONGO_URI_FILE: ", func(c *config) { c.MongoURIFile = file("\n") }},
		{"DCS_MONGO_DATABASE:", func(c *config) { c.MongoDatabase = "" }},
		{"DCS_MONGO_DATABASE:", func(c *config) { c.MongoDatabase = "a.b" }},
		{"", func(*config) {}},
		{"", func(c *config) { c.MongoURI = "mongodb+srv://cluster/?tls=true" }},
		{"", func(c *config) { c.MongoURIFile, c.MongoURI = file("mongodb://u:p@host:27017/\n"), "" }},
	} {
		c := &config{Bus: service.Bus{Broker: "tcp://127.0.0.1:1883"}, MongoURI: "mongodb://127.0.0.1:27017", MongoDatabase: "dcs"}
		tt.make(c)
		err := c.Validate()
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("good settings: %v", err)
		case tt.want != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.want) || strings.Count(err.Error(), "\n") > 0):
			t.Errorf("want %s…: %v", tt.want, err)
		}
	}
}
