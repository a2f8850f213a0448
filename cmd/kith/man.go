package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Man pages are written from the commands themselves, one for each, so that they say what the program says. The texts of commands are plain; cobra's own
// writer takes them for Markdown, in which "*" and "_" vanish.

func manCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use: "man [COMMAND]...", Short: "Write a man page to standard output, or all of them into a folder", Args: cobra.ArbitraryArgs,
		Long: `Write the man page of kith, or of a command, to standard output, or with --dir those of all commands into a folder.`,
		Example: `  kith man import | man -l -
  kith man --dir /usr/local/share/man/man1`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if dir != "" {
				if len(args) > 0 {
					return usageError("--dir writes the pages of all commands; leave the command out")
				}
				return writeManPages(cmd.Root(), dir)
			}
			at, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return noCommand(cmd.Root(), strings.Join(args, " "))
			}
			return manPage(cmd.OutOrStdout(), at)
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, word string) (names []cobra.Completion, _ cobra.ShellCompDirective) {
			if at, rest, err := cmd.Root().Find(args); err == nil && len(rest) == 0 {
				for _, c := range at.Commands() {
					if c.IsAvailableCommand() && strings.HasPrefix(c.Name(), word) {
						names = append(names, cobra.CompletionWithDesc(c.Name(), c.Short))
					}
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "folder for the pages of all commands, made if it is missing")
	return cmd
}

// pageName is the name of a command's page, such as kith-jobs-work.
func pageName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

func writeManPages(cmd *cobra.Command, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(dir, pageName(cmd)+".1"), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	err = manPage(f, cmd)
	if err == nil {
		err = f.Chmod(0o644) // for everybody, other than what this program writes of customers
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			if err := writeManPages(sub, dir); err != nil {
				return err
			}
		}
	}
	return nil
}

// manPage writes a command's page in the man macros of roff.
func manPage(w io.Writer, cmd *cobra.Command) error {
	var b strings.Builder
	section := func(title string) { fmt.Fprintf(&b, ".SH %s\n", title) }
	fmt.Fprintf(&b, ".TH %q 1 \"\" %q \"Kith\"\n", strings.ToUpper(pageName(cmd)), "kith "+versionText())
	section("NAME")
	fmt.Fprintf(&b, "%s \\- %s\n", roff(pageName(cmd)), roff(cmd.Short))
	section("SYNOPSIS")
	if cmd.Runnable() && !cmd.HasSubCommands() || cmd.HasSubCommands() && strings.Contains(cmd.Use, " ") {
		fmt.Fprintf(&b, ".B %s\n", roff(strings.TrimSuffix(cmd.UseLine(), " [flags]")+" [flags]"))
	}
	if cmd.HasSubCommands() {
		fmt.Fprintf(&b, ".br\n.B %s\n", roff(cmd.CommandPath()+" COMMAND"))
	}
	section("DESCRIPTION")
	long := cmd.Long
	if long == "" {
		long = cmd.Short + "."
	}
	paragraphs(&b, long)
	if cmd.HasAvailableSubCommands() {
		section("COMMANDS")
		for _, sub := range cmd.Commands() {
			if sub.IsAvailableCommand() {
				fmt.Fprintf(&b, ".TP\n.BR %s (1)\n%s\n", roff(pageName(sub)), roff(sub.Short))
			}
		}
	}
	if cmd.HasAvailableLocalFlags() {
		section("OPTIONS")
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) { option(&b, f) })
	}
	if cmd.Example != "" {
		section("EXAMPLES")
		paragraphs(&b, cmd.Example)
	}
	section("SEE ALSO")
	if cmd.HasParent() {
		fmt.Fprintf(&b, ".BR %s (1)\n", roff(pageName(cmd.Parent())))
	} else {
		fmt.Fprintf(&b, "%s\n", roff("docs/operations.md has the configuration, keys and policies, backup, and the exit codes."))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// option writes one flag.
func option(b *strings.Builder, f *pflag.Flag) {
	if f.Hidden {
		return
	}
	name := "--" + f.Name
	if f.Shorthand != "" {
		name = "-" + f.Shorthand + ", " + name
	}
	value, usage := pflag.UnquoteUsage(f)
	if value != "" {
		name += " " + strings.ToUpper(value)
	}
	if def := f.DefValue; def != "" && def != "false" && def != "0" && def != "[]" && def != "0s" && !strings.Contains(usage, "(default") {
		usage += " (default " + def + ")"
	}
	fmt.Fprintf(b, ".TP\n.B %s\n%s\n", roff(name), roff(usage))
}

// paragraphs writes a plain text: blank lines part paragraphs, and lines that begin with blanks stay as they are.
func paragraphs(b *strings.Builder, text string) {
	verbatim := false
	fmt.Fprintln(b, ".PP")
	for _, line := range strings.Split(strings.Trim(text, "\n"), "\n") {
		indented := strings.HasPrefix(line, "  ")
		if indented != verbatim && line != "" {
			fmt.Fprintln(b, map[bool]string{true: ".nf", false: ".fi"}[indented])
			verbatim = indented
		}
		if line == "" {
			line = ".PP"
		} else {
			line = roff(line)
		}
		fmt.Fprintln(b, line)
	}
	if verbatim {
		fmt.Fprintln(b, ".fi")
	}
}

// roff escapes what has a meaning to roff.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "…", `\[u2026]`, "—", `\[em]`).Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		text = `\&` + text
	}
	return text
}
