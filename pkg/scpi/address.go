package scpi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.bug.st/serial"
)

// examples ends every complaint about an address.
const examples = "write for instance tcp://10.0.0.7:5025 or serial:///dev/ttyUSB0?baud=9600&data=8&parity=none&stop=1"

// endpoint is an address that has been understood.
type endpoint struct {
	host string // host:port of a TCP connection; empty for a serial line
	path string // device file of a serial line
	mode serial.Mode
}

// CheckAddress says what is wrong with an address, without connecting:
//
//	tcp://host:port
//	serial:///dev/ttyUSB0?baud=9600&data=8&parity=none&stop=1
//
// What a serial address leaves out has the value shown here. parity is none,
// odd, even, mark or space, data 5 to 8 bits, stop 1, 1.5 or 2.
func CheckAddress(address string) error {
	_, err := parseAddress(address)
	return err
}

func parseAddress(address string) (endpoint, error) {
	e, err := understand(address)
	if err != nil {
		return e, fmt.Errorf("address %.80q: %w; %s", address, err, examples)
	}
	return e, nil
}

func understand(address string) (endpoint, error) {
	if address == "" {
		return endpoint{}, errors.New("it is empty")
	}
	scheme, _, ok := strings.Cut(address, "://")
	if !ok {
		return endpoint{}, errors.New("it does not begin with tcp:// or serial://")
	}
	u, err := url.Parse(address)
	if err != nil {
		var bad *url.Error
		if errors.As(err, &bad) {
			err = bad.Err // the rest would repeat the address
		}
		return endpoint{}, err
	}
	if u.User != nil {
		return endpoint{}, errors.New("instruments know no user")
	}
	switch scheme {
	case "tcp":
		return tcpEndpoint(u)
	case "serial":
		return serialEndpoint(u)
	}
	return endpoint{}, fmt.Errorf("%q is neither tcp nor serial", scheme)
}

func tcpEndpoint(u *url.URL) (endpoint, error) {
	if u.Hostname() == "" {
		return endpoint{}, errors.New("no host")
	}
	if u.Port() == "" {
		return endpoint{}, errors.New("no port")
	}
	if n, err := strconv.ParseUint(u.Port(), 10, 16); err != nil || n == 0 {
		return endpoint{}, fmt.Errorf("port %s is not between 1 and 65535", u.Port())
	}
	if (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.Fragment != "" {
		return endpoint{}, errors.New("nothing may follow the port")
	}
	return endpoint{host: u.Host}, nil
}

func serialEndpoint(u *url.URL) (endpoint, error) {
	if u.Host != "" {
		return endpoint{}, fmt.Errorf("%q stands where no host can be: a serial address has three slashes", u.Host)
	}
	if u.Path == "" || u.Path == "/" {
		return endpoint{}, errors.New("no device file")
	}
	if u.Fragment != "" {
		return endpoint{}, errors.New("a # may not occur")
	}
	e := endpoint{path: u.Path, mode: serial.Mode{BaudRate: 9600, DataBits: 8, Parity: serial.NoParity, StopBits: serial.OneStopBit}}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return endpoint{}, err
	}
	for _, key := range sortedKeys(query) {
		if len(query[key]) != 1 {
			return endpoint{}, fmt.Errorf("%s is given twice", key)
		}
		if err := e.setting(key, query.Get(key)); err != nil {
			return endpoint{}, err
		}
	}
	return e, nil
}

func sortedKeys(q url.Values) []string {
	keys := make([]string, 0, len(q))
	for k := range q {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func (e *endpoint) setting(key, value string) error {
	switch key {
	case "baud":
		n, err := strconv.Atoi(value)
		if err != nil || n < 50 || n > 4_000_000 {
			return fmt.Errorf("baud=%s is not a speed between 50 and 4000000", value)
		}
		e.mode.BaudRate = n
	case "data":
		n, err := strconv.Atoi(value)
		if err != nil || n < 5 || n > 8 {
			return fmt.Errorf("data=%s is not 5 to 8 bits", value)
		}
		e.mode.DataBits = n
	case "parity":
		p, ok := map[string]serial.Parity{"none": serial.NoParity, "odd": serial.OddParity, "even": serial.EvenParity,
			"mark": serial.MarkParity, "space": serial.SpaceParity}[value]
		if !ok {
			return fmt.Errorf("parity=%s is not none, odd, even, mark or space", value)
		}
		e.mode.Parity = p
	case "stop":
		s, ok := map[string]serial.StopBits{"1": serial.OneStopBit, "1.5": serial.OnePointFiveStopBits, "2": serial.TwoStopBits}[value]
		if !ok {
			return fmt.Errorf("stop=%s is not 1, 1.5 or 2", value)
		}
		e.mode.StopBits = s
	default:
		return fmt.Errorf("a serial line has no setting %q, only baud, data, parity and stop", key)
	}
	return nil
}

// dialTimeout is how long a TCP connection may take to come about.
const dialTimeout = 5 * time.Second

// DialPort connects to an address as CheckAddress describes it and gives the
// bare bytes, for instruments that send by themselves. Close ends a Read that
// waits. What a serial line received before it was opened is discarded.
func DialPort(ctx context.Context, address string) (io.ReadWriteCloser, error) {
	e, err := parseAddress(address)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("open %s: %w", address, err)
	}
	if e.host != "" {
		conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", e.host)
		if err != nil {
			return nil, fmt.Errorf("open %s: %w", address, err)
		}
		return conn, nil
	}
	port, err := serial.Open(e.path, &e.mode)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", address, err)
	}
	if err := port.ResetInputBuffer(); err != nil {
		_ = port.Close()
		return nil, fmt.Errorf("open %s: discard old input: %w", address, err)
	}
	return port, nil
}
