// Package instruments reads instruments.yml, the one file that names the
// instruments of an installation, the devices outside and the people with a
// login at the broker, and writes the compose file that runs the drivers.
package instruments

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"trackerdcs/pkg/brokerauth"
)

// File is what the file says. Its lists are in order of names.
type File struct {
	Compose     bool // whether a compose file is written for the instruments
	Instruments []Instrument
	Outside     []Outside
	People      []Person
}

// Instrument is one instrument, with a driver of its own.
type Instrument struct {
	Name     string // on the bus, of the compose service, and of its volume
	Driver   string // psu, sensor or ph2acf
	Model    string
	Address  string
	Base     string            // the image with the laboratory's programs
	Settings map[string]string // by the setting's name, DCS_LIMITS
	Files    []Mount
	Docker   map[string]any // anything more of a compose service
}

// Mount is a file of the host that a driver can read.
type Mount struct{ Source, Target string }

// Outside is a device that is not ours.
type Outside struct {
	Name   string
	Topics []string // that it may use besides /sensor/<name>/
}

// Person is somebody with a login at the broker.
type Person struct {
	Name string
	Role brokerauth.Role // Operator or Viewer
}

// Accounts are the logins at the broker that the file asks for.
func (f *File) Accounts() []brokerauth.Account {
	var accounts []brokerauth.Account
	for _, i := range f.Instruments {
		a := brokerauth.Account{Name: i.Name, Role: brokerauth.Driver}
		if legacy := i.Settings["DCS_LEGACY_SENSOR"]; legacy != "" {
			a.Topics = []string{"/sensor/" + legacy + "/#"}
		}
		accounts = append(accounts, a)
	}
	for _, o := range f.Outside {
		accounts = append(accounts, brokerauth.Account{Name: o.Name, Role: brokerauth.Outside, Topics: o.Topics})
	}
	for _, p := range f.People {
		accounts = append(accounts, brokerauth.Account{Name: p.Name, Role: p.Role})
	}
	return accounts
}

// Names are the names of the instruments.
func (f *File) Names() []string {
	names := make([]string, len(f.Instruments))
	for i, in := range f.Instruments {
		names[i] = in.Name
	}
	return names
}

// Read reads the file name of the installation in dir. The error names all that
// is wrong, each with the file, its line, the entry and what to do. One that is
// not there is fs.ErrNotExist.
func Read(dir, name string) (*File, error) {
	path := name
	if !filepath.IsAbs(name) {
		path = filepath.Join(dir, name)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the instruments: %w", err)
	}
	f, err := parse(text, func(source string) bool {
		_, err := os.Stat(filepath.Join(dir, source))
		return err == nil
	})
	if err != nil {
		return nil, inFile(name, err)
	}
	return f, nil
}

// inFile puts the file's name before each mistake.
func inFile(name string, err error) error {
	many, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return fmt.Errorf("%s: %w", name, err)
	}
	errs := slices.Clone(many.Unwrap())
	for i, e := range errs {
		errs[i] = fmt.Errorf("%s: %w", name, e)
	}
	return errors.Join(errs...)
}
