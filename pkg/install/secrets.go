package install

import (
	"context"
	"crypto/rand"
	"fmt"
	"io/fs"
	"net/url"
	"strings"

	"trackerdcs/pkg/brokerauth"
)

// Groups of a report whose details are in it too.
const (
	GroupCertificates = "certificates"
	GroupInstruments  = "instruments"
)

// What else files belong to, for people.
const (
	groupBroker = "broker logins"
	groupLists  = "broker's lists"
	groupInflux = "InfluxDB"
	groupMongo  = "MongoDB"
	groupPages  = "Grafana, Node-RED"
	groupLogin  = "first login"
	groupBackup = "from the backup"
)

const (
	brokerPrefix = "broker_"
	mongoPrefix  = "mongo_uri_"
	mongoRoot    = "dcs"
	mongoAddress = "mongo:27017"

	// What the gateway shows Node-RED: nobody else is let in there.
	noderedGateway = "nodered_gateway"
)

// mongoUsers are the programs with a login of their own at MongoDB.
var mongoUsers = []string{"gateway", "runcontrol", "calibration", "backup"}

// ownAccounts are the logins of the installation's own parts.
func ownAccounts() []brokerauth.Account {
	return []brokerauth.Account{
		{Name: "loader", Role: brokerauth.Loader},
		{Name: "calibration", Role: brokerauth.Sink},
		{Name: "runcontrol", Role: brokerauth.RunControl},
		{Name: "gateway", Role: brokerauth.Gateway},
		{Name: "nodered", Role: brokerauth.NodeRED},
		{Name: "dcs", Role: brokerauth.Operator}, // docker compose run dcs
		{Name: "health", Role: brokerauth.Health},
	}
}

// password is one that nobody has to type.
func password() ([]byte, error) { return []byte(rand.Text()), nil }

// token is as long as InfluxDB's own.
func token() ([]byte, error) { return []byte(rand.Text() + rand.Text() + rand.Text()), nil }

func mongoURI(user, password string) []byte {
	u := url.URL{Scheme: "mongodb", User: url.UserPassword(user, password), Host: mongoAddress, Path: "/", RawQuery: "authSource=admin"}
	return []byte(u.String())
}

// secrets makes those that are nothing but secret.
func (s *session) secrets(context.Context) error {
	for _, secret := range []struct {
		group, name string
		make        func() ([]byte, error)
	}{
		{groupInflux, "influx_password", password},
		{groupInflux, "influx_token", token},
		{groupMongo, "mongo_password", password},
		{groupMongo, "mongo_uri", s.rootURI},
		{groupPages, "grafana_password", password},
		{groupPages, "nodered_secret", password},
		{groupPages, noderedGateway, password},
	} {
		if err := s.once(secret.group, secret.name, forAll, secret.make); err != nil {
			return err
		}
	}
	for _, user := range mongoUsers {
		if err := s.once(groupMongo, mongoPrefix+user, forAll, func() ([]byte, error) { return mongoURI(user, rand.Text()), nil }); err != nil {
			return err
		}
	}
	for _, a := range s.accounts {
		if err := s.once(groupBroker, brokerPrefix+a.Name, forAll, password); err != nil {
			return err
		}
	}
	return s.checkMongo()
}

// rootURI is the address with the password that is there.
func (s *session) rootURI() ([]byte, error) {
	password, _, err := s.secret("mongo_password")
	return mongoURI(mongoRoot, password), err
}

// checkMongo sees to it that one password stands in both places.
func (s *session) checkMongo() error {
	password, _, err := s.secret("mongo_password")
	if err != nil {
		return err
	}
	uri, _, err := s.secret("mongo_uri")
	if err != nil {
		return err
	}
	if u, err := url.Parse(uri); err == nil && u.User != nil {
		if p, _ := u.User.Password(); p != password {
			s.notef("secrets/mongo_uri has another password than secrets/mongo_password: if the latter is right, remove mongo_uri and run this again")
		}
	}
	return nil
}

// once makes a secret unless it is there, or renews it if that is asked for.
func (s *session) once(group, name string, mode fs.FileMode, create func() ([]byte, error)) error {
	_, there, err := s.secret(name)
	if err != nil {
		return err
	}
	if there && !s.renews(name) {
		s.add(group, name, There)
		return s.settle(secretPath(name), mode)
	}
	b, err := create()
	if err != nil {
		return fmt.Errorf("making %s: %w", name, err)
	}
	return s.keep(group, name, b, mode)
}

// keep writes a secret and says so.
func (s *session) keep(group, name string, b []byte, mode fs.FileMode) error {
	state, err := s.put(secretPath(name), b, mode)
	if err != nil {
		return err
	}
	if state == Changed && s.renews(name) {
		state = Renewed
	}
	s.add(group, name, state)
	return nil
}

// secret is what a secret's file says.
func (s *session) secret(name string) (text string, there bool, err error) {
	b, there, err := s.read(secretPath(name))
	text = strings.TrimRight(string(b), "\r\n")
	if err == nil && there && text == "" {
		return "", true, fmt.Errorf("secrets/%s is empty: remove it and run this again, it is made then", name)
	}
	return text, there, err
}
