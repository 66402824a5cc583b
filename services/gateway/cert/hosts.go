package cert

import (
	"fmt"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
)

// hostRE is a name as certificates may have it, with a * for the first label.
var hostRE = regexp.MustCompile(`^(\*\.)?([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$`)

// readHosts sorts names and addresses; without any it is this machine.
func readHosts(list []string) (hosts, error) {
	if len(list) == 0 {
		list = []string{"localhost", "127.0.0.1", "::1"}
		if name, err := os.Hostname(); err == nil && hostRE.MatchString(name) && len(name) <= 253 {
			list = append(list, name)
		}
	}
	var h hosts
	for _, host := range list {
		host = strings.Trim(strings.TrimSpace(host), "[]")
		if ip := net.ParseIP(host); ip != nil {
			if !slices.ContainsFunc(h.addresses, ip.Equal) {
				h.addresses = append(h.addresses, ip)
			}
			continue
		}
		name := strings.ToLower(host)
		if len(name) > 253 || !hostRE.MatchString(name) {
			return h, fmt.Errorf("the certificate: %q is neither the name nor the address of a host", host)
		}
		if !slices.Contains(h.names, name) {
			h.names = append(h.names, name)
		}
	}
	return h, nil
}
