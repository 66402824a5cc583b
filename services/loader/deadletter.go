package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
	"unicode/utf8"
)

// deadLetterFile is in the data folder: one JSON object a line.
const deadLetterFile = "dead-letters.jsonl"

// letter is a message, or a part of one, that cannot be stored.
type letter struct {
	Time    string `json:"time"` // when it arrived
	Reason  string `json:"reason"`
	Topic   string `json:"topic,omitempty"`
	QoS     byte   `json:"qos"`
	Payload string `json:"payload"`
	Base64  bool   `json:"base64,omitempty"` // the payload is not UTF-8 and stands there in base64
	Bytes   int    `json:"bytes,omitempty"`  // what the payload had when it was cut
	Line    string `json:"line,omitempty"`   // what InfluxDB refused of it
}

// newLetter puts a message aside.
func newLetter(m *message, reason error) letter {
	l := letter{Time: stamp(m.arrived), Reason: reason.Error(), Topic: m.Topic, QoS: m.QoS, Payload: string(m.Payload)}
	if !utf8.Valid(m.Payload) {
		l.Payload, l.Base64 = base64.StdEncoding.EncodeToString(m.Payload), true
	}
	if m.length > len(m.Payload) {
		l.Bytes = m.length
	}
	return l
}

func (l letter) append(dst []byte) []byte {
	b, _ := json.Marshal(l) // strings and numbers
	return append(append(dst, b...), '\n')
}

// deadLetters is the file of what could not be stored.
type deadLetters struct {
	name  string
	limit int64
	file  *os.File
	size  int64
}

func newDeadLetters(dir string, limit int64) *deadLetters {
	return &deadLetters{name: filepath.Join(dir, deadLetterFile), limit: limit}
}

// write appends letters and returns when they are on disk. kept is false when
// the file has reached its limit and they are lost.
func (d *deadLetters) write(letters []byte) (kept bool, err error) {
	if d.file != nil && !d.inPlace() {
		d.close()
	}
	if d.file == nil {
		if err := d.open(); err != nil {
			return false, fmt.Errorf("dead letters: %w", err)
		}
	}
	if d.size+int64(len(letters)) > d.limit {
		d.close() // who moves the file away finds a new one begun
		return false, nil
	}
	_, err = d.file.Write(letters)
	if err == nil {
		err = d.file.Sync()
	}
	if err != nil {
		_ = d.file.Truncate(d.size)
		d.close()
		return false, fmt.Errorf("dead letters: %w", err)
	}
	d.size += int64(len(letters))
	return true, nil
}

// inPlace reports whether the open file still has its name: whoever has moved it
// away must not find it growing, or lose what comes after.
func (d *deadLetters) inPlace() bool {
	named, err := os.Stat(d.name)
	if err != nil {
		return false
	}
	open, err := d.file.Stat()
	return err == nil && os.SameFile(named, open)
}

func (d *deadLetters) open() error {
	f, err := os.OpenFile(d.name, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o640)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return err
	}
	d.file, d.size = f, info.Size()
	last := []byte{'\n'}
	if d.size > 0 {
		_, err = f.ReadAt(last, d.size-1)
	}
	if err == nil && last[0] != '\n' { // a line that was cut off must not spoil the next
		_, err = f.WriteString("\n")
		d.size++
	}
	if err != nil {
		d.close()
	}
	return err
}

func (d *deadLetters) close() {
	if d.file != nil {
		_ = d.file.Close()
		d.file = nil
	}
}

// appendNote appends a line for the archive: which message was put aside, so
// that an audit can say why a number is missing.
func appendNote(dst []byte, service string, o *outcome, topic, reason string, now time.Time) []byte {
	dst = append(dst, "service"...)
	if o.device != "" {
		dst = append(append(dst, ",device="...), escaped(o.device)...)
	}
	dst = append(append(dst, ",record=dead_letter,service="...), escaped(service)...)
	dst = appendQuoted(append(dst, " topic="...), topic)
	dst = appendQuoted(append(dst, ",reason="...), reason)
	if o.numbered {
		dst = appendQuoted(append(dst, ",boot="...), o.boot)
		dst = fmt.Appendf(dst, ",seq=%d", o.seq)
	}
	return fmt.Appendf(dst, " %d\n", now.UnixNano())
}
