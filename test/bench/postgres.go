package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"kith/internal/sample"
)

// errNoPeer says that there is no PostgreSQL here and why.
var errNoPeer = errors.New("no PostgreSQL")

// settings are those of the peer; everything else is the distribution's default. Commits are durable.
var settings = []string{"shared_buffers=2GB", "max_wal_size=16GB", "checkpoint_timeout=30min", "work_mem=512MB", "maintenance_work_mem=1GB",
	"fsync=on", "synchronous_commit=on", "full_page_writes=on", "listen_addresses=", "port=54329"}

// pgBin finds the server's programs, installing them from the distribution when that is possible.
func pgBin() (string, error) {
	find := func() string {
		found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
		if len(found) == 0 {
			return ""
		}
		return filepath.Dir(found[len(found)-1])
	}
	if dir := find(); dir != "" {
		return dir, nil
	}
	if os.Geteuid() != 0 {
		return "", fmt.Errorf("%w: install the distribution's package postgresql to compare with it", errNoPeer)
	}
	for _, args := range [][]string{{"update", "-q"}, {"install", "-qy", "postgresql"}} {
		if out, err := exec.Command("apt-get", args...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("%w: apt-get %s: %w: %s", errNoPeer, args[0], err, out)
		}
	}
	if dir := find(); dir != "" {
		return dir, nil
	}
	return "", fmt.Errorf("%w: the package brought no server", errNoPeer)
}

// postgres does what an import does, with a new server: COPY into an unlogged staging table, then INSERT … ON CONFLICT DO UPDATE
// into a table with an index row for everything that Kith indexes of a customer. It returns the seconds for one file after the other.
func (b *bench) postgres(files []string) (times []float64, err error) {
	bin, err := pgBin()
	if err != nil {
		return times, err
	}
	dir, err := os.MkdirTemp(b.dir, "pg-")
	if err != nil {
		return times, err
	}
	defer os.RemoveAll(dir)
	as, err := b.asPostgres(dir)
	if err != nil {
		return times, err
	}
	data := filepath.Join(dir, "data")
	if out, err := as(filepath.Join(bin, "initdb"), "-D", data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C").CombinedOutput(); err != nil {
		return times, fmt.Errorf("initdb: %w: %s", err, out)
	}
	args := []string{"-D", data, "-c", "unix_socket_directories=" + dir}
	for _, s := range settings {
		args = append(args, "-c", s)
	}
	server := as(filepath.Join(bin, "postgres"), args...)
	if err := server.Start(); err != nil {
		return times, err
	}
	defer func() {
		_ = server.Process.Signal(os.Interrupt)
		_ = server.Wait()
	}()
	sql := func(text string) error {
		cmd := exec.Command(filepath.Join(bin, "psql"), "-h", dir, "-p", "54329", "-U", "postgres", "-q", "-v", "ON_ERROR_STOP=1")
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("psql: %w: %s", err, out)
		}
		return nil
	}
	for deadline := time.Now().Add(30 * time.Second); sql("select 1") != nil; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			return times, errors.New("PostgreSQL did not start")
		}
	}
	columns := strings.Join(sample.Header, ", ")
	typed := strings.Join(sample.Header, " text, ") + " text"
	var set []string
	for _, c := range sample.Header[1:] {
		set = append(set, c+" = excluded."+c)
	}
	err = sql(fmt.Sprintf(`create unlogged table staging (line bigserial, %s);
		create table customers (%s, primary key (customer_id));
		create index on customers (email) where email is not null;
		create index on customers (phone) where phone is not null;
		create index on customers (mobile) where mobile is not null;
		create index on customers (first_name, last_name);`, typed, typed))
	if err != nil {
		return times, err
	}
	for _, path := range files {
		start := time.Now()
		err := sql(fmt.Sprintf(`truncate staging;
			\copy staging (%s) from '%s' csv header
			insert into customers select distinct on (customer_id) %s from staging order by customer_id, line desc
			on conflict (customer_id) do update set %s;`, columns, path, columns, strings.Join(set, ", ")))
		if err != nil {
			return times, err
		}
		times = append(times, time.Since(start).Seconds())
	}
	fmt.Fprintf(os.Stderr, "  PostgreSQL %.1f s (%s)\n", times, strings.Join(settings[:len(settings)-2], ", "))
	return times, nil
}

// asPostgres returns how commands are made that run as the user of PostgreSQL's server, which refuses to be root. The user may use dir.
func (b *bench) asPostgres(dir string) (func(name string, args ...string) *exec.Cmd, error) {
	if os.Geteuid() != 0 {
		return exec.Command, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoPeer, err)
	}
	for d := dir; strings.HasPrefix(d, b.dir); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			return nil, err
		}
	}
	if out, err := exec.Command("chown", u.Uid+":"+u.Gid, dir).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	return func(name string, args ...string) *exec.Cmd {
		return exec.Command("setpriv", append([]string{"--reuid=postgres", "--regid=postgres", "--clear-groups", name}, args...)...)
	}, nil
}

// someEmails returns e-mail addresses of the first rows of a sample.
func someEmails(path string, n int) (emails []string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := csv.NewReader(f)
	column := slices.Index(sample.Header, "email")
	for len(emails) < n {
		row, err := r.Read()
		if err != nil {
			return emails, err
		}
		if e := strings.TrimSpace(row[column]); strings.Contains(e, "@") {
			emails = append(emails, e)
		}
	}
	return emails, nil
}
