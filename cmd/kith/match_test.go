package main

import (
	"encoding/csv"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/customerprofiles/types"
)

// messyFile is a file of 120 customers, every tenth of whom stands twice, the second time with a typing error and without a phone number.
func messyFile() string {
	r := rand.New(rand.NewPCG(1, 2))
	pick := func(words string) string {
		all := strings.Fields(words)
		return all[r.IntN(len(all))]
	}
	var b strings.Builder
	b.WriteString("id,first,last,mail,phone,birth,street,city,zip\n")
	for i := range 120 {
		first := pick("Anna Bruno Carla David Elena Felix Greta Henry Ines Jonas Karin Louis Marta Niels Olga Pablo Quinn Rosa Stefan Tilda")
		last := pick("Abend Berger Castro Dupont Ekdahl Fischer Garcia Hansen Ivanova Jensen Keller Lindqvist Moreau Novak Okafor Petrov Quispe Rossi Silva Tanaka")
		mail := fmt.Sprintf("%s.%s%d@%s.com", strings.ToLower(first), strings.ToLower(last), r.IntN(1000), pick("mail post inbox"))
		rest := fmt.Sprintf("%d-%02d-%02d,%d %s Street,Town%d,%d", 1935+r.IntN(70), 1+r.IntN(12), 1+r.IntN(28), 1+r.IntN(400), pick("Elm High Mill Oak Park Church Station Harbour King Queen"), r.IntN(40), 10000+r.IntN(89999))
		fmt.Fprintf(&b, "a%d,%s,%s,%s,+1206%d,%s\n", i, first, last, mail, 2000000+r.IntN(7999999), rest)
		if i%10 == 0 {
			fmt.Fprintf(&b, "b%d,%se,%s,%s,,%s\n", i, first[:len(first)-1], last, mail, rest)
		}
	}
	return b.String()
}

// A new user goes from a messy file to merged profiles and back, with the commands alone.
func TestMatchFromAMessyFileAndBack(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("mess.csv", []byte(messyFile()), 0o600); err != nil {
		t.Fatal(err)
	}
	do := func(want int, args ...string) (out, errs string) {
		t.Helper()
		code, out, errs := kith(t, args...)
		if code != want {
			t.Fatalf("kith %s ends with %d:\n%s%s", strings.Join(args, " "), code, out, errs)
		}
		return out, errs
	}
	says := func(text string, words ...string) {
		t.Helper()
		for _, w := range words {
			if !strings.Contains(text, w) {
				t.Fatalf("%q is not in\n%s", w, text)
			}
		}
	}
	profiles := func() int {
		out, _ := do(exitOK, "export", "--format", "ndjson")
		return strings.Count(out, "\n")
	}
	do(exitOK, "import", "mess.csv", "--yes", "--key", "id")
	_, errs := do(exitError, "match", "start")
	says(errs, "matching is off in domain customers; kith match on turns it on")
	_, errs = do(exitOK, "match", "runs")
	says(errs, "Matching has not run in domain customers")
	out, _ := do(exitOK, "match", "on")
	says(out, "nothing is merged")
	_, errs = do(exitOK, "match", "list")
	says(errs, "kith match start runs it")
	out, _ = do(exitOK, "match", "start")
	says(out, "COMPLETED: 132 profiles looked at, 12 matches found, 0 profiles merged into others", "kith match list")
	_, errs = do(exitOK, "match", "merges")
	says(errs, "has merged nothing")
	do(exitOK, "search", "--on")
	out, errs = do(exitError, "search", "nobody", "like", "that")
	if says(errs, "nobody in domain customers has all of that"); out != "" {
		t.Errorf("nobody is listed as %q", out)
	}
	out, errs = do(exitOK, "match", "list", "--max", "5")
	says(errs, "12 matches, found")
	lines := strings.Split(out, "\n")
	if len(lines) != 16 || profiles() != 132 {
		t.Fatalf("%d profiles, and five matches in %d lines:\n%s", profiles(), len(lines), out)
	}
	match, one, other := strings.Fields(lines[0])[0], strings.Fields(lines[1])[0], strings.Fields(lines[2])[0]
	byMatch, _ := do(exitOK, "match", "of", match)
	byProfile, _ := do(exitOK, "match", "of", one)
	if byMatch != byProfile || byMatch != strings.Join(lines[:3], "\n")+"\n" {
		t.Fatalf("%s\n%s", byMatch, byProfile)
	}
	why, _ := do(exitOK, "match", "explain", match)
	if ofProfile, _ := do(exitOK, "match", "explain", one); ofProfile != why {
		t.Errorf("the match of a profile is explained otherwise:\n%s", ofProfile)
	}
	says(why, one, other, "together: a probability", "e-mail: the same", "birth date: the same", "any two profiles")
	for line := range strings.Lines(why) {
		if len([]rune(line)) > screen+1 {
			t.Errorf("a line of %d columns: %s", len([]rune(line)), line)
		}
	}

	// One pair is said not to be the same, the others are merged.
	do(exitError, "match", "answer", one, other)
	out, _ = do(exitOK, "match", "answer", "--not-same", one, other)
	says(out, "Answered: not the same")
	out, _ = do(exitOK, "match", "answers")
	says(out, one, other, "not the same")
	out, _ = do(exitOK, "match", "preview", "--merge", "LastName,EmailAddress")
	says(out, "Of 12 matches with 24 profiles, 22 profiles would take part in a merge")
	_, errs = do(exitError, "match", "on", "--merge", "Surname")
	says(errs, `"Surname"`, "which no profile has")
	do(exitOK, "match", "on", "--merge", "LastName,EmailAddress", "--min-score", "0.5")
	out, _ = do(exitOK, "match", "start")
	says(out, "11 profiles merged into others", "kith match merges")
	if got := profiles(); got != 121 {
		t.Fatal(got)
	}
	out, _ = do(exitOK, "match", "merges", "last")
	if n := strings.Count(out, "  merged\n"); n != 11 {
		t.Fatalf("%d merges:\n%s", n, out)
	}
	merge := strings.Fields(out)[0]

	// And back: one, then all.
	out, _ = do(exitOK, "match", "undo", merge)
	says(out, "UNMERGED: 1 profile by themselves again")
	_, errs = do(exitError, "match", "undo", merge)
	says(errs, "There is no merge "+merge)
	out, _ = do(exitOK, "match", "undo", "--run", "last")
	says(out, "UNMERGED: 10 merges, 10 profiles by themselves again")
	out, _ = do(exitOK, "match", "start")
	says(out, "0 profiles merged into others")
	if got := profiles(); got != 132 {
		t.Fatal(got)
	}
	do(exitOK, "match", "answer", "--forget", one, other)
	out, _ = do(exitOK, "match", "start")
	says(out, "1 profile merged into others")
	out, _ = do(exitOK, "match", "runs")
	if n := strings.Count(out, "COMPLETED"); n != 4 || !strings.Contains(out, "PENDING") {
		t.Fatal(out)
	}
	out, _ = do(exitOK, "match", "off")
	says(out, "Matching is off")
	for _, args := range [][]string{{"match", "list"}, {"match", "preview", "--merge", "LastName"}, {"match", "of", one}, {"match", "start"}} {
		_, errs = do(exitError, args...)
		says(errs, "matching is off in domain customers; kith match on turns it on")
	}
}

// What somebody has merged by hand, or a rule has, is found by the profile that it became a part of, and taken back by the merge or by a profile of it.
func TestMergesOfAProfile(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("two.csv", []byte("id,first,last,mail\n1,Ann,Lee,ann@example.com\n2,Anna,Lee,anna@example.com\n3,Bo,Poe,bo@example.com\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	do := func(want int, word string, args ...string) string {
		t.Helper()
		code, out, errs := kith(t, args...)
		if code != want || !strings.Contains(out+errs, word) {
			t.Fatalf("kith %s ends with %d, and %q is not in\n%s%s", strings.Join(args, " "), code, word, out, errs)
		}
		return out
	}
	do(exitOK, "3 created", "import", "two.csv", "--yes", "--key", "id")
	do(exitOK, "Nothing was merged into profile", "match", "merges", "--of", "ann@example.com")
	do(exitError, "nobody in domain customers has that", "match", "merges", "--of", "nobody@example.com")
	do(exitError, "--merge-to is said with the rules", "match", "rules", "--merge-to", "1")
	do(exitError, "say one of", "match", "rules", "--off", "--list")
	do(exitError, "--source is about what is merged", "match", "rules", "--rule", "LastName", "--source", "crm")
	do(exitError, "lacks a field", "match", "rules", "--rule", "LastName,")
	do(exitError, "which no rule compares", "match", "rules", "--rule", "Surname")
	do(exitOK, "is off in domain customers", "match", "rules")
	do(exitOK, "active", "match", "rules", "--rule", "AccountNumber", "--rule", "LastName")
	list := do(exitOK, "by rule 2", "match", "rules", "--list")
	ids := strings.Fields(list)
	do(exitOK, "matches   LastName", "match", "rules")
	do(exitOK, "by rule 2", "match", "of", "anna@example.com")
	do(exitOK, "by rule 2: the same LastName", "match", "explain", "anna@example.com")
	do(exitOK, "by rule 2: the same LastName", "match", "explain", ids[0])
	do(exitError, "nothing was learned", "match", "explain", "bo@example.com")

	do(exitOK, "merges    LastName", "match", "rules", "--rule", "LastName", "--merge-to", "1")
	if list = do(exitOK, "No profiles match by rules", "match", "rules", "--list"); list != "" {
		t.Fatalf("what was merged matches:\n%s", list)
	}
	merges := do(exitOK, "rule-based-matching/level-1", "match", "merges", "--of", "ann@example.com")
	words := strings.Fields(merges)
	gone := words[len(words)-1]
	if !strings.Contains(strings.Join(ids, " "), gone) {
		t.Fatalf("%s is none of\n%s", gone, list)
	}
	do(exitOK, "UNMERGED: 1 profile", "match", "undo", gone)
	do(exitError, "is not one that was merged", "match", "undo", gone)
	do(exitOK, "not the same", "match", "answers")
	do(exitOK, "Answered: the same", "match", "answer", "--same", "ann@example.com", "bo@example.com")
	do(exitOK, "Forgotten", "match", "answer", "--forget", "bo@example.com", "_account=1")
	do(exitOK, "Nothing was merged into", "match", "merges", "--of", "ann@example.com")
	do(exitOK, "active", "match", "rules")
	do(exitOK, "Nothing was merged into", "match", "merges", "--of", "anna@example.com")
	do(exitOK, "Matching by rules is off", "match", "rules", "--off")
	do(exitError, "--min-score is about what is merged", "match", "on", "--min-score", "0.9")
}

// The last run is one that waits for whoever follows it, and one that has begun for who asks what it merged; never the one of the schedule.
func TestLastRun(t *testing.T) {
	const pending, done = types.IdentityResolutionJobStatusPending, types.IdentityResolutionJobStatusCompleted
	for _, c := range []struct {
		name            string
		runs            []types.IdentityResolutionJobStatus // from the newest
		started, hasRun int
	}{
		{"matching is off", nil, -1, -1},
		{"off, and has run", []types.IdentityResolutionJobStatus{done, done}, 0, 0},
		{"the schedule's", []types.IdentityResolutionJobStatus{pending}, -1, -1},
		{"one waits", []types.IdentityResolutionJobStatus{pending, pending}, 1, -1},
		{"one waits, one has run", []types.IdentityResolutionJobStatus{pending, pending, done}, 1, 2},
		{"one runs", []types.IdentityResolutionJobStatus{pending, types.IdentityResolutionJobStatusMerging, done}, 1, 1},
	} {
		var runs []types.IdentityResolutionJob
		for i, s := range c.runs {
			runs = append(runs, types.IdentityResolutionJob{JobId: new(strconv.Itoa(i)), Status: s})
		}
		for waiting, want := range map[bool]int{true: c.started, false: c.hasRun} {
			if got := newest(runs, waiting); got == nil && want >= 0 || got != nil && *got != strconv.Itoa(want) {
				t.Errorf("%s, waiting %t: not run %d", c.name, waiting, want)
			}
		}
	}
}

// Matches are written into a folder of the operator, and nowhere else.
func TestMatchExports(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Mkdir("out", 0o700); err != nil {
		t.Fatal(err)
	}
	for to, want := range map[string]string{"none": "is no folder", "s3://bucket": "each domain names its bucket itself", "s3://?colour=red": "nobody knows"} {
		if _, err := exportsTo(to); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("--exports %s: %v", to, err)
		}
	}
	t.Setenv("KITH_EXPORTS", "out")
	if err := os.WriteFile("mess.csv", []byte(messyFile()), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"import", "mess.csv", "--yes", "--key", "id"}, {"match", "on", "--export", "bucket/some/where"}, {"match", "start"}} {
		if code, out, errs := kith(t, args...); code != exitOK {
			t.Fatalf("%v: %d\n%s%s", args, code, out, errs)
		}
	}
	var files []string
	err := filepath.WalkDir("out/bucket/some/where/customers", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, path)
		}
		return err
	})
	if err != nil || len(files) != 1 || filepath.Base(files[0]) != "matches-00000.csv" {
		t.Fatal(files, err)
	}
	f, err := os.Open(files[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil || len(rows) != 25 {
		t.Fatal(len(rows), err)
	}
}
