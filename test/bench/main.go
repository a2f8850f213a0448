// Command bench measures imports through the public API on the embedded engines against PostgreSQL doing the same, requests against a
// bare handler, profiles without HTTP, and matching against Splink, in one run on one machine, and prints one table with ratios. See docs/performance.md for what it measured last.
package main

import (
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"kith/internal/sample"
)

func main() {
	log.SetFlags(0)
	var b bench
	flag.IntVar(&b.rows, "rows", 2_000_000, "rows of the file that PostgreSQL imports too")
	flag.IntVar(&b.rounds, "rounds", 3, "alternating rounds; medians are shown")
	flag.IntVar(&b.days, "days", 10, "days of the part daily")
	flag.IntVar(&b.big, "big", 10_000_000, "rows of the large file; 0 leaves it out")
	flag.Int64Var(&b.put, "put", 2<<30, "bytes of the upload that is compared with dd; 0 leaves it out")
	flag.StringVar(&b.dir, "dir", "", "folder for all files (default: a temporary one)")
	flag.StringVar(&b.only, "only", "", "parts to run, with commas: postgres, daily, bounds, phones, large, searches, put, requests, ground, match (default: all)")
	flag.IntVar(&b.groundRows, "ground", 1_000_000, "rows that the part ground imports, undoes and passes over")
	flag.StringVar(&b.sets, "sets", "", "folder with febrl1.csv, febrl3.csv and fake_1000.csv, for the part match")
	flag.StringVar(&b.python, "splink", "", "a Python that has Splink, or none (default: it is installed for the run)")
	flag.StringVar(&b.matchRows, "match", "100000,1000000", "how many customers the part match is timed with, with commas")
	flag.IntVar(&b.peerRows, "match-peer", 1_000_000, "up to how many of them Splink is timed too")
	asBare := flag.Bool("bare", false, "be the handler that requests are compared with; the program starts itself so")
	flag.Parse()
	if *asBare {
		log.Fatal("bench: ", serveBare(b.dir))
	}
	if err := b.run(); err != nil {
		log.Fatal("bench: ", err)
	}
}

type bench struct {
	rows, rounds, big int
	days, groundRows  int
	put               int64
	dir, kith, only   string
	sets, python      string
	matchRows         string
	peerRows          int
	table             []row
}

// row is a line of the table that is printed at the end.
type row struct{ what, kith, peer, ratio, must string }

func (b *bench) add(what, kith, peer, ratio, must string) {
	b.table = append(b.table, row{what, kith, peer, ratio, must})
	fmt.Fprintf(os.Stderr, "%s: %s %s %s\n", what, kith, peer, ratio)
}

func (b *bench) run() error {
	if b.dir == "" {
		var err error
		if b.dir, err = os.MkdirTemp("", "kith-bench-"); err != nil {
			return err
		}
		defer os.RemoveAll(b.dir)
	}
	b.kith = filepath.Join(b.dir, "kith")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", b.kith, "kith/cmd/kith")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	for _, part := range []struct {
		name string
		run  func() error
	}{{"postgres", b.against}, {"daily", b.daily}, {"bounds", b.bounds}, {"phones", b.phones}, {"large", b.large}, {"searches", b.searches}, {"put", b.uploads}, {"requests", b.requests}, {"ground", b.ground}, {"match", b.matching}} {
		if b.only != "" && !slices.Contains(strings.Split(b.only, ","), part.name) {
			continue
		}
		if err := part.run(); err != nil {
			return err
		}
	}
	fmt.Printf("%d rows × %d columns, %d cores, %s\n\n", b.rows, len(sample.Header), runtime.NumCPU(), cpu())
	fmt.Print("| what | Kith | peer | ratio | must |\n|---|---|---|---|---|\n")
	for _, r := range b.table {
		fmt.Printf("| %s | %s | %s | %s | %s |\n", r.what, r.kith, r.peer, r.ratio, r.must)
	}
	return nil
}

// file writes a sample and returns its path.
func (b *bench) file(name string, rows int, o sample.Options) (string, error) {
	path := filepath.Join(b.dir, fmt.Sprint(rows, "-", name))
	return path, once(path, func(to *os.File) error { return sample.WriteWith(to, rows, 1, o) })
}

// once makes a file, unless an earlier run has.
func once(path string, write func(to *os.File) error) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	f, err := os.Create(path + ".part")
	if err != nil {
		return err
	}
	if err := errors.Join(write(f), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// against imports new data, the same again, and the same with one row in a hundred changed, Kith and PostgreSQL in turn, for both orders of the file.
func (b *bench) against() error {
	for _, order := range []string{"random", "key"} {
		path, err := b.file(order+".csv", b.rows, sample.Options{InOrder: order == "key"})
		if err != nil {
			return err
		}
		changed, err := b.changedFile(path, 100, 1)
		if err != nil {
			return err
		}
		files := []string{path, path, changed}
		rounds := b.rounds
		if order == "key" {
			rounds = 1
		}
		var kith, peer [3][]float64
		for range rounds {
			s, err := b.serve()
			if err != nil {
				return err
			}
			for i := range kith {
				seconds, err := s.importFile(files[i])
				if err != nil {
					return errors.Join(err, s.stop())
				}
				kith[i] = append(kith[i], seconds)
			}
			if err := s.stop(); err != nil {
				return err
			}
			times, err := b.postgres(files)
			if errors.Is(err, errNoPeer) {
				fmt.Fprintln(os.Stderr, err)
				continue
			}
			if err != nil {
				return err
			}
			for i := range peer {
				peer[i] = append(peer[i], times[i])
			}
		}
		for i, what := range []string{"new data", "the same file again", "one row in a hundred changed"} {
			must := []string{"11 ×", "11 ×", "15 ×"}[i]
			if order == "key" {
				must = ""
			}
			k := float64(b.rows) / median(kith[i])
			if peer[i] == nil {
				b.add(what+", "+order+" order", rate(k), "no PostgreSQL here", "", must)
				continue
			}
			p := float64(b.rows) / median(peer[i])
			b.add(what+", "+order+" order", rate(k), "PostgreSQL "+rate(p), fmt.Sprintf("%.1f ×", k/p), must)
		}
	}
	return nil
}

// phones compares clean phones with phones of which every other one is written as people do.
func (b *bench) phones() error {
	times := map[string][]float64{}
	for range b.rounds {
		for _, phones := range []string{"clean", "half"} {
			path, err := b.file("phones-"+phones+".csv", b.rows, sample.Options{Phones: phones})
			if err != nil {
				return err
			}
			s, err := b.serve()
			if err != nil {
				return err
			}
			seconds, err := s.importFile(path)
			if err := errors.Join(err, s.stop()); err != nil {
				return err
			}
			times[phones] = append(times[phones], seconds)
		}
	}
	n := float64(b.rows)
	b.add("half of the phones as people write them", rate(n/median(times["half"])), "clean "+rate(n/median(times["clean"])),
		fmt.Sprintf("%.0f %%", 100*median(times["clean"])/median(times["half"])), "90 %")
	return nil
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

func rate(perSecond float64) string { return fmt.Sprintf("%.0f rows/s", perSecond) }

func cpu() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(info)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			return strings.Trim(name, " \t:\n")
		}
	}
	return runtime.GOARCH
}
