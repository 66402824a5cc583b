package install

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"trackerdcs/pkg/brokerauth"
)

// The broker's lists, which are made from the accounts.
const (
	passwdName = "mosquitto_passwd"
	aclName    = "mosquitto_acl"
)

// broker brings the password file and the access list up to date. A hash that
// is its password's stays: it has chance in it.
func (s *session) broker(context.Context) error {
	old, there, err := s.read(secretPath(passwdName))
	if err != nil {
		return err
	}
	s.live = there && s.From == ""
	hashes, err := brokerauth.ParsePasswd(old)
	if err != nil { // of another version, or damaged: it is made from what is there
		s.notef("secrets/%s was made anew: %v", passwdName, err)
		hashes = nil
	}
	var lines strings.Builder
	for _, a := range s.accounts {
		password, _, err := s.secret(brokerPrefix + a.Name)
		if err != nil {
			return err
		}
		hash := hashes[a.Name]
		delete(hashes, a.Name)
		if brokerauth.Verify(hash, password) {
			fmt.Fprintf(&lines, "%s:%s\n", a.Name, hash)
			continue
		}
		line, err := brokerauth.PasswdLine(a.Name, password)
		if err != nil {
			return err
		}
		lines.WriteString(line)
	}
	acl, err := brokerauth.ACL(s.topicRoot(), s.accounts)
	if err != nil {
		return err
	}
	if err := s.keep(groupLists, passwdName, []byte(lines.String()), forAll); err != nil {
		return err
	}
	return s.keep(groupLists, aclName, acl, forAll)
}

// handOn names the logins that somebody has to carry to where they are used.
func (s *session) handOn() {
	var names []string
	for _, i := range s.report.Items {
		name, ok := strings.CutPrefix(i.Name, brokerPrefix)
		if ok && i.State == Made && s.ofPerson(name) {
			names = append(names, name)
		}
	}
	if len(names) > 0 {
		s.notef("%s: the password of a login at the broker is in secrets/%s<name>; over TLS, port 8883, secrets/%s is what to trust", strings.Join(names, ", "), brokerPrefix, caCert)
	}
}

// leftOver names the passwords of accounts that are not there any more.
func (s *session) leftOver() {
	entries, err := fs.ReadDir(s.folder.root.FS(), secretsDir)
	if err != nil {
		return // what was made is there; nothing depends on this
	}
	var names []string
	for _, e := range entries {
		name, ok := strings.CutPrefix(e.Name(), brokerPrefix)
		if ok && !slices.ContainsFunc(s.accounts, func(a brokerauth.Account) bool { return a.Name == name }) {
			names = append(names, "secrets/"+e.Name())
		}
	}
	if len(names) > 0 {
		s.notef("%s: no account has this name any more, it has no login at the broker; the file is kept: remove it when it is not needed", strings.Join(names, ", "))
	}
}
