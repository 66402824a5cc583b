package install

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// together are secrets that are renewed with another.
var together = map[string][]string{
	caCert:         {caKey, serverCert, serverKey},
	serverCert:     {serverKey},
	firstLoginName: {firstUsers},
}

// refused are secrets that cannot be renewed here, and how it is done.
var refused = map[string]string{
	"nodered_secret": "Node-RED could not read the logins that it keeps any more. If it has to be: remove secrets/nodered_secret, run this without --rotate, " +
		"restart nodered, and type the logins in the editor anew",
	"influx_password": "InfluxDB has taken it over at its first start. " + compose + ` exec influxdb sh -c 'influx user password --name dcs --token "$(cat /run/secrets/influx_token)"' ` +
		"changes it there; then put it into secrets/influx_password",
	"influx_token": "InfluxDB has taken it over at its first start. " + compose + ` exec influxdb sh -c 'influx auth create --operator --description dcs --token "$(cat /run/secrets/influx_token)"' ` +
		"makes another; put it into secrets/influx_token, and remove the old one with influx auth delete",
	"mongo_password": "MongoDB has taken it over at its first start. " + compose +
		` exec mongo mongosh -u dcs --authenticationDatabase admin admin --eval 'db.changeUserPassword("dcs", passwordPrompt())' ` +
		"changes it there; then put it into secrets/mongo_password, remove secrets/mongo_uri, and run this without --rotate",
	"mongo_uri":        "it is made from secrets/mongo_password: --rotate mongo_password says how that is changed",
	"grafana_password": "Grafana has taken it over at its first start. " + compose + " exec grafana grafana cli admin reset-admin-password NEW changes it there; then put it into secrets/grafana_password",
	passwdName:         "it is made from the passwords broker_…: renew these",
	aclName:            "it is made from the accounts, at every run",
	serverKey:          "it is renewed with " + serverCert,
	caKey:              "it is renewed with " + caCert,
	firstUsers:         "it is renewed with " + firstLoginName,
}

// rotatable are the names that --rotate takes.
func (s *session) rotatable() []string {
	names := []string{serverCert, caCert, firstLoginName, noderedGateway}
	for _, user := range mongoUsers {
		names = append(names, mongoPrefix+user)
	}
	for _, a := range s.accounts {
		names = append(names, brokerPrefix+a.Name)
	}
	slices.Sort(names)
	return names
}

// checkRotate reads the names before anything is made.
func (s *session) checkRotate() error {
	var errs []error
	names := s.rotatable()
	for _, name := range s.Rotate {
		if why, ok := refused[name]; ok {
			errs = append(errs, fmt.Errorf("%s is not renewed here: %s", name, s.withCommands(why)))
			continue
		}
		if !slices.Contains(names, name) {
			errs = append(errs, fmt.Errorf("there is no secret %q to renew: choose from %s", name, strings.Join(names, ", ")))
			continue
		}
		if _, there, err := s.read(secretPath(name)); err == nil && !there && name != firstLoginName {
			errs = append(errs, fmt.Errorf("there is no secrets/%s yet: run this without --rotate, and it is made", name))
		}
		s.rotate = append(s.rotate, name)
		s.rotate = append(s.rotate, together[name]...)
	}
	return errors.Join(errs...)
}

// renews reports whether a secret is to be renewed.
func (s *session) renews(name string) bool { return slices.Contains(s.rotate, name) }
