package stage

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"kith/domain"
	"kith/profile/fold"
	"kith/schema"
	"kith/store"
)

// Whatever is there, whichever way an import goes and however often it begins anew, it leaves the same rows, each once, and nothing else.
func TestEveryWayLeavesTheSameRows(t *testing.T) {
	account, mail := schema.Attr{ID: attrOf(t, "AccountNumber")}, schema.Attr{ID: attrOf(t, "EmailAddress")}
	rounds := 8
	if testing.Short() {
		rounds = 4
	}
	for round := range rounds {
		rng := rand.New(rand.NewPCG(uint64(round), 1))
		n := 200 + rng.IntN(2500)
		met := map[int]fold.ID{}
		for range rng.IntN(300) {
			met[rng.IntN(2*n)] = idNear()
		}
		var file strings.Builder
		file.WriteString("id,mail,first,middle,last,phone,tier,note\n")
		for range n {
			id := rng.IntN(n)
			person := rng.IntN(50)
			fmt.Fprintf(&file, "c%06d,%s,First%d,%s,Last%d,+1206555%04d,t%d,%s\n", id, []string{"all@example.com", fmt.Sprintf("p%d@example.com", id), ""}[rng.IntN(3)], person,
				[]string{"", "M"}[rng.IntN(2)], person, rng.IntN(20), rng.IntN(3), strings.Repeat("x", rng.IntN(200)))
		}
		buckets := int64(1 << (14 + rng.IntN(6)))
		var want []string
		var ranges [][]byte
		for i, w := range []way{
			{workers: 1},
			{staged: true, workers: 3},
			{staged: true, workers: 2, memory: 1, large: 1 + rng.IntN(5000)},
			{staged: true, workers: 2, again: 1 + rng.IntN(4), large: 1 + rng.IntN(100_000)},
		} {
			if w.buckets = buckets; round%2 == 0 {
				w.ranges = &ranges
			}
			b := newBench(t, "id", []domain.Key{{Name: "two", Parts: []domain.KeyPart{{Attribute: "LastName", ContentType: "NAME"}, {Attribute: "PhoneNumber", ContentType: "PHONE_NUMBER"}}}},
				"id=AccountNumber", "mail=EmailAddress", "first=FirstName", "middle=MiddleName", "last=LastName", "phone=PhoneNumber", "tier=Attributes.tier", "note=AdditionalInformation")
			for _, at := range slices.Sorted(maps.Keys(met)) {
				b.there(met[at], int64(at), fold.Value{Attr: account, Text: fmt.Sprintf("c%06d", at)}, fold.Value{Attr: mail, Text: fmt.Sprintf("P%d@example.com", at)},
					fold.Value{Attr: schema.Attr{ID: schema.FirstName}, Text: "Was"})
			}
			before := len(b.rows())
			runs := b.run(file.String(), w)
			if c := Sum(nil, runs); len(met) > 50 && (c.Created == 0 || c.Updated-c.Repeated == 0) {
				t.Fatalf("%+v: not everything is met", c)
			}
			if i == 0 {
				if want = b.rows(); len(want) <= before {
					t.Fatal("nothing was imported")
				}
			} else if got := b.rows(); !slices.Equal(got, want) {
				t.Fatalf("round %d, %+v: %d rows, and %d bucket by bucket, or others: %s", round, w, len(got), len(want), firstDifference(got, want))
			}
			b.close()
		}
	}
}

func attrOf(t testing.TB, name string) uint16 {
	t.Helper()
	a, ok := schema.ParsePath(name)
	if !ok {
		t.Fatal(name)
	}
	return a.ID
}

func firstDifference(a, b []string) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return a[i] + "\n instead of\n" + b[i]
		}
	}
	return "one has more"
}

// mappings are unique keys of every kind, with files for them.
var mappings = map[string]struct {
	unique  string
	fields  []string
	country string
	header  string
	row     func(n int) string
}{
	"private key": {"ref", []string{"ref", "last=LastName", "mail=EmailAddress"}, "", "ref,last,mail", func(n int) string {
		return fmt.Sprintf("R%d,Last%d,m%d@example.com", n%700, n%5, n%40)
	}},
	"an e-mail among others": {"mail", []string{"mail=EmailAddress", "other=BusinessEmailAddress", "third=PersonalEmailAddress"}, "", "mail,other,third", func(n int) string {
		return fmt.Sprintf("m%d@example.com,m%d@example.com,%s", n%900, (n*7)%900, []string{"", "all@example.com"}[n%2])
	}},
	"an e-mail alone": {"mail", []string{"mail=EmailAddress", "first=FirstName", "last=LastName"}, "", "mail,first,last", func(n int) string {
		return fmt.Sprintf("M%d@Example.com,Ann,%s", n%900, strings.Repeat("Ä", n%255))
	}},
	"a phone with a country": {"phone", []string{"phone=PhoneNumber", "id=AccountNumber"}, "DE", "phone,id", func(n int) string {
		return fmt.Sprintf("%s30 %07d,%d", []string{"0", "+49 ", "0049"}[n%3], 1234000+n%800, n)
	}},
	"phones with a country": {"phone", []string{"phone=PhoneNumber", "home=HomePhoneNumber"}, "DE", "phone,home", func(n int) string {
		return fmt.Sprintf("030 %07d,+49 30 %07d", 1234000+n%800, 1234000+(n*3)%800)
	}},
	"several parts": {"shop,number", []string{"shop=Attributes.shop", "number=Attributes.number", "middle=MiddleName", "first=FirstName", "last=LastName"}, "", "shop,number,first,middle,last", func(n int) string {
		return fmt.Sprintf("%s,%d,Jo,%s,Ek", strings.Repeat("s", 255), n%600, []string{"", "Q", "Z"}[n%3])
	}},
	"long rows": {"id", append([]string{"id=AccountNumber"}, columns(220)...), "", "id," + strings.Join(columnNames(220), ","), func(n int) string {
		size := 3
		if n%20 == 0 {
			size = 255 // of 220 columns in letters of two bytes: more than a lean frame holds
		}
		return strings.Repeat("k", 240) + fmt.Sprint(n%150) + strings.Repeat(","+strings.Repeat("é", size), 220)
	}},
	"one key": {"id", []string{"id=AccountNumber", "last=LastName"}, "", "id,last", func(n int) string { return fmt.Sprintf("1,Last%d", n) }},
}

func columnNames(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprint("a", i))
	}
	return all
}

func columns(n int) (all []string) {
	for _, name := range columnNames(n) {
		all = append(all, name+"=Attributes."+name)
	}
	return all
}

// Whatever the unique key is made of, tables and single buckets leave the same rows, and the index rows of a profile are those that its contribution yields.
func TestKeysOfEveryKind(t *testing.T) {
	for name, c := range mappings {
		t.Run(name, func(t *testing.T) {
			rows := 1500
			if len(c.fields) > 100 {
				rows = 300
			}
			file := c.header + "\n"
			for n := range rows {
				file += c.row(n) + "\n"
			}
			var want []string
			var ranges [][]byte
			for _, w := range []way{{workers: 2}, {staged: true, workers: 1}, {staged: true, workers: 3, memory: 1, large: 1000, again: 2}} {
				w.buckets, w.ranges = 16<<10, &ranges
				if len(c.fields) > 100 {
					w.buckets = 512 << 10
				}
				b := newBench(t, c.unique, nil, c.fields...)
				b.facts.Country, _ = schema.ParseCountry(c.country)
				runs := b.run(file, w)
				if sum := Sum(nil, runs); sum.Failed > 0 || sum.Created == 0 || sum.Created+sum.Updated != int64(rows) {
					t.Fatalf("%+v", sum)
				}
				if want == nil {
					want = b.rows()
				} else if got := b.rows(); !slices.Equal(got, want) {
					t.Fatalf("%+v: %d rows, want %d: %.2000s", w, len(got), len(want), firstDifference(got, want))
				}
				b.indexed()
				b.close()
			}
		})
	}
}

// Rows of the unique key are in order as they come only if no other column brings the same key.
func TestDirect(t *testing.T) {
	for name, want := range map[string]bool{"private key": true, "an e-mail among others": false, "an e-mail alone": true, "a phone with a country": true,
		"phones with a country": false, "several parts": true} {
		if got := newBench(t, mappings[name].unique, nil, mappings[name].fields...).plan("any").onlyUnique(); got != want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// What was published says what is written, whatever has become of the store when the rows are made again.
func TestAgainAfterTheStoreHasChanged(t *testing.T) {
	account := schema.Attr{ID: attrOf(t, "AccountNumber")}
	file := "id,first,middle,last\n"
	for n := range 3000 {
		file += fmt.Sprintf("c%05d,%s,%s,Ek\n", rand.IntN(1500), []string{"Jo", ""}[n%2], []string{"", "Q"}[n%2])
	}
	met, repeated := map[int]fold.ID{}, map[int]fold.ID{}
	for n := range 300 {
		met[n*5], repeated[n*7] = idNear(), idNear()
		file += fmt.Sprintf("r%05d,Jo,,Ek\n", n*7)
	}
	ours := func(b *bench) (all []string) {
		for _, row := range b.rows() {
			if strings.Contains(row, fmt.Sprint(" ", benchTime, " ")) {
				all = append(all, row)
			}
		}
		return all
	}
	var want []string
	var ranges [][]byte
	for _, changed := range []bool{false, true} {
		b := newBench(t, "id", nil, "id=AccountNumber", "first=FirstName", "middle=MiddleName", "last=LastName")
		for _, at := range slices.Sorted(maps.Keys(met)) {
			b.there(met[at], int64(at), fold.Value{Attr: account, Text: fmt.Sprintf("c%05d", at)}, fold.Value{Attr: schema.Attr{ID: schema.FirstName}, Text: "Was"})
		}
		for _, at := range slices.Sorted(maps.Keys(repeated)) { // which say what the file says
			b.there(repeated[at], int64(at), fold.Value{Attr: account, Text: fmt.Sprintf("r%05d", at)},
				fold.Value{Attr: schema.Attr{ID: schema.FirstName}, Text: "Jo"}, fold.Value{Attr: schema.Attr{ID: schema.LastName}, Text: "Ek"})
		}
		w := way{staged: true, workers: 2, buckets: 16 << 10, ranges: &ranges}
		p := b.plan("first")
		runs := map[int]RunResult{}
		read, from, out, err := b.begin(p, file, w, nil)
		if err == nil {
			err = b.resolve(p, from, out, rand.Perm(read.Buckets), runs)
		}
		if err != nil {
			t.Fatal(err)
		}
		if changed { // everything is gone but the runs
			out.Close()
			from.Close()
			b.clean()
			for _, table := range []store.Table{store.Profile, store.Index} {
				if err := b.store.DropRange(t.Context(), table, 7); err != nil {
					t.Fatal(err)
				}
			}
			p = b.plan("second")
			if _, from, out, err = b.begin(p, file, w, read); err != nil {
				t.Fatal(err)
			}
			r := p.NewResolver(from, false, nil).To(out)
			for _, bucket := range rand.Perm(read.Buckets) {
				run := runs[bucket]
				if err := r.Again(t.Context(), bucket, &run); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := out.Land(t.Context(), runs); err != nil {
			t.Fatal(err)
		}
		out.Close()
		from.Close()
		b.clean()
		if sum := Sum(nil, runs); sum.Created == 0 || sum.Updated-sum.Repeated == 0 {
			t.Fatalf("%+v", sum)
		}
		if want == nil {
			want = ours(b)
			if n := len(slices.DeleteFunc(slices.Clone(want), func(row string) bool { return !strings.Contains(row, fmt.Sprint(" ", benchTime, " 05")) })); n != len(repeated) {
				t.Fatalf("%d contributions repeat others, want %d", n, len(repeated))
			}
		} else if got := ours(b); !slices.Equal(got, want) {
			t.Fatalf("%d rows, want %d: %s", len(got), len(want), firstDifference(got, want))
		}
		b.close()
	}
}

// Of an import that is stopped the published buckets land and no others.
func TestOnlyPublishedBucketsLand(t *testing.T) {
	file := "id,mail\n"
	for n := range 3000 {
		file += fmt.Sprintf("c%05d,all@example.com\n", n)
	}
	b := newBench(t, "id", nil, "id=AccountNumber", "mail=EmailAddress")
	w := way{staged: true, workers: 2, buckets: 4 << 10, ranges: new([][]byte)}
	p := b.plan("first")
	runs := map[int]RunResult{}
	read, from, out, err := b.begin(p, file, w, nil)
	if err == nil {
		err = b.resolve(p, from, out, rand.Perm(read.Buckets), runs)
	}
	if err != nil {
		t.Fatal(err)
	}
	for bucket := range read.Buckets {
		if bucket%3 > 0 {
			delete(runs, bucket)
		}
	}
	if err := out.Land(t.Context(), runs); err != nil {
		t.Fatal(err)
	}
	out.Close()
	from.Close()
	b.clean()
	if sum, rows := Sum(nil, runs), len(b.rows()); rows != 3*int(sum.Created) || rows == 0 || sum.Created == 3000 {
		t.Fatalf("%d rows of %d profiles", rows, sum.Created)
	}
	b.indexed()
}

// An import that fails or is cancelled in any stage, at any operation of the disks, leaves nothing aside, and none of its rows; when it is done again it is as if
// nothing had been.
func TestFailuresLeaveNothing(t *testing.T) {
	file := "id,mail\n"
	for n := range 3000 {
		file += fmt.Sprintf("c%05d,m%d@example.com\n", n%2000, n%7)
	}
	broken := errors.New("injected")
	for _, cancels := range []bool{false, true} {
		for at := int64(1); ; at = at*3/2 + 1 {
			b := newBench(t, "id", nil, "id=AccountNumber", "mail=EmailAddress")
			ctx, cancel := context.WithCancel(t.Context())
			b.within = ctx
			var n atomic.Int64
			b.fail = func() error {
				if n.Add(1) != at {
					return nil
				}
				if cancels {
					cancel()
					return nil
				}
				return broken
			}
			w := way{staged: true, workers: 2, buckets: 8 << 10, memory: 1, large: 500}
			if cancels {
				w.ranges = new([][]byte)
			}
			_, err := b.try(file, w)
			b.clean()
			if n.Load() < at {
				if at < 30 || err != nil {
					t.Fatalf("only %d operations: %v", n.Load(), err)
				}
				cancel()
				break
			}
			rows := len(b.rows())
			if err == nil && rows != 6000 || err != nil && rows > 0 { // a link that fails is a copy
				t.Fatalf("at operation %d: %v, and %d rows are there", at, err, rows)
			}
			b.fail, b.within = nil, nil
			b.run(file, w)
			if sound := len(b.rows()); sound != 6000 {
				t.Fatalf("%d rows", sound)
			}
			b.indexed()
			b.close()
			cancel()
		}
	}
}

// Where what waits has no place on a disk, an import says so, and holds nothing.
func TestNoPlaceForScratch(t *testing.T) {
	file := "id,mail\n"
	for n := range 10_000 {
		file += fmt.Sprintf("c%d,m%d@example.com\n", n, n)
	}
	for _, budget := range []int64{0, 64 << 10, 512 << 10} { // the file takes the last one
		b := newBench(t, "id", nil, "id=AccountNumber", "mail=EmailAddress")
		b.facts.ScratchDir += "/none"
		b.arena.Budget = budget
		_, err := b.try(file, way{staged: true, workers: 1, buckets: 8 << 10})
		if !errors.Is(err, os.ErrNotExist) || !b.arena.Empty() {
			t.Fatalf("with %d bytes of memory: %v, memory is given back: %t", budget, err, b.arena.Empty())
		}
		b.facts.ScratchDir = t.TempDir()
		b.clean()
	}
}

// As many buckets as there may be, most of them without a row, and a file without any row that counts.
func TestMostBuckets(t *testing.T) {
	file := "id,mail\n"
	for n := range 400 {
		file += fmt.Sprintf("c%05d,all@example.com\n", n)
	}
	var want []string
	for _, w := range []way{{workers: 1, buckets: 1}, {staged: true, workers: 2, buckets: 1, memory: 1, large: 100, again: 200}} {
		b := newBench(t, "id", nil, "id=AccountNumber", "mail=EmailAddress")
		runs := b.run(file, w)
		if len(runs) != fold.MaxBuckets || Sum(nil, runs).Created != 400 {
			t.Fatalf("%d buckets, %+v", len(runs), Sum(nil, runs))
		}
		if want == nil {
			want = b.rows()
		} else if got := b.rows(); !slices.Equal(got, want) {
			t.Fatalf("%d rows, want %d: %s", len(got), len(want), firstDifference(got, want))
		}
		b.indexed()
		b.close()
		b = newBench(t, "id", nil, "id=AccountNumber", "mail=EmailAddress")
		b.run("id,mail\n"+strings.Repeat(",no key\n", 100), w)
		if rows := b.rows(); len(rows) > 0 {
			t.Fatalf("%d rows of a file without any", len(rows))
		}
		b.close()
	}
}
