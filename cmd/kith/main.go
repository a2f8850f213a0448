// Command kith is the whole product in one binary: the server, and the commands of its operators.
//
// Rules of its output: what a program may want to read goes to standard output, everything else to standard error. Errors are
// one sentence that says what to do. Nothing a customer wrote is printed, except by commands whose purpose that is.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/pprof"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// version is set by the linker for releases.
var version = "dev"

// The exit codes, also in docs/operations.md.
const (
	exitOK      = 0
	exitError   = 1 // anything else
	exitUsage   = 2 // flags or configuration
	exitPartial = 3 // an import ended with rejected rows
	exitFailed  = 4 // an import failed or was stopped
	exitDiffers = 5 // kith conformance found a difference
)

// exitErr ends the program with a code.
type exitErr struct {
	code int
	err  error
	// then are commands that may be typed next, as "watch it with kith jobs": they stand below the sentence, each in a line of its own, which is never broken.
	then []string
}

func (e *exitErr) Error() string { return e.err.Error() }
func (e *exitErr) Unwrap() error { return e.err }

func usageError(format string, args ...any) error {
	return &exitErr{code: exitUsage, err: fmt.Errorf(format, args...)}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(run(ctx, os.Args[1:]))
}

// run runs the command line and returns its exit code.
func run(ctx context.Context, args []string) int {
	keepPrivate()
	root := newRoot()
	root.SetArgs(args)
	code := exitUsage // until a command has begun
	profile := root.PersistentFlags().String("cpu-profile", "", "write a CPU profile to this file")
	_ = root.PersistentFlags().MarkHidden("cpu-profile") // for who works on the program
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		code = exitError
		return startProfile(*profile)
	}
	err := root.ExecuteContext(ctx)
	pprof.StopCPUProfile()
	if err == nil {
		return exitOK
	}
	e, ok := errors.AsType[*exitErr](err)
	if ok {
		code = e.code
	}
	if err.Error() != "" {
		tell(root.ErrOrStderr(), "", "kith: "+told(err))
	}
	if ok {
		for _, line := range e.then {
			fmt.Fprintln(root.ErrOrStderr(), "  "+oneLine(line))
		}
	}
	return code
}

func startProfile(path string) error {
	if path == "" {
		return nil
	}
	f, err := os.Create(path)
	if err != nil {
		return usageError("--cpu-profile: %w", err)
	}
	return pprof.StartCPUProfile(f)
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "kith",
		Short: "A customer-profile server you run yourself, with the API of Amazon Connect Customer Profiles",
		Long: `Kith speaks the Amazon Connect Customer Profiles API, so boto3, the AWS CLI and every AWS SDK work against it with
only the endpoint changed. Start with "kith demo".`,
		Version:       versionText(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetHelpFunc(help)
	root.SetVersionTemplate("kith {{.Version}}\n")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError("%w; %s --help lists what there is", err, cmd.CommandPath())
	})
	root.DisableSuggestions = true // noCommand makes them a part of the sentence
	root.AddCommand(serveCommand(), importCommand(), countryCommand(), jobsCommand(), rejectsCommand(), stopCommand(), undoCommand(), getCommand(), searchCommand(), matchCommand(), domainsCommand(), profilesCommand(), exportCommand(), deadLettersCommand(), exportPersonCommand(), forgetCommand(), purgeCommand(), keysCommand(), sampleCommand(), demoCommand(),
		backupCommand(), restoreCommand(), migrateCommand(), copyCommand(), checkCommand(), conformanceCommand(), healthCommand(), manCommand(), versionCommand())
	addCompletion(root)
	wordArguments(root)
	return root
}

// wordArguments has a command and those below it say in a sentence what is wrong with their arguments.
func wordArguments(cmd *cobra.Command) {
	check, path := cmd.Args, cmd.CommandPath()
	_, takes, _ := strings.Cut(cmd.Use, " ")
	switch {
	case cmd.HasSubCommands() && !cmd.Runnable():
		cmd.Args, cmd.DisableFlagsInUseLine = cobra.ArbitraryArgs, true
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return noCommand(cmd, args[0])
		}
	case check != nil:
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if check(cmd, args) == nil {
				return nil
			}
			given := fmt.Sprintf("%d arguments were", len(args))
			if len(args) == 1 {
				given = "one was"
			}
			return usageError("%s takes %s, and %s given; %s --help tells more", path, cmp.Or(strings.TrimSpace(takes), "no arguments"), given, path)
		}
	}
	for _, sub := range cmd.Commands() {
		wordArguments(sub)
	}
}

// noCommand says that there is no such command, and which may have been meant.
func noCommand(cmd *cobra.Command, name string) error {
	_, path, _ := strings.Cut(cmd.CommandPath()+" "+name, " ")
	meant := ""
	cmd.SuggestionsMinimumDistance = 2
	if like := cmd.SuggestionsFor(name); len(like) > 0 {
		meant = fmt.Sprintf("did you mean %q? ", like[0])
	}
	return usageError("there is no command %q; %s%s --help lists all", path, meant, cmd.CommandPath())
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "kith", versionText())
			return err
		},
	}
}
