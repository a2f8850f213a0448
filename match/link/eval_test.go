package link

import (
	"context"
	"encoding/csv"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/zeebo/xxh3"

	"kith/profile/fold"
	"kith/schema"
)

// labelled is profiles whose truth is known.
type labelled struct {
	profiles []*fold.Profile
	truth    []string
	// stream gives the profiles where they are not in memory.
	stream Source
}

// numberedID is the id of the n-th profile.
func numberedID(n int) fold.ID { return testID(fmt.Sprint("profile ", n)) }

// profileOf makes a profile of values by path.
func profileOf(id fold.ID, values map[string]string) *fold.Profile {
	p := &fold.Profile{ID: id}
	for path, text := range values {
		a, ok := schema.ParsePath(path)
		if !ok {
			panic(path)
		}
		if text = strings.TrimSpace(text); text != "" {
			p.Values = append(p.Values, fold.Value{Attr: a, Text: text})
		}
	}
	slices.SortFunc(p.Values, func(a, b fold.Value) int { return a.Attr.Compare(b.Attr) })
	return p
}

func testID(text string) (id fold.ID) {
	h := xxh3.HashString128(text)
	b := h.Bytes()
	copy(id[:], b[:])
	return id
}

func (l *labelled) add(truth string, values map[string]string) {
	l.profiles = append(l.profiles, profileOf(numberedID(len(l.profiles)), values))
	l.truth = append(l.truth, truth)
}

// source gives the profiles from several goroutines.
func (l *labelled) source(workers int) Source {
	if l.stream != nil {
		return l.stream
	}
	return func(ctx context.Context, do func(int, *fold.Profile) error) error {
		return parallel(workers, len(l.profiles), func(w, i int) error { return do(w, l.profiles[i]) })
	}
}

// readCSV reads a file with a header.
func readCSV(path string) (rows []map[string]string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	all, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, err
	}
	for _, cells := range all[1:] {
		row := map[string]string{}
		for i, name := range all[0] {
			row[strings.TrimSpace(name)] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// standardColumns are to what attributes the usual columns of labelled files belong; what is not here becomes a custom attribute.
var standardColumns = map[string]string{
	"given_name": "FirstName", "first_name": "FirstName", "fname": "FirstName", "surname": "LastName", "last_name": "LastName", "lname": "LastName", "middle_name": "MiddleName",
	"address_2": "Address.Address2", "suburb": "Address.City", "city": "Address.City", "postcode": "Address.PostalCode", "zip_code": "Address.PostalCode",
	"postcode_fake": "Address.PostalCode", "state": "Address.State", "date_of_birth": "BirthDate", "dob": "BirthDate", "email": "EmailAddress", "phone": "PhoneNumber", "phone_number": "PhoneNumber",
	"business_name": "BusinessName", "gender": "GenderString", "sex": "GenderString", "unique_id": "AccountNumber", "rec_id": "AccountNumber", "id": "AccountNumber", "address": "Address.Address1", "street": "Address.Address1", "country": "Address.Country", "birth_date": "BirthDate", "postal_code": "Address.PostalCode", "address_1": "Address.Address1",
}

// readLabelled reads a file whose truth is a column, or in rec_id as FEBRL has it.
func readLabelled(path string, without ...string) (*labelled, error) {
	rows, err := readCSV(path)
	if err != nil {
		return nil, err
	}
	l := &labelled{}
	persons := map[string]string{} // a file beside it may say who is who
	if text, err := os.ReadFile(strings.TrimSuffix(path, ".csv") + ".truth"); err == nil {
		for line := range strings.Lines(string(text)) {
			record, person, _ := strings.Cut(strings.TrimSpace(line), ",")
			persons[record] = person
		}
	}
	for _, row := range rows {
		truth := row["cluster"]
		if truth == "" {
			truth = persons[row["id"]+row["rec_id"]+row["unique_id"]]
		}
		if parts := strings.Split(row["rec_id"], "-"); truth == "" && len(parts) > 1 {
			truth = parts[1]
		}
		values := map[string]string{}
		for column, text := range row {
			if column == "cluster" || slices.Contains(without, column) {
				continue
			}
			target := standardColumns[column]
			if target == "" {
				target = "Attributes." + column
			}
			if column == "street_number" && !slices.Contains(without, "joining") {
				continue
			}
			if column == "address_1" && !slices.Contains(without, "joining") {
				text = row["street_number"] + " " + text
			}
			values[target] = text
		}
		l.add(truth, values)
	}
	return l, nil
}

// outcome is how good groups are at a threshold.
type outcome struct{ right, wrong, missed float64 }

func (o outcome) precision() float64 { return o.right / math.Max(1, o.right+o.wrong) }
func (o outcome) recall() float64    { return o.right / math.Max(1, o.right+o.missed) }
func (o outcome) f1() float64        { return 2 * o.right / math.Max(1, 2*o.right+o.wrong+o.missed) }

// evaluate counts pairs of groups of a score.
func (l *labelled) evaluate(groups []*Group, threshold float64) (o outcome) {
	truth := l.byID()
	sizes := map[string]float64{}
	for _, t := range l.truth {
		sizes[t]++
	}
	var all float64
	for _, n := range sizes {
		all += n * (n - 1) / 2
	}
	for _, g := range groups {
		if g.Score < threshold {
			continue
		}
		for i, a := range g.Members {
			for _, b := range g.Members[i+1:] {
				if truth[a] == truth[b] {
					o.right++
				} else {
					o.wrong++
				}
			}
		}
	}
	o.missed = all - o.right
	return o
}

func (l *labelled) byID() map[fold.ID]string {
	truth := map[fold.ID]string{}
	for i, t := range l.truth {
		truth[numberedID(i)] = t
	}
	return truth
}

// bins are, by tenths of the score, how many pairs there are, their scores, and how many are right.
type bins struct{ n, right, sum [10]float64 }

func (b *bins) add(o *bins) {
	for k := range b.n {
		b.n[k] += o.n[k]
		b.right[k] += o.right[k]
		b.sum[k] += o.sum[k]
	}
}

func (b *bins) String() string {
	var text strings.Builder
	for k := range b.n {
		if b.n[k] > 0 {
			fmt.Fprintf(&text, "    %.1f–%.1f: %6.0f pairs, mean score %.3f, right %.3f\n", float64(k)/10, float64(k+1)/10, b.n[k], b.sum[k]/b.n[k], b.right[k]/b.n[k])
		}
	}
	return text.String()
}

// reliability says how much scores are to be believed.
func (l *labelled) reliability(groups []*Group) (b bins) {
	truth := l.byID()
	for _, g := range groups {
		k := min(9, int(g.Score*10))
		for i, x := range g.Members {
			for _, y := range g.Members[i+1:] {
				b.n[k]++
				b.sum[k] += g.Score
				if truth[x] == truth[y] {
					b.right[k]++
				}
			}
		}
	}
	return b
}

// fewPairs are enough pairs by chance for a test: what is found of dirty files is as good within 0.005, in half of the time.
const fewPairs = 60_000

func (l *labelled) find(t testing.TB, o Options) ([]*Group, *Model, *Report) {
	t.Helper()
	if o.Workers == 0 {
		o.Workers = 2
	}
	if o.random == 0 {
		o.random = fewPairs
	}
	var groups []*Group
	var mu sync.Mutex
	m, report, err := Find(t.Context(), l.source(o.Workers), o, func(g *Group) error {
		mu.Lock()
		defer mu.Unlock()
		groups = append(groups, g)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return groups, m, report
}

// TestEvaluate measures labelled files. KITH_LABELLED is a folder with them: febrl1.csv, febrl3.csv, fake_1000.csv, and any other file with a
// column named cluster. Nobody but who asks for it runs it: the files are others' and not in the repository, it takes half a minute, and it judges nothing,
// for what is measured is to be read. What must hold of every change, TestPeopleAreFoundAgain holds it to.
func TestEvaluate(t *testing.T) {
	dir := os.Getenv("KITH_LABELLED")
	if dir == "" {
		t.Skip("KITH_LABELLED names no folder of labelled files")
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*.csv"))
	for _, path := range files {
		name := filepath.Base(path)
		variants := [][]string{nil}
		if _, err := os.Stat(strings.TrimSuffix(path, ".csv") + ".truth"); strings.HasPrefix(name, "febrl") && err != nil {
			variants = [][]string{{"soc_sec_id"}, nil, {"soc_sec_id", "joining"}, {"joining"}}
		} else if head, _ := os.ReadFile(path); !strings.Contains(string(head[:min(len(head), 300)]), "cluster") {
			if _, err := os.Stat(strings.TrimSuffix(path, ".csv") + ".truth"); err != nil {
				continue
			}
		}
		for _, without := range variants {
			l, err := readLabelled(path, without...)
			if err != nil {
				t.Fatal(err)
			}
			l.report(t, fmt.Sprint(name, " without ", without))
		}
	}
}

// cpu is the time that the process has used.
func cpu() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano()).Round(10 * time.Millisecond)
}

func (l *labelled) report(t *testing.T, name string) {
	start, busy := time.Now(), cpu()
	groups, m, report := l.find(t, Options{random: randomPairs})
	t.Logf("%s: %d profiles, %v (%v of a processor), %d pairs compared, %d groups, prior %.2f home %.2f", name, len(l.profiles), time.Since(start).Round(10*time.Millisecond), cpu()-busy, report.Compared, report.Groups, m.priorM, m.priorH)
	for _, threshold := range []float64{0.5, 0.8, 0.9, 0.95} {
		o := l.evaluate(groups, threshold)
		t.Logf("  at %.2f: P %.4f R %.4f F1 %.4f (%.0f wrong, %.0f missed)", threshold, o.precision(), o.recall(), o.f1(), o.wrong, o.missed)
	}
	b := l.reliability(groups)
	t.Logf("\n%s", &b)
}
