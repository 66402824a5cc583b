package install

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/brokerauth"
)

func TestRotate(t *testing.T) {
	shared := newPlace(t)
	shared.write("instruments.yml", lab)
	shared.run(Options{})
	for name, tt := range map[string]struct {
		renewed []string
		next    []string
		note    string
	}{
		"broker_hv":           {[]string{"broker_hv"}, []string{"docker compose exec mosquitto sh -c 'kill -HUP 1'", "docker compose restart hv"}, ""},
		"broker_loader":       {[]string{"broker_loader"}, []string{"docker compose exec mosquitto sh -c 'kill -HUP 1'", "docker compose restart loader"}, ""},
		"broker_alice":        {[]string{"broker_alice"}, []string{"docker compose exec mosquitto sh -c 'kill -HUP 1'"}, "secrets/broker_alice is the new password of alice: take it there"},
		"broker_health":       {[]string{"broker_health"}, []string{"docker compose exec mosquitto sh -c 'kill -HUP 1'"}, ""},
		"mongo_uri_gateway":   {[]string{"mongo_uri_gateway"}, []string{"docker compose run --rm runs_accounts", "docker compose restart gateway"}, ""},
		"nodered_gateway":     {[]string{"nodered_gateway"}, []string{"docker compose restart gateway nodered"}, ""},
		"mosquitto_crt":       {[]string{"mosquitto_crt", "mosquitto_key"}, []string{"docker compose exec mosquitto sh -c 'kill -HUP 1'"}, ""},
		"ca_crt":              {[]string{"ca_crt", "ca_key", "mosquitto_crt", "mosquitto_key"}, []string{"docker compose exec mosquitto sh -c 'kill -HUP 1'"}, "every device outside has to be given the new secrets/ca_crt"},
		"first_login":         {[]string{"first_login", "first_users"}, nil, ""},
		"influx_password":     {nil, nil, "influx user password --name dcs"},
		"influx_token":        {nil, nil, "influx auth create --operator"},
		"mongo_password":      {nil, nil, "db.changeUserPassword("},
		"mongo_uri":           {nil, nil, "--rotate mongo_password says how"},
		"grafana_password":    {nil, nil, "grafana cli admin reset-admin-password"},
		"nodered_secret":      {nil, nil, "Node-RED could not read the logins that it keeps any more"},
		"mosquitto_passwd":    {nil, nil, "it is made from the passwords broker_"},
		"mosquitto_acl":       {nil, nil, "it is made from the accounts"},
		"mosquitto_key":       {nil, nil, "it is renewed with mosquitto_crt"},
		"ca_key":              {nil, nil, "it is renewed with ca_crt"},
		"first_users":         {nil, nil, "it is renewed with first_login"},
		"broker_nobody":       {nil, nil, "there is no secret"},
		"../instruments.yml":  {nil, nil, "there is no secret"},
		"mongo_uri_somewhere": {nil, nil, "there is no secret"},
	} {
		t.Run(filepath.Base(name), func(t *testing.T) {
			p := &place{t, shared.dir, shared.env, shared.now}
			old := make(map[string]string)
			for _, s := range allSecrets {
				old[s] = p.secret(s)
			}
			inodes := p.inodes()
			r, err := p.try(Options{Rotate: []string{name}})
			if tt.renewed == nil {
				require.ErrorContains(t, err, tt.note)
			} else {
				require.NoError(t, err)
				assert.Equal(t, tt.next, r.Next)
				assert.Contains(t, strings.Join(r.Notes, "\n"), tt.note)
			}
			derived := map[string]bool{"mosquitto_passwd": strings.HasPrefix(name, "broker_") && tt.renewed != nil}
			for _, s := range tt.renewed {
				assert.NotEqual(t, old[s], p.secret(s), s)
				assert.Equal(t, Renewed, states(r)[s], s)
				derived[s] = true
			}
			for _, s := range allSecrets {
				if !derived[s] {
					assert.Equal(t, old[s], p.secret(s), s)
				}
			}
			assert.Equal(t, inodes, p.inodes(), "files are renewed in their place")
			before := p.files()
			p.run(Options{})
			assert.Equal(t, before, p.files(), "the lists are up to date")
			hashes, err := brokerauth.ParsePasswd([]byte(p.secret("mosquitto_passwd")))
			require.NoError(t, err)
			for account, hash := range hashes {
				assert.True(t, brokerauth.Verify(hash, p.secret("broker_"+account)), account)
			}
		})
	}
}

// inodes are those of all secrets, with their modes.
func (p *place) inodes() map[string]string {
	p.t.Helper()
	found := make(map[string]string)
	for _, s := range allSecrets {
		info, err := os.Stat(filepath.Join(p.dir, "secrets", s))
		require.NoError(p.t, err)
		found[s] = inode(info) + info.Mode().String()
	}
	return found
}

// Several at once, two of which want the same service restarted.
func TestRotateSeveral(t *testing.T) {
	p := newPlace(t)
	p.run(Options{})
	r := p.run(Options{Rotate: []string{"mongo_uri_gateway", "broker_gateway", "broker_loader", "broker_gateway"}})
	assert.Equal(t, []string{"docker compose exec mosquitto sh -c 'kill -HUP 1'", "docker compose run --rm runs_accounts", "docker compose restart gateway loader"}, r.Next)
	_, err := p.try(Options{Rotate: []string{"x", "influx_token", "broker_loader"}})
	require.ErrorContains(t, err, `there is no secret "x"`)
	require.ErrorContains(t, err, "influx_token is not renewed here")
}
