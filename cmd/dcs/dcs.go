package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"trackerdcs/pkg/version"
)

// commands are what dcs can do.
type commands struct {
	Demo      demoCmd          `cmd:"" help:"Build and run the demonstrator; Ctrl-C ends all of it."`
	Watch     watchCmd         `cmd:"" help:"Show all channels, live."`
	Get       getCmd           `cmd:"" help:"Print the next status of a device, channel or field."`
	Set       setCmd           `cmd:"" help:"Set a voltage, and wait for what comes of it."`
	Switch    switchCmd        `cmd:"" help:"Switch a channel on or off, and wait for what comes of it."`
	Send      sendCmd          `cmd:"" help:"Send any command: seti, ramp, clear, lock, unlock."`
	Audit     auditCmd         `cmd:"" help:"Prove that nothing is missing in the archive, or say what is."`
	At        atCmd            `cmd:"" help:"Print all setpoints and readbacks at a time in the past."`
	Run       runCmds          `cmd:"" help:"Start runs, calibrations for instance, and see what is kept of them."`
	User      userCmds         `cmd:"" help:"Say who may log in at the gateway, and what they may do there."`
	Token     tokenCmds        `cmd:"" help:"Make tokens, with which scripts use the gateway."`
	AuditLog  auditLogCmds     `cmd:"" help:"Prove that nobody has changed what the gateway keeps of who did what, and show it."`
	Init      initCmd          `cmd:"" help:"Make the secrets of an installation, its accounts and the compose file for its instruments."`
	Provision provisionCmd     `cmd:"" help:"Make in the databases the tokens and users of the stack's programs."`
	Backup    backupCmd        `cmd:"" help:"Save all of an installation while it runs, once or every night."`
	Restore   restoreCmd       `cmd:"" help:"Bring back what a backup holds."`
	Version   kong.VersionFlag `help:"Print the version."`
}

// exitCode is an error that says how the program ends and has been explained.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// run does what the arguments say until it is done or a signal ends it, and
// returns the exit code.
func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	var c commands
	parser, err := kong.New(&c,
		kong.Name("dcs"),
		kong.Description("Watch and steer the instruments of a detector laboratory.\n\nExit codes of commands: 0 done, 3 rejected, 4 failed or superseded, 5 no answer."),
		kong.Vars{"version": "dcs " + version.Version()},
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.BindTo(ctx, (*context.Context)(nil)),
	)
	if err != nil {
		panic("dcs: " + err.Error()) // the commands above are badly written
	}
	k, err := parser.Parse(letAgo(args))
	if err != nil {
		parser.Errorf("%v", err)
		fmt.Fprintln(os.Stderr, "dcs: dcs --help lists all commands, dcs <command> --help says how one is used")
		return 2
	}
	err = k.Run()
	var code exitCode
	switch {
	case errors.As(err, &code):
		return int(code)
	case err != nil:
		fmt.Fprintln(os.Stderr, "dcs:", err)
		return 1
	}
	return 0
}
