// Command bench measures an import through the public API on the embedded engines: rows per second from StartUploadJob to the
// end, and the peak memory of the process, for new data and for the same file again. It prints one table.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"kith/internal/sample"
)

var result = regexp.MustCompile(`^(\S+): (\d+) created, (\d+) updated, (\d+) failed in ([0-9.]+) s`)

func main() {
	log.SetFlags(0)
	rows := flag.Int("rows", 1_000_000, "rows of the file")
	rounds := flag.Int("rounds", 1, "rounds; the best is shown")
	flag.Parse()
	if err := run(*rows, *rounds); err != nil {
		log.Fatal("bench: ", err)
	}
}

func run(rows, rounds int) error {
	dir, err := os.MkdirTemp("", "kith-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binary, file := filepath.Join(dir, "kith"), filepath.Join(dir, "customers.csv")
	if out, err := exec.Command("go", "build", "-o", binary, "kith/cmd/kith").CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	size, err := writeFile(file, rows)
	if err != nil {
		return err
	}
	fmt.Printf("%d rows × %d columns, %.1f MB, %d cores\n\n", rows, len(sample.Header), float64(size)/1e6, runtime.NumCPU())
	fmt.Printf("| import | result | seconds | rows/s | peak memory |\n|---|---|---|---|---|\n")
	best := map[string]line{}
	for round := range rounds {
		data := filepath.Join(dir, fmt.Sprint("data", round))
		for _, what := range []string{"new", "again"} {
			l, err := importOnce(binary, file, data)
			if err != nil {
				return err
			}
			if b, ok := best[what]; !ok || l.seconds < b.seconds {
				best[what] = l
			}
		}
	}
	for _, what := range []string{"new", "again"} {
		l := best[what]
		fmt.Printf("| %s | %s | %.1f | %.0f | %.0f MB |\n", what, l.counts, l.seconds, float64(rows)/l.seconds, l.memory)
	}
	return nil
}

type line struct {
	counts  string
	seconds float64
	memory  float64 // MB
}

func importOnce(binary, file, data string) (line, error) {
	cmd := exec.Command(binary, "import", file, "--data", data)
	out, err := cmd.Output()
	if err != nil {
		return line{}, fmt.Errorf("%w: %s", err, out)
	}
	m := result.FindStringSubmatch(string(out))
	if m == nil {
		return line{}, fmt.Errorf("unexpected output: %s", out)
	}
	seconds, err := strconv.ParseFloat(m[5], 64)
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	return line{strings.Join(m[2:5], "/"), seconds, float64(usage.Maxrss) / 1024}, err
}

func writeFile(path string, rows int) (int64, error) {
	f, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	if err := sample.Write(w, rows, 1); err != nil {
		return 0, err
	}
	if err := w.Flush(); err != nil {
		return 0, err
	}
	info, err := f.Stat()
	return info.Size(), err
}
