package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/rivo/uniseg"
	"github.com/spf13/cobra"
)

// screen is how many columns of a terminal is written to.
const screen = 80

// tell prints a sentence: on a terminal in lines that fit it, anywhere else in one, for programs to find.
func tell(w io.Writer, mark, text string) {
	if isTerminal(w) {
		printWrapped(w, mark, text)
		return
	}
	fmt.Fprintln(w, mark+oneLine(text))
}

// printWrapped prints a text in lines that fit the screen, the first behind a mark and the others below it.
func printWrapped(w io.Writer, mark, text string) {
	indent := strings.Repeat(" ", uniseg.StringWidth(mark))
	line := mark
	width := len(indent)
	for i, word := range strings.Fields(oneLine(text)) {
		n := uniseg.StringWidth(word)
		switch {
		case i == 0:
		case width+1+n > screen:
			fmt.Fprintln(w, line)
			line, width = indent, len(indent)
		default:
			line, width = line+" ", width+1
		}
		line, width = line+word, width+n
	}
	fmt.Fprintln(w, line)
}

// help prints what a command does and how it is used, in lines that fit the screen. Lines that begin with blanks, as examples do, stay as they are.
func help(cmd *cobra.Command, _ []string) {
	w, text := cmd.OutOrStdout(), cmd.Long
	if text == "" {
		text = cmd.Short + "."
	}
	for i, part := range strings.Split(strings.TrimSpace(text), "\n\n") {
		if i > 0 {
			fmt.Fprintln(w)
		}
		if strings.HasPrefix(part, " ") {
			fmt.Fprintln(w, part)
		} else {
			printWrapped(w, "", part)
		}
	}
	fmt.Fprintln(w)
	examples := false
	for line := range strings.Lines(cmd.UsageString()) {
		line = strings.TrimRight(line, " \n")
		if line != "" && line[0] != ' ' {
			examples = line == "Examples:"
		}
		mark, rest := described(line)
		if examples || mark == "" {
			fmt.Fprintln(w, line)
			continue
		}
		printWrapped(w, mark, rest)
	}
}

// described parts the name of a flag or a command from what is said of it; without that, name is "".
func described(line string) (name, text string) {
	rest := strings.TrimLeft(line, " ")
	start := len(line) - len(rest)
	if i := strings.Index(rest, "  "); start > 0 && i > 0 {
		text = strings.TrimLeft(rest[i:], " ")
		return line[:len(line)-len(text)], text
	}
	return "", line
}
