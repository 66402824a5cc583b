package line

import (
	"fmt"
	"slices"
	"sync"
)

// journalSize bounds what is remembered; the oldest goes first.
const journalSize = 10000

// Journal remembers what an instrument was told. It is safe for concurrent use.
type Journal struct {
	mu     sync.Mutex
	log    []string
	writes []string
}

// Log returns every line that was executed, in order, refused ones included.
func (j *Journal) Log() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.log)
}

// Writes returns every command that the instrument took and that alters an output,
// a setpoint, a limit, a ramp, a protection or a latch, in order, as
// "<channel> <command as sent>", with "-" for the channel of a command that is
// about none. A command for several channels is listed once for each.
func (j *Journal) Writes() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.writes)
}

// ResetLog forgets both.
func (j *Journal) ResetLog() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.log, j.writes = nil, nil
}

// Heard adds a line to the log.
func (j *Journal) Heard(text string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.log = bounded(j.log, text)
}

// Altered adds a command to the writes; a channel below zero is none.
func (j *Journal) Altered(channel int, text string) {
	who := "-"
	if channel >= 0 {
		who = fmt.Sprint(channel)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.writes = bounded(j.writes, who+" "+text)
}

func bounded(list []string, text string) []string {
	if len(list) >= journalSize {
		list = slices.Delete(list, 0, journalSize/10)
	}
	return append(list, text)
}
