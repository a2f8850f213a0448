package main

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"kith/internal/sample"
)

// daily imports the same file every day, of whose rows one in a hundred has another e-mail address than the day before. A day begins when no compaction
// is left of the one before.
func (b *bench) daily() error {
	path, err := b.file("random.csv", b.rows, sample.Options{})
	if err != nil {
		return err
	}
	files := []string{path}
	for day := 2; day <= b.days; day++ {
		next, err := b.changedFile(files[len(files)-1], 100, day)
		if err != nil {
			return err
		}
		files = append(files, next)
	}
	clock, cpu, all := make([][]float64, len(files)), make([][]float64, len(files)), make([][]float64, len(files))
	for range b.rounds {
		s, err := b.serve()
		if err != nil {
			return err
		}
		for day, file := range files {
			before, err := processorTime(s.cmd.Process.Pid)
			if err != nil {
				return errors.Join(err, s.stop())
			}
			seconds, err := s.importFile(file)
			if err != nil {
				return errors.Join(err, s.stop())
			}
			ended, failed := processorTime(s.cmd.Process.Pid)
			_, err = s.waitForIdle()
			after, failedToo := processorTime(s.cmd.Process.Pid)
			if err := errors.Join(err, failed, failedToo); err != nil {
				return errors.Join(err, s.stop())
			}
			clock[day] = append(clock[day], seconds)
			cpu[day], all[day] = append(cpu[day], (ended-before).Seconds()), append(all[day], (after-before).Seconds())
		}
		if err := s.stop(); err != nil {
			return err
		}
	}
	for day := range files {
		b.add(fmt.Sprintf("day %d of the same file, one row in a hundred changed", day+1), fmt.Sprintf("%s, CPU %.1f s, with compactions %.1f s", rate(float64(b.rows)/median(clock[day])), median(cpu[day]), median(all[day])), "", "", "")
	}
	return nil
}

// changedFile makes a file of which one row in so many, counted from one on, has another e-mail address.
func (b *bench) changedFile(path string, every, from int) (string, error) {
	to := fmt.Sprintf("%s-%d.csv", strings.TrimSuffix(path, ".csv"), from)
	return to, once(to, func(out *os.File) error { return change(path, out, every, from) })
}

func change(path string, to io.Writer, every, from int) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	r, buf := csv.NewReader(bufio.NewReaderSize(in, 1<<20)), bufio.NewWriterSize(to, 1<<20)
	w, column := csv.NewWriter(buf), slices.Index(sample.Header, "email")
	for n := 0; ; n++ {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			w.Flush()
			return errors.Join(w.Error(), buf.Flush())
		}
		if err != nil {
			return err
		}
		if n%every == from%every {
			row[column] = fmt.Sprintf("changed%d.%d@example.com", n, from)
		}
		if err := w.Write(row); err != nil {
			return err
		}
	}
}
