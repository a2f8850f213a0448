package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"kith/api"
	"kith/internal/extsort"
	"kith/internal/sample"
	"kith/store"
	"kith/store/pebble"
	"kith/upload/stage"
	"kith/upload/table"
)

// bounds measures what no import of the file can be faster than, each alone, on all cores: finding the cells of its rows; reading it into frames,
// mapped and validated; and tables of as many rows of as many bytes, from memory.
func (b *bench) bounds() error {
	path, err := b.file("random.csv", b.rows, sample.Options{})
	if err != nil {
		return err
	}
	for _, part := range []struct {
		what string
		run  func(path string) (time.Duration, error)
	}{{"bound of imports: cells are found", scanBound}, {"bound of imports: rows are read, mapped and put into buckets", b.readBound}, {"bound of imports: tables of as many rows are built from memory and landed", b.tableBound}} {
		var times []float64
		for range b.rounds {
			took, err := part.run(path)
			if err != nil {
				return fmt.Errorf("%s: %w", part.what, err)
			}
			times = append(times, took.Seconds())
		}
		b.add(part.what, rate(float64(b.rows)/median(times)), "", "", "")
	}
	return nil
}

// diskFile is a file as a blob, not sealed.
type diskFile struct {
	*os.File
	size int64
}

func openDiskFile(path string) (diskFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return diskFile{}, err
	}
	info, err := f.Stat()
	return diskFile{f, info.Size()}, err
}

func (f diskFile) Size() int64                { return f.size }
func (f diskFile) Stream(off int64) io.Reader { return io.NewSectionReader(f.File, off, f.size-off) }

// scanBound finds the cells of all rows: one goroutine cuts records, the others split them.
func scanBound(path string) (time.Duration, error) {
	f, err := openDiskFile(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	start := time.Now()
	text, err := table.Open(context.Background(), f.Stream(0), table.Options{})
	if err != nil {
		return 0, err
	}
	defer text.Close()
	sc := table.NewScanner(text)
	if err := sc.Header(table.Layout{}, func([]string) error { return nil }); err != nil {
		return 0, err
	}
	batches := make(chan []string, 2*runtime.NumCPU())
	var wg sync.WaitGroup
	for range runtime.NumCPU() {
		wg.Go(func() {
			var cells [][]byte
			var scratch []byte
			for batch := range batches {
				for _, rec := range batch {
					cells, scratch = sc.Split().Cells([]byte(rec), cells, scratch)
				}
			}
		})
	}
	var batch []string
	for err == nil {
		var rec table.Record
		if rec, err = sc.Next(); err == nil {
			batch = append(batch, string(rec.Text))
		}
		if len(batch) == 1000 || err != nil {
			batches <- batch
			batch = nil
		}
	}
	close(batches)
	wg.Wait()
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return time.Since(start), err
}

// readBound does the first stage of an import.
func (b *bench) readBound(path string) (time.Duration, error) {
	f, err := openDiskFile(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	fields := map[string]api.ObjectTypeField{}
	for column, target := range map[string]string{
		"customer_id": "AccountNumber", "first_name": "FirstName", "last_name": "LastName", "email": "EmailAddress:EMAIL_ADDRESS", "phone": "PhoneNumber:PHONE_NUMBER",
		"mobile": "MobilePhoneNumber:PHONE_NUMBER", "birth_date": "BirthDate", "gender": "GenderString", "company": "BusinessName", "street": "Address.Address1", "city": "Address.City",
		"state": "Address.State", "postal_code": "Address.PostalCode", "country": "Address.Country", "loyalty_tier": "Attributes.loyalty_tier", "notes": "Attributes.notes",
	} {
		name, content, _ := strings.Cut(target, ":")
		field := api.ObjectTypeField{Source: api.Ptr("_source." + column), Target: api.Ptr("_profile." + name)}
		if content != "" {
			field.ContentType = api.Ptr(api.FieldContentType(content))
		}
		fields[column] = field
	}
	m, err := stage.Compile(fields, "customer_id")
	if err != nil {
		return 0, err
	}
	start := time.Now()
	plan := stage.NewPlan(stage.Facts{Mapping: m, Time: 1, Arena: &extsort.Arena{Budget: 128 << 20}, ScratchDir: b.dir})
	r := plan.NewReader(stage.Reading{File: f, Rows: new(atomic.Int64), Bytes: new(atomic.Int64), Room: func(ctx context.Context) error { return ctx.Err() }})
	_, found, err := r.Read(context.Background(), nil)
	took := time.Since(start)
	found.Close()
	return took, err
}

// tableBound builds the tables of an import whose rows need nothing to be done: a profile of 250 bytes and 4.45 index rows of a key of 20 bytes each.
func (b *bench) tableBound(string) (time.Duration, error) {
	dir, err := os.MkdirTemp(b.dir, "tables-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	st, err := pebble.Open(filepath.Join(dir, "store"), pebble.Options{})
	if err != nil {
		return 0, err
	}
	defer st.Close()
	start := time.Now()
	const parts = 64 // tables of each kind
	todo := make(chan int, 2*parts)
	for i := range 2 * parts {
		todo <- i
	}
	close(todo)
	tables, failed := make([]store.Staged, 2*parts), make(chan error, runtime.NumCPU())
	var wg sync.WaitGroup
	for range runtime.NumCPU() {
		wg.Go(func() {
			for i := range todo {
				t, err := stageRows(st, i, b.rows/parts)
				if err != nil {
					failed <- err
					return
				}
				tables[i] = t
			}
		})
	}
	wg.Wait()
	select {
	case err := <-failed:
		return 0, err
	default:
	}
	err = st.Land(context.Background(), tables...)
	return time.Since(start), err
}

// stageRows builds one table: even numbers of profiles, odd ones of index rows.
func stageRows(st store.Stager, number, profiles int) (store.Staged, error) {
	o, rows, value := store.StageOptions{Table: store.Profile, Incarnation: 1, Time: 1}, profiles, []byte(strings.Repeat("a customer's name, street 17 ", 9)[:250])
	if number%2 == 1 {
		o.Table, rows, value = store.Index, profiles*445/100, nil
	}
	t, err := st.Stage(o)
	if err != nil {
		return nil, err
	}
	partition, key := make([]byte, 20), []byte("i1234567812345678")
	for n := range rows {
		binary.BigEndian.PutUint64(partition, uint64(number)<<32|uint64(n))
		if value != nil {
			binary.BigEndian.PutUint64(value[n%200:], uint64(n)*0x9e3779b97f4a7c15)
		}
		if err := t.Add(partition, key, value, nil); err != nil {
			return t, err
		}
	}
	return t, t.Close()
}
