package dht

import (
	"bytes"
	"strconv"
	"time"

	"trackerdcs/pkg/sensor"
)

// The texts of the sketch.
const (
	temperatureText  = "Temperature:"
	humidityText     = "Humidity:"
	temperatureError = "Error reading temperature!"
	humidityError    = "Error reading humidity!"
)

var texts = []string{temperatureText, humidityText, temperatureError, humidityError}

// What a DHT22 can say; a number outside has lost or won a digit.
const (
	minTemperature, maxTemperature = -40, 125 // °C
	minHumidity, maxHumidity       = 0, 100   // %
)

// maxNumber is more than any value has, in bytes.
const maxNumber = 16

// A value that is known to be complete, or that waits for the humidity, longer
// than this after its text came is dropped: it would be taken for new.
const maxWait = 3 * time.Second

// The fields of a reading.
const (
	temperature = "temperature" // °C
	humidity    = "humidity"    // %
)

// parser takes the stream apart, however it is cut into pieces. What it does
// not understand it skips up to the next text that it knows.
type parser struct {
	buf     []byte         // not taken yet: at most a text and a number
	pending sensor.Reading // a temperature that waits for its humidity; nil when there is none
	places  int            // how many decimals it has
	tail    bool           // a value has just ended: its unit and the line end may follow
	inNoise bool           // the byte before was skipped
	skipped int            // pieces that were not understood, or came too late
	now     time.Time      // of what is being taken
	textAt  time.Time      // when the text at the begin of buf came; zero: none yet
	since   time.Time      // when the text of pending came
}

// feed takes what has come now and returns the readings that are complete with it.
func (p *parser) feed(b []byte, now time.Time) (out []sensor.Reading) {
	p.now = now
	p.buf = append(p.buf, b...)
	for p.step(&out) {
	}
	p.buf = bytes.Clone(p.buf)
	return out
}

// settle says that nothing has come for a while: a humidity at the end is
// complete when it has as many decimals as the temperatures have.
func (p *parser) settle(now time.Time) (out []sensor.Reading) {
	number, ok := bytes.CutPrefix(p.buf, []byte(humidityText))
	number = bytes.TrimLeft(number, " ")
	if !ok || p.places == 0 || decimals(number) != p.places {
		return nil
	}
	return p.feed([]byte("\n"), now)
}

// step takes one thing off the buffer; false means that more has to come.
func (p *parser) step(out *[]sensor.Reading) bool {
	for len(p.buf) > 0 && p.filler(p.buf[0]) {
		p.buf = p.buf[1:]
	}
	text, more := match(p.buf)
	switch {
	case len(p.buf) == 0 || more:
		return false
	case text == "":
		p.noise(out)
		p.buf = p.buf[1:]
		return true
	}
	if p.textAt.IsZero() {
		p.textAt = p.now
	}
	if text == temperatureError || text == humidityError {
		p.buf = p.buf[len(text):]
		p.value(out, text == temperatureError, 0, false)
		return true
	}
	return p.number(out, text)
}

// filler says whether a byte means nothing where it stands: blanks and line
// ends anywhere, a unit after a value.
func (p *parser) filler(c byte) bool {
	return c == ' ' || c == '\t' || c == '\r' || c == '\n' || p.tail && bytes.IndexByte([]byte("%C*\xc2\xb0"), c) >= 0
}

// match returns the text that b begins with. more means that it may become one
// when more has come.
func match(b []byte) (text string, more bool) {
	for _, t := range texts {
		if bytes.HasPrefix(b, []byte(t)) {
			return t, false
		}
		if len(b) < len(t) && t[:len(b)] == string(b) {
			more = true
		}
	}
	return "", more
}

// noise takes note of what is not understood. It also parts what stands before
// from what stands behind, which need not be of the same measurement.
func (p *parser) noise(out *[]sensor.Reading) {
	p.tail = false
	if p.inNoise {
		return
	}
	p.inNoise = true
	p.skipped++
	p.flush(out)
}

// number takes a text with the number behind it. A number is complete when
// something follows that cannot be part of it: a blank, a line end, a unit, or,
// where the sketch forgets the line end, the whole text that comes next in the
// sketch. In that case it has to have as many decimals as the value before,
// because half a line may have been lost in between.
func (p *parser) number(out *[]sensor.Reading, text string) bool {
	rest := bytes.TrimLeft(p.buf[len(text):], " ")
	if len(p.buf)-len(text)-len(rest) > maxNumber {
		return p.broken(out, text, rest) // blanks and no end
	}
	n := 0
	for n < len(rest) && n <= maxNumber && (rest[n] >= '0' && rest[n] <= '9' || rest[n] == '.' || n == 0 && (rest[n] == '-' || rest[n] == '+')) {
		n++
	}
	if n > maxNumber {
		return p.broken(out, text, rest[n:])
	}
	if n == len(rest) {
		return false
	}
	if n == 0 && (rest[0] == 'n' || rest[0] == 'N') { // nan, of a sketch that does not look
		if len(rest) < 3 {
			return false
		}
		if !bytes.EqualFold(rest[:3], []byte("nan")) {
			return p.broken(out, text, rest)
		}
		p.buf = rest[3:]
		p.value(out, text == temperatureText, 0, false)
		return true
	}
	switch c := rest[n]; {
	case c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '%' || c == 'C' || c == '*' || c == 0xc2:
	default:
		next, more := match(rest[n:])
		if more {
			return false
		}
		follows := next == temperatureText || next == temperatureError
		if text == temperatureText {
			follows = next == humidityText || next == humidityError
		}
		if !follows || decimals(rest[:n]) == 0 || p.pending != nil && text == humidityText && decimals(rest[:n]) != p.places {
			return p.broken(out, text, rest[n:])
		}
	}
	x, ok := value(string(rest[:n]), text == temperatureText)
	if !ok {
		return p.broken(out, text, rest[n:])
	}
	p.buf = rest[n:]
	p.value(out, text == temperatureText, x, true)
	if text == temperatureText {
		p.places = decimals(rest[:n])
	}
	return true
}

// decimals returns how many digits stand behind the point.
func decimals(number []byte) int {
	_, fraction, _ := bytes.Cut(number, []byte("."))
	return len(fraction)
}

// value reads a decimal number that is in range. A point has digits on both
// sides: one without is half a number.
func value(s string, isTemperature bool) (float64, bool) {
	digits := 0
	for i := range len(s) {
		switch {
		case s[i] >= '0' && s[i] <= '9':
			digits++
		case s[i] == '.' && (digits == 0 || i == len(s)-1):
			return 0, false
		}
	}
	x, err := strconv.ParseFloat(s, 64)
	if err != nil || digits == 0 {
		return 0, false
	}
	if isTemperature {
		return x, x >= minTemperature && x <= maxTemperature
	}
	return x, x >= minHumidity && x <= maxHumidity
}

// broken skips a text whose number is none; rest is what follows.
func (p *parser) broken(out *[]sensor.Reading, text string, rest []byte) bool {
	p.buf = rest
	p.value(out, text == temperatureText, 0, false)
	p.tail = false
	p.skipped++
	p.inNoise = true // what follows is the same piece
	return true
}

// value takes a field, or that it could not be read. A temperature begins a
// measurement, a humidity ends it.
func (p *parser) value(out *[]sensor.Reading, isTemperature bool, x float64, ok bool) {
	p.tail, p.inNoise = ok, false
	came := p.textAt
	p.textAt = time.Time{}
	if ok && p.now.Sub(came) > maxWait {
		ok = false
		p.skipped++
	}
	if isTemperature {
		p.flush(out)
		if ok {
			p.pending, p.since = sensor.Reading{temperature: x}, came
		}
		return
	}
	p.expire()
	if ok {
		if p.pending == nil {
			p.pending, p.since = sensor.Reading{}, came
		}
		p.pending[humidity] = x
	}
	p.flush(out)
}

// expire drops a temperature that has waited too long.
func (p *parser) expire() {
	if p.pending != nil && p.now.Sub(p.since) > maxWait {
		p.pending = nil
		p.skipped++
	}
}

// flush gives what is pending as it is.
func (p *parser) flush(out *[]sensor.Reading) {
	p.expire()
	if p.pending != nil {
		*out = append(*out, p.pending)
		p.pending = nil
	}
}
