package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"trackerdcs/pkg/install"
)

// initCmd makes what an installation is made of besides programs.
type initCmd struct {
	Dir         string   `help:"The installation's folder." default:"." type:"path"`
	Instruments string   `help:"The file that names the instruments." env:"DCS_INSTRUMENTS" default:"instruments.yml" placeholder:"FILE"`
	Host        []string `help:"A further name or address for the broker's certificate, by which devices outside know it; may be given often. Those of DCS_TLS_HOSTS are in it." placeholder:"NAME" sep:"none"`
	Rotate      []string `help:"Renew this secret, a file in secrets/; may be given often." placeholder:"NAME" sep:"none"`
	From        string   `help:"Take secrets and configuration out of this backup, in the container /backups/NAME; the installation must have no secrets yet." placeholder:"BACKUP" type:"path"`
}

// Help is what --help says behind the flags.
func (*initCmd) Help() string {
	return `All secrets are made once, into secrets/: logins at the broker, those of the databases, certificates, the first login at the gateway. What is there
stays as it is. Run it again after a change of instruments.yml: the broker's lists and docker-compose.override.yml are brought up to date.

    docker compose run --rm init
    docker compose up -d

    docker compose run --rm init --from /backups/NAME    what was lost, out of a backup`
}

// Run makes what is missing.
func (c *initCmd) Run(ctx context.Context) error { return c.run(ctx, terminal()) }

func (c *initCmd) run(ctx context.Context, con console) error {
	report, err := install.Run(ctx, install.Options{Dir: c.Dir, Instruments: c.Instruments, Hosts: c.Host, Rotate: c.Rotate, From: c.From})
	if err != nil {
		return err
	}
	printInit(con, report)
	return nil
}

// printInit says what was done: a line for each part, what to know, what to type
// next, and the first login at the end.
func printInit(con console, r *install.Report) {
	t := &table{heads: []string{"part", "files", ""}}
	for _, group := range initGroups(r.Items) {
		t.add(plain, group, initCounts(r.Items, group), initDetail(r, group))
	}
	t.print(con, "")
	if len(r.Notes) > 0 {
		fmt.Fprintln(con.out)
	}
	for _, n := range r.Notes {
		fmt.Fprintf(con.out, "note: %s\n", n)
	}
	if len(r.Next) > 0 {
		fmt.Fprintln(con.out, "\nNext:")
	}
	for _, n := range r.Next {
		fmt.Fprintf(con.out, "    %s\n", n)
	}
	if r.Login != nil {
		head := "The first login at the gateway, https://localhost:8443; it"
		if r.LoginIf != "" {
			head = r.LoginIf + " It"
		}
		fmt.Fprintf(con.out, "\n%s is also in secrets/first_login, which you may remove:\n\n    name      %s\n    password  %s\n",
			head, r.Login.Name, r.Login.Password)
	}
}

// initGroups are the parts, in the order in which they were made.
func initGroups(items []install.Item) []string {
	var groups []string
	for _, i := range items {
		if !slices.Contains(groups, i.Group) {
			groups = append(groups, i.Group)
		}
	}
	return groups
}

// initCounts is "8 made, 1 there".
func initCounts(items []install.Item, group string) string {
	var counts []string
	for _, state := range []install.State{install.Made, install.Restored, install.Changed, install.Renewed, install.There} {
		n := 0
		for _, i := range items {
			if i.Group == group && i.State == state {
				n++
			}
		}
		if n > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", n, state))
		}
	}
	return strings.Join(counts, ", ")
}

// initDetail names what was touched; of certificates, until when they are good.
func initDetail(r *install.Report, group string) string {
	var names []string
	for _, i := range r.Items {
		if i.Group == group && i.State != install.There {
			names = append(names, strings.TrimPrefix(i.Name, "broker_"))
		}
	}
	const most = 12
	if len(names) > most {
		names = append(names[:most:most], fmt.Sprintf("and %d more", len(names)-most))
	}
	detail := strings.Join(names, " ")
	switch group {
	case install.GroupCertificates:
		detail = "for " + strings.Join(r.Hosts, ", ") + ", until " + r.Until.Format(time.DateOnly)
	case install.GroupInstruments:
		if names := r.Instruments.Names(); len(names) > 0 {
			detail = strings.Join(names, " ")
		}
	}
	return detail
}
