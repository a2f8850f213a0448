package main

import (
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
)

// crashFile is where in the data folder the runtime leaves word when the process dies by itself: of a panic that nothing catches, or for
// want of memory. The next start reads it and removes it, and counts the death against the work that was done then (job.Runner.Died).
//
// What it holds also went to the standard error: the message of the panic and a trace of one goroutine, with arguments as words of
// memory. Panics of the runtime name numbers and types; Kith itself panics with nothing of its customers'. Because a message could hold
// anything all the same, only the user of the process may read the file, and nothing of the message gets out of it (causeOfDeath).
const crashFile = "crash.txt"

// maxCrash is how much of it is read: the message and the innermost frames.
const maxCrash = 64 << 10

// watchDeath returns what the last process on a data folder died of, if it left word, and makes the runtime leave word of this one. The
// folder must be locked. Without such a file the server does as well, so what can't be done is a warning.
func watchDeath(dir string, log *slog.Logger) (died string) {
	path := filepath.Join(dir, crashFile)
	died, err := readDeath(path)
	if err == nil {
		err = leaveWord(path)
	}
	if err != nil {
		log.Warn("what kills the server, if anything does, will not be known to its next start", "file", path, "error", err)
	}
	if died != "" {
		log.Error("the last process on this data folder died", "cause", died)
	}
	return died
}

func readDeath(path string) (string, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxCrash))
	if err = errors.Join(err, f.Close(), os.Remove(path)); err != nil {
		return "", err
	}
	return causeOfDeath(string(b)), nil
}

// leaveWord makes the runtime write to a new file what the process dies of.
func leaveWord(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(debug.SetCrashOutput(f, debug.CrashOptions{}), f.Close()) // the runtime has a descriptor of its own
}

// unwatchDeath ends what watchDeath began: the process has done its work.
func unwatchDeath(dir string) error {
	err := errors.Join(debug.SetCrashOutput(nil, debug.CrashOptions{}), os.Remove(filepath.Join(dir, crashFile)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// fatal are the messages of the runtime as a rule: words. Others are not passed on.
var fatal = regexp.MustCompile(`^[a-z][a-zA-Z :,'-]{0,80}$`)

// causeOfDeath tells from what the runtime has written what the process died of: "" if it does not say, as when a signal ended it. It
// names functions, never the message of a panic.
func causeOfDeath(text string) string {
	cause := ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		message, isFatal := strings.CutPrefix(line, "fatal error: ")
		function, isFrame := frame(line)
		switch {
		case cause == "" && isFatal && (strings.Contains(message, "out of memory") || strings.Contains(message, "cannot allocate memory")):
			return "it ran out of memory"
		case cause == "" && isFatal && fatal.MatchString(message):
			return "a fatal error, " + message
		case cause == "" && isFatal:
			return "a fatal error"
		case cause == "" && strings.HasPrefix(line, "panic: "):
			cause = "a panic"
		case cause != "" && isFrame:
			return cause + " in " + function
		}
	}
	return cause
}

// frame returns the function that a line of a trace names; false: it names none, or one of the runtime's.
func frame(line string) (string, bool) {
	at := strings.LastIndexByte(line, '(')
	if at <= 0 || !strings.HasSuffix(line, ")") || strings.HasPrefix(line, "\t") || strings.ContainsAny(line[:at], " :") {
		return "", false
	}
	function := line[:at]
	return function, function != "panic" && !strings.HasPrefix(function, "runtime.")
}
