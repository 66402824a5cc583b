package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/disk"
)

// forgetFormer takes out of the broker's persistent session what earlier
// settings subscribed to, and remembers what these subscribe to. A session keeps
// topics for ever: after a change of DCS_TOPIC_ROOT the old root's messages
// would go on to come.
func forgetFormer(c *bus.Client, name string, now []string, log *slog.Logger) error {
	var before []string
	b, err := os.ReadFile(name)
	if err == nil {
		err = json.Unmarshal(b, &before)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		log.Error("the list of former subscriptions cannot be read; old ones may stay in the broker's session", "error", err)
		before = nil
	}
	all := append(slices.Clone(now), before...)
	slices.Sort(all)
	all = slices.Compact(all)
	// A list that says it all already is not written again: on a full disk that
	// would fail, and only a loader that starts can make room.
	slices.Sort(before)
	if !slices.Equal(all, slices.Compact(before)) {
		if err := keepFilters(name, all); err != nil {
			return err
		}
	}
	former := slices.DeleteFunc(slices.Clone(all), func(f string) bool { return slices.Contains(now, f) })
	if len(former) == 0 {
		return nil
	}
	c.Unsubscribe(former...)
	c.OnConnect(func() { // they are gone
		if err := keepFilters(name, now); err != nil {
			log.Error("the list of subscriptions cannot be written", "error", err)
		}
	})
	return nil
}

// keepFilters replaces the list in one step.
func keepFilters(name string, filters []string) error {
	b, err := json.Marshal(filters)
	if err == nil {
		err = disk.WriteFile(name, b, 0o640)
	}
	if err != nil {
		return fmt.Errorf("the list of subscriptions: %w", err)
	}
	return nil
}
