package instruments

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// OverrideName is the compose file that Compose reads by itself.
const OverrideName = "docker-compose.override.yml"

// generated is how a compose file begins that may be written anew.
const generated = "# Made by dcs init"

// Generated reports whether a compose file is one of Override's.
func Generated(text []byte) bool { return strings.HasPrefix(string(text), generated) }

// Override is the compose file for the instruments: what is the same gives the
// same bytes. from is the file's name, for people.
func (f *File) Override(from string) ([]byte, error) {
	services, volumes, secrets := node{}, node{}, node{}
	backup, restore := []any{}, []any{}
	for _, i := range f.Instruments {
		s, err := i.service()
		if err != nil {
			return nil, fmt.Errorf("%s: instrument %s: docker: %w", from, i.Name, err)
		}
		services[i.Name] = s
		volumes[i.Name] = nil
		secrets["broker_"+i.Name] = node{"file": "./secrets/broker_" + i.Name}
		backup = append(backup, i.Name+":/volumes/"+i.Name+":ro")
		restore = append(restore, i.Name+":/volumes/"+i.Name)
	}
	if len(f.Instruments) > 0 {
		services["backup"] = node{"volumes": backup}
		services["restore"] = node{"volumes": restore}
	}
	if len(f.Outside) > 0 {
		services["mosquitto"] = node{"ports": []any{"${DCS_MQTTS_BIND:-0.0.0.0}:8883:8883"}}
	}
	w := &writer{}
	fmt.Fprintf(&w.b, "%s from %s: what is changed here is lost.\n", generated, from)
	fmt.Fprintf(&w.b, "# After a change there: docker compose run --rm init && docker compose up -d\n\n")
	w.write(node{"services": services, "volumes": volumes, "secrets": secrets})
	return []byte(w.b.String()), nil
}

// service is the compose service of a driver.
func (i Instrument) service() (node, error) {
	s := node{
		"image":        "trackerdcs/" + i.Driver + ":${DCS_VERSION:-0.1.0}",
		"build":        node{"context": ".", "args": node{"BIN": i.Driver, "VERSION": "${DCS_VERSION:-0.1.0}"}},
		"pull_policy":  "never", // made here: no registry is asked for it
		"restart":      "unless-stopped",
		"environment":  i.environment(),
		"secrets":      []any{"broker_" + i.Name},
		"depends_on":   node{"mosquitto": node{"condition": "service_healthy"}},
		"logging":      node{"driver": "local", "options": node{"max-size": "10m", "max-file": "5"}},
		"read_only":    true,
		"cap_drop":     []any{"ALL"},
		"security_opt": []any{"no-new-privileges:true"},
		"mem_limit":    "128m",
		"pids_limit":   256,
		"healthcheck": node{
			"test": []any{"CMD", "/program", "-healthcheck"}, "interval": "10s", "timeout": "6s", "retries": 3, "start_period": "20s",
		},
	}
	if i.Base != "" {
		s["image"] = "trackerdcs/" + i.Driver + ":${DCS_VERSION:-0.1.0}-" + i.Name // another base, another image
		s["build"].(node)["args"].(node)["BASE"] = literal(i.Base)
	}
	volumes := []any{i.Name + ":/data"}
	for _, m := range i.Files {
		volumes = append(volumes, node{
			"type": "bind", "source": literal(m.Source), "target": literal(m.Target), "read_only": true,
			"bind": node{"create_host_path": false}, // a folder in the place of a file that is not there helps nobody
		})
	}
	s["volumes"] = volumes
	if device, ok := serialDevice(i.Address); ok {
		s["devices"] = []any{literal(device) + ":" + literal(device)}
		s["group_add"] = []any{"${DCS_SERIAL_GROUP:-20}"}
	}
	if drivers[i.Driver].programs {
		s["init"] = true // what a program leaves behind has a parent
		s["stop_grace_period"] = "30s"
		s["tmpfs"] = []any{"/tmp"}
		s["mem_limit"] = "512m"
		s["pids_limit"] = 512
	}
	if _, other := i.Docker["image"]; other { // not ours: it may be pulled
		delete(s, "pull_policy")
	}
	return s, merge(s, i.Docker, "")
}

func (i Instrument) environment() node {
	e := node{
		"DCS_BROKER":               "tcp://mosquitto:1883",
		"DCS_BROKER_USER":          i.Name,
		"DCS_BROKER_PASSWORD_FILE": "/run/secrets/broker_" + i.Name,
		"DCS_TOPIC_ROOT":           "${DCS_TOPIC_ROOT:-}",
		"DCS_LOG_LEVEL":            "${DCS_LOG_LEVEL:-info}",
		"DCS_HTTP":                 "0.0.0.0:9100",
		"DCS_DEVICE":               i.Name,
	}
	if i.Model != "" {
		e["DCS_MODEL"] = literal(i.Model)
	}
	if i.Address != "" {
		e["DCS_ADDRESS"] = literal(i.Address)
	}
	if drivers[i.Driver].programs {
		e["DCS_DATA_DIR"] = "/data"
	}
	for env, value := range i.Settings {
		e[env] = literal(value)
	}
	return e
}

// literal keeps Compose from taking a $ for a variable.
func literal(s string) string { return strings.ReplaceAll(s, "$", "$$") }

// replaced are lists that mean something as a whole.
var replaced = []string{"command", "entrypoint", "test"}

// merge puts what the entry says of the service over it, as Compose does with
// its files: maps key by key, lists one behind the other, all else in its place.
func merge(s node, more map[string]any, where string) error {
	for _, key := range slices.Sorted(maps.Keys(more)) {
		value := more[key]
		path := strings.TrimPrefix(where+"."+key, ".")
		old, there := s[key]
		switch old := old.(type) {
		case node:
			m, ok := value.(map[string]any)
			if !ok {
				return fmt.Errorf("%s has to be keys with values, each as key: value", path)
			}
			if err := merge(old, m, path); err != nil {
				return err
			}
		case []any:
			list, ok := value.([]any)
			if !ok {
				return fmt.Errorf("%s has to be a list", path)
			}
			if slices.Contains(replaced, key) {
				s[key] = toNode(list)
				continue
			}
			for _, v := range list {
				if !slices.Contains(scalars(old), fmt.Sprint(v)) {
					old = append(old, toNode(v))
				}
			}
			s[key] = old
		default:
			if _, isMap := value.(map[string]any); there && isMap {
				return fmt.Errorf("%s has to be one value", path)
			}
			s[key] = toNode(value)
		}
	}
	return nil
}

func scalars(list []any) []string {
	var texts []string
	for _, v := range list {
		if _, ok := v.(node); !ok {
			texts = append(texts, fmt.Sprint(v))
		}
	}
	return texts
}

// toNode is a value of the file as it is written.
func toNode(v any) any {
	switch v := v.(type) {
	case map[string]any:
		n := node{}
		for key, value := range v {
			n[key] = toNode(value)
		}
		return n
	case []any:
		list := make([]any, len(v))
		for i, value := range v {
			list[i] = toNode(value)
		}
		return list
	}
	return v
}
