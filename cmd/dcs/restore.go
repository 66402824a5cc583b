package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"strconv"
	"time"

	"trackerdcs/pkg/backup"
	"trackerdcs/pkg/history"
	"trackerdcs/pkg/runs"
)

type restoreCmd struct {
	savedFlags
	logFlags
	Backup  string `arg:"" help:"The backup's folder, its name in the folder of backups, or latest."`
	Backups string `help:"Folder of backups (in the container /backups)." env:"DCS_BACKUPS_DIR" default:"/backups" placeholder:"DIR"`
	Broker  string `help:"The broker: who answers there is in the way (default tcp://127.0.0.1:1883)." env:"DCS_BROKER" placeholder:"URL"`
	Force   bool   `help:"Replace what is there, and do not ask who runs."`
}

// Help is what --help says behind the flags.
func (*restoreCmd) Help() string {
	return "Brings back volumes, MongoDB and InfluxDB, and counts what is there then. All sums are checked before anything is changed. " +
		"The databases have to run, all else must not. Secrets and configuration are taken out of a backup by dcs init --from BACKUP, before.\n\n" +
		"Exit codes: 0 all of it is back, 1 it is not, 5 InfluxDB or MongoDB does not answer."
}

// Run restores a backup.
func (c *restoreCmd) Run(ctx context.Context) error {
	debug.SetGCPercent(backupGarbage)
	return c.run(ctx, terminal())
}

func (c *restoreCmd) run(ctx context.Context, con console) error {
	dir, err := backup.Find(c.Backup, c.Backups)
	if err != nil {
		return err
	}
	to, done, err := c.source()
	if err != nil {
		return err
	}
	defer done()
	broker := c.Broker
	if broker == "" {
		broker = "tcp://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(1883+c.PortOffset))
	}
	began := time.Now()
	m, err := backup.Restore(ctx, to, backup.RestoreOptions{Backup: dir, Only: c.Only, Broker: broker, Force: c.Force, Log: c.logger(con)})
	switch {
	case err == nil:
		fmt.Fprintf(con.out, "restored in %v from %s\n%s\n", time.Since(began).Round(time.Millisecond), dir, indent(summary(m)))
		return nil
	case ctx.Err() != nil:
		return exitInterrupted
	case errors.Is(err, runs.ErrNoAnswer), errors.Is(err, history.ErrNoAnswer):
		con.notef("%v", err)
		return exitNoAnswer
	}
	return err
}
