package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"kith/internal/people"
)

// mergedIDs are the lines of "kith match merges" but for the ids of merges, which are of each run: scores and profiles.
var mergedIDs = regexp.MustCompile(`(?m)^[0-9a-f]{24}  `)

// The program is killed at random moments of a run of matching that merges: it goes on, and ends with the counters, the merges and the profiles of
// an undisturbed one. KITH_TORTURE is as for imports.
func TestKillDuringMatching(t *testing.T) {
	t.Parallel()
	want := 2
	if text := os.Getenv("KITH_TORTURE"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		want = n / 4
	}
	dir := t.TempDir()
	file, imported := filepath.Join(dir, "customers.csv"), filepath.Join(dir, "imported")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := people.Write(f, &strings.Builder{}, people.Options{Records: 300, Seed: 3, Repeats: 0.5}); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"import", file, "--yes", "--key", "id"}, {"match", "on", "--merge", "LastName,BirthDate", "--merge", "EmailAddress"}} {
		if _, errs, err := kith(t, append(args, "--data", imported)...); err != nil {
			t.Fatal(errs)
		}
	}
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	var calmTook time.Duration // of the program that nobody kills: others are killed within that time
	matched := func(name string, kills int) (outcome string, killed int) {
		data := filepath.Join(dir, name)
		if err := os.CopyFS(data, os.DirFS(imported)); err != nil {
			t.Fatal(err)
		}
		if _, errs, err := kith(t, "match", "start", "--no-wait", "--data", data); err != nil {
			t.Fatal(errs)
		}
		for {
			cmd := exec.Command(path, "match", "runs", "last", "--data", data) // serves the folder itself, so that the run goes on
			var said strings.Builder
			cmd.Stdout, cmd.Stderr = &said, &said
			began := time.Now()
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			var soon <-chan time.Time
			if killed < kills {
				soon = time.After(rand.N(calmTook))
			}
			select {
			case err := <-ended:
				if err != nil {
					t.Fatal(said.String())
				}
				calmTook = max(calmTook, time.Since(began))
				merges, errs, err := kith(t, "match", "merges", "last", "--data", data)
				if err != nil {
					t.Fatal(errs)
				}
				lines := strings.SplitAfter(mergedIDs.ReplaceAllString(merges, "\x00"), "\x00")
				slices.Sort(lines) // matches of one score are in the order of their ids, which are of the run
				result, _, _ := strings.Cut(said.String(), "\n")
				return fmt.Sprintln(result, dumpFolder(t, data), len(lines)-1, "merges") + strings.Join(lines, "\n"), killed
			case <-soon:
				err := cmd.Process.Kill()
				<-ended
				switch {
				case err == nil:
					killed++
				case !errors.Is(err, os.ErrProcessDone): // it was faster
					t.Fatal(err)
				}
			}
		}
	}
	calm, _ := matched("calm", 0)
	if !strings.Contains(calm, "COMPLETED: 300 profiles looked at") {
		t.Fatal(calm)
	}
	for kills, round := 0, 0; kills < want; round++ {
		name := fmt.Sprint("killed", round)
		got, n := matched(name, min(want-kills, 1+rand.IntN(4)))
		if got != calm {
			t.Fatalf("round %d, %d kills\n%.3000s\nundisturbed\n%.3000s", round, n, got, calm)
		}
		kills += n
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}
