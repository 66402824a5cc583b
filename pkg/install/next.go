package install

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"trackerdcs/pkg/brokerauth"
)

// next says what to type now.
func (s *session) next() {
	file := s.report.Instruments
	switch {
	case file == nil:
		s.notef("there is no %s: copy instruments.example.yml there, name your instruments, and run this again", DefaultInstruments)
	case file.Compose:
		s.serialNote()
	case strings.HasSuffix(s.typed(), "…"):
		s.notef("%s says compose: false: give %s the same -f as for this", s.Instruments, compose)
	}
	compose := s.typed()
	say := func(line string) {
		if !slices.Contains(s.report.Next, line) {
			s.report.Next = append(s.report.Next, line)
		}
	}
	if s.live && (s.changed(passwdName) || s.changed(aclName) || s.changed(serverCert)) {
		// Not docker kill -s HUP: what it has sent a signal to, Docker does not start
		// again after a crash.
		say(compose + " exec mosquitto sh -c 'kill -HUP 1'")
	}
	if s.report.Login != nil && (s.renews(firstLoginName) || s.live || s.From != "") {
		s.report.LoginIf = fmt.Sprintf("This counts for a gateway that has no users yet. For one that has them nothing has changed: there %s run --rm dcs user passwd %s changes the password.", compose, firstName)
	}
	restart := s.restarts(say)
	if len(restart) > 0 {
		say(compose + " restart " + strings.Join(restart, " "))
	}
	if s.From != "" {
		s.backupsElsewhere()
		say(compose + " run --rm restore /backups/" + filepath.Base(s.From))
	}
	if len(s.rotate) == 0 {
		say(compose + " up -d")
	}
}

// changed reports whether a running program has an old version of a file.
func (s *session) changed(name string) bool {
	return slices.ContainsFunc(s.report.Items, func(i Item) bool {
		return i.Name == name && (i.State == Changed || i.State == Renewed)
	})
}

// restarts are the services that have read what was renewed; what else has to be
// done is said.
func (s *session) restarts(say func(string)) (services []string) {
	for _, name := range s.Rotate {
		user, isMongo := strings.CutPrefix(name, mongoPrefix)
		account, isBroker := strings.CutPrefix(name, brokerPrefix)
		switch {
		case isMongo:
			say(s.typed() + " run --rm runs_accounts")
			services = append(services, user)
		case isBroker:
			if s.ofPerson(account) {
				s.notef("secrets/%s is the new password of %s: take it there", name, account)
			} else if account != "health" && account != "dcs" { // these read it each time
				services = append(services, account)
			}
		case name == noderedGateway:
			services = append(services, "gateway", "nodered")
		case name == caCert:
			s.notef("every device outside has to be given the new secrets/%s: it trusts the old one", caCert)
		}
	}
	slices.Sort(services)
	return slices.Compact(services)
}

// ofPerson reports whether an account is of somebody or something outside.
func (s *session) ofPerson(name string) bool {
	if s.report.Instruments == nil {
		return false
	}
	for _, a := range s.report.Instruments.Accounts() {
		if a.Name == name {
			return a.Role != brokerauth.Driver
		}
	}
	return false
}
