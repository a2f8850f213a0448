package charset

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// rows are lines of names and addresses by language, of words that the models were not made from.
func rows(t *testing.T) map[string][]string {
	t.Helper()
	f, err := os.Open("testdata/rows.tsv.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	sc := bufio.NewScanner(z)
	for sc.Scan() {
		language, row, _ := strings.Cut(sc.Text(), "\t")
		all[language] = append(all[language], row)
	}
	return all
}

// outcome counts how texts were read.
type outcome struct{ right, uncertain, wrong int }

func (o outcome) String() string { return fmt.Sprintf("%d/%d/%d", o.right, o.uncertain, o.wrong) }

// measure reads texts of n rows in an encoding.
func measure(c *Charset, all []string, n int) (o outcome, said string) {
	windows := 1
	if testing.Verbose() {
		windows = 9
	}
	step := max(1, (len(all)-n)/windows)
	for from := 0; from+n <= len(all) && from/step <= windows; from += step {
		text := "id,given,family,street,city,company\r\n"
		for i, r := range all[from : from+n] {
			text += fmt.Sprintf("%d,%s\r\n", i, r)
		}
		b, err := c.Encoding.NewEncoder().String(text)
		if err != nil {
			continue
		}
		if !strings.ContainsFunc(text, func(r rune) bool { return r >= 0x80 }) {
			continue
		}
		guesses := Detect([]byte(b), false)
		back, _ := guesses[0].Encoding.NewDecoder().String(b)
		switch {
		case back == text && guesses[0].Lead >= Certain:
			o.right++
		case guesses[0].Lead < Certain:
			o.uncertain++
		default:
			o.wrong++
			said += " " + guesses[0].Name
		}
	}
	return o, said
}

// encodable keeps the rows that an encoding can hold.
func encodable(c *Charset, rows []string) []string {
	return slices.DeleteFunc(slices.Clone(rows), func(r string) bool {
		_, err := c.Encoding.NewEncoder().String(r)
		return err != nil
	})
}

// Whatever is certain is right, at 300 rows in every language and encoding. `go test -v` prints the table of docs/import.md.
func TestDetection(t *testing.T) {
	all := rows(t)
	t.Logf("%-16s %-8s %10s %10s %10s", "encoding", "language", "10", "50", "300")
	for _, c := range charsets {
		for _, language := range c.languages {
			rows := encodable(c, all[language])
			if len(rows) < 10 {
				continue
			}
			var cells []string
			var errs string
			for _, n := range []int{10, 50, 300} {
				o, said := measure(c, rows, min(n, len(rows)))
				cells = append(cells, o.String())
				errs += said
				if n == 300 && o.wrong > 0 {
					t.Errorf("%s in %s: %d of %d texts of 300 rows are wrong and certain:%s", c.Name, language, o.wrong, o.right+o.uncertain+o.wrong, said)
				}
			}
			t.Logf("%-16s %-8s %10s %10s %10s %s", c.Name, language, cells[0], cells[1], cells[2], errs)
		}
	}
}
