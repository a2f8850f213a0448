package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"kith/api"
)

// An export to a file can be ended at any time and gone on with. While it runs there are FILE.part, what was written, and FILE.resume, where it
// stands: up to which byte of FILE.part which pages are. Both are on the disk before FILE.resume says so; FILE is there when it is whole.

// standing is what FILE.resume holds: what was asked for, which has to be the same, and how far it is.
type standing struct {
	Domain, Format string
	Safe           bool     `json:",omitzero"`
	Attributes     []string `json:",omitzero"`
	Columns        []string `json:",omitzero"`

	Token    string // of the page that is next
	Bytes    int64
	Profiles int64
}

// checkpointEvery is how often an export that runs notes where it stands.
const checkpointEvery = 5 * time.Second

func (x *exporter) partPath() string   { return x.out + ".part" }
func (x *exporter) resumePath() string { return x.out + ".resume" }

// checkOutput refuses a file that may not be written, and an export that was begun and nobody asks to go on with.
func (x *exporter) checkOutput() error {
	if x.resume && (x.out == "" || x.format == "parquet") {
		return usageError("--resume goes on with an export to a file (--out), as NDJSON or CSV")
	}
	if err := mayWrite("--out", x.out, x.force); x.out == "" || err != nil {
		return err
	}
	_, err := os.Stat(x.resumePath())
	switch {
	case x.resume && errors.Is(err, fs.ErrNotExist):
		return usageError("there is no export to %s that could be gone on with: leave --resume out", x.out)
	case !x.resume && !x.force && err == nil:
		return usageError("an export to %s was begun: go on with it by --resume, or begin anew by --force", x.out)
	}
	return nil
}

// load reads where an export stands.
func (x *exporter) load() (*standing, error) {
	b, err := os.ReadFile(x.resumePath())
	if err != nil {
		return nil, err
	}
	s := &standing{}
	if json.Unmarshal(b, s) != nil {
		return nil, fmt.Errorf("%s is damaged: begin anew with --force", x.resumePath())
	}
	if s.Domain != x.domain || s.Format != x.format || s.Safe != x.safe || !slices.Equal(s.Attributes, x.attributes) {
		return nil, usageError("the export to %s was begun with other flags: say the same ones, or begin anew with --force", x.out)
	}
	return s, nil
}

// save notes where an export stands.
func (x *exporter) save(s *standing) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	next := x.resumePath() + ".new"
	if err := os.WriteFile(next, b, 0o600); err != nil {
		return err
	}
	return os.Rename(next, x.resumePath())
}

// toFile writes an export that can be gone on with.
func (x *exporter) toFile(ctx context.Context) error {
	at := &standing{Domain: x.domain, Format: x.format, Safe: x.safe, Attributes: x.attributes}
	var err error
	if x.resume {
		at, err = x.load()
	} else {
		at.Columns, err = x.columns(ctx)
	}
	if err != nil {
		return err
	}
	f, err := os.OpenFile(x.partPath(), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(at.Bytes), seekTo(f, at.Bytes)); err != nil {
		return errors.Join(err, f.Close())
	}
	if at.Profiles > 0 {
		fmt.Fprintf(x.info, "Going on behind %d profiles\n", at.Profiles)
	}
	left, err := x.pages(ctx, f, at)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		if ctx.Err() != nil {
			err = errors.New("interrupted")
		}
		if at.Token == "" {
			return errors.Join(err, os.Remove(x.partPath()))
		}
		return errors.Join(fmt.Errorf("%w; %d profiles are in %s: the same command with --resume goes on", err, at.Profiles, x.partPath()), x.save(at))
	}
	if err := os.Rename(x.partPath(), x.out); err != nil {
		return err
	}
	if err := os.Remove(x.resumePath()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	x.report(at.Profiles, left)
	return nil
}

func seekTo(f *os.File, at int64) error {
	_, err := f.Seek(at, io.SeekStart)
	return err
}

// pages writes the pages that are left, and moves at behind each.
func (x *exporter) pages(ctx context.Context, f *os.File, at *standing) (left map[string]bool, err error) {
	buf := bufio.NewWriterSize(f, 1<<20)
	var enc encoder = &csvEncoder{csv.NewWriter(buf), at.Columns, x.safe}
	if x.format != "csv" || at.Token == "" {
		if enc, err = newEncoder(x.format, buf, at.Columns, x.safe); err != nil {
			return nil, err
		}
	}
	left = map[string]bool{}
	n, noted := at.Profiles, time.Now()
	one := func(p *api.Profile) error {
		n++
		x.leftOut(p, at.Columns, left)
		return enc.write(p)
	}
	err = x.profilesFrom(ctx, at.Token, one, func(next string) error {
		if err := errors.Join(enc.close(), buf.Flush()); err != nil {
			return err
		}
		here, err := f.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		at.Token, at.Bytes, at.Profiles = next, here, n
		if next == "" || time.Since(noted) < checkpointEvery {
			return nil
		}
		noted = time.Now()
		return errors.Join(f.Sync(), x.save(at))
	})
	return left, err
}
