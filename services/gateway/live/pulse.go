package live

import (
	"encoding/json"
	"time"
)

// Timing of the gateway's own messages.
const (
	beatEvery = 500 * time.Millisecond
	beatWait  = 2 * time.Second
)

// beat is what the gateway says to hear it again: a broker that is frozen keeps its
// connections open.
type beat struct {
	Boot string `json:"boot"`
	N    uint64 `json:"n"`
}

// pulse tells whether the bus is alive. It is for one goroutine.
type pulse struct {
	boot      string
	connected bool
	n         uint64
	sent      [8]time.Time // of the last beats, by number
	heard     time.Time    // when the newest beat was sent that has come back over this connection
	last      time.Time    // … over any
	said      Bus
}

// next makes a beat.
func (p *pulse) next(now time.Time) []byte {
	p.n++
	p.sent[p.n%uint64(len(p.sent))] = now
	b, err := json.Marshal(beat{p.boot, p.n})
	if err != nil {
		return nil // a string and a number are always JSON
	}
	return b
}

// hear takes a beat. It counts from when it was sent: one that comes late says what
// was, and not what is.
func (p *pulse) hear(payload []byte) {
	var b beat
	if json.Unmarshal(payload, &b) != nil || b.Boot != p.boot || b.N > p.n || b.N+uint64(len(p.sent)) <= p.n {
		return
	}
	if at := p.sent[b.N%uint64(len(p.sent))]; at.After(p.heard) {
		p.heard, p.last = at, at
	}
}

// connect and disconnect take news of the connection.
func (p *pulse) connect()    { p.connected = true }
func (p *pulse) disconnect() { p.connected, p.heard = false, time.Time{} }

// bus is what is said of the bus now, and whether that is news.
func (p *pulse) bus(now time.Time) (Bus, bool) {
	alive := p.connected && !p.heard.IsZero() && now.Sub(p.heard) <= beatWait
	news := p.said.Since.IsZero() || alive != p.said.Alive || p.connected != p.said.Connected
	if news {
		since := now
		if !alive && !p.last.IsZero() {
			since = p.last // nothing has been heard since
		}
		p.said = Bus{Connected: p.connected, Alive: alive, Since: since.UTC().Round(0)}
	}
	return p.said, news
}
