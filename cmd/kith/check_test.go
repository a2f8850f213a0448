package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kith/api"
	"kith/domain"
	"kith/server"
	"kith/store"
	"kith/store/pebble"
)

// killedFolder makes a data folder as a kill leaves it: a domain and 100 index rows of a customer, in the log only, or in tables.
func killedFolder(t *testing.T, flushed bool) string {
	t.Helper()
	live := filepath.Join(t.TempDir(), "live")
	s, err := pebble.Open(filepath.Join(live, "store"), pebble.Options{})
	if err != nil {
		t.Fatal(err)
	}
	domains := &domain.Service{Store: s, Now: time.Now}
	if _, err := domains.CreateDomain(t.Context(), &api.CreateDomainRequest{DomainName: api.Ptr("shop"), DefaultExpirationDays: api.Ptr(int32(366))}); err != nil {
		t.Fatal(err)
	}
	rec, err := domains.Read(t.Context(), "shop")
	if err := errors.Join(err, s.Close()); err != nil { // the domain is in a table of its own
		t.Fatal(err)
	}
	if s, err = pebble.Open(filepath.Join(live, "store"), pebble.Options{}); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		p := store.Partition{Table: store.Index, Incarnation: rec.Incarnation, Key: "mail\x01jane.roe@example.org" + strings.Repeat("x", i)}
		if err := s.Write(t.Context(), p, []store.Mutation{{Key: []byte("jane.roe@example.org"), Value: []byte("jane.roe@example.org"), Time: 1}}); err != nil {
			t.Fatal(err)
		}
	}
	if flushed {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		return live
	}
	dir := filepath.Join(t.TempDir(), "killed")
	if err := errors.Join(os.CopyFS(dir, os.DirFS(live)), s.Close()); err != nil {
		t.Fatal(err)
	}
	return dir
}

func spoil(t *testing.T, dir, pattern string, change func([]byte)) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "store", pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("no %s, %v", pattern, err)
	}
	path := files[len(files)-1]
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	change(b)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// kith check finds damage of tables, log and list of tables, names it by table and domain, and prints nobody's data; serve refuses what
// can't be read, and says how to go on.
func TestCheckFindsDamage(t *testing.T) {
	flip := func(at int) func([]byte) { return func(b []byte) { b[at] ^= 2 } }
	for name, c := range map[string]struct {
		flushed bool
		pattern string
		change  func([]byte)
		want    string
		refused string // what serve says; empty: it starts
	}{
		"sound":     {true, "*.sst", func([]byte) {}, "No damage.", ""},
		"table":     {true, "*.sst", flip(1000), "its rows: table key_index of domain shop", ""},
		"log":       {false, "*.log", flip(3000), "one bit has flipped", "loses nothing"},
		"log lost":  {false, "*.log", func(b []byte) { copy(b[3000:], make([]byte, 300)) }, "rows of table key_index of domain shop", "what was written before the damage"},
		"manifest":  {true, "MANIFEST-*", flip(30), "list of tables", "loses nothing"},
		"manifest+": {true, "MANIFEST-*", func(b []byte) { copy(b[10:], make([]byte, 40)) }, "list of tables", "Restore a backup"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := killedFolder(t, c.flushed)
			spoil(t, dir, c.pattern, c.change)
			var out bytes.Buffer
			err := checkFolder(context.Background(), dir, &out)
			if (err != nil) != (name != "sound") || !strings.Contains(out.String(), c.want) {
				t.Errorf("%v, want %q in\n%s", err, c.want, out.String())
			}
			if strings.Contains(out.String(), "jane") || err != nil && strings.Contains(err.Error(), "jane") {
				t.Errorf("a customer's data is printed:\n%s\n%v", out.String(), err)
			}
			var log bytes.Buffer
			logger := slog.New(slog.NewTextHandler(&log, nil))
			f, err := openFolder(dir, logger, false)
			switch {
			case err == nil:
				if c.refused != "" {
					t.Error("serve starts on the damaged folder")
				}
				if err := f.close(); err != nil {
					t.Fatal(err)
				}
			case c.refused == "" || !strings.Contains(err.Error(), c.refused):
				t.Errorf("serve says %v, want %q", err, c.refused)
			}
			if c.refused != "" && name != "manifest+" {
				if f, err = openFolder(dir, logger, true); err != nil {
					t.Fatalf("with --accept-damage: %v", err)
				}
				if err := f.close(); err != nil {
					t.Fatal(err)
				}
				if !strings.Contains(log.String(), "the damage of the data folder was accepted") {
					t.Errorf("the log does not tell that damage was accepted:\n%s", log.String())
				}
			}
			if strings.Contains(log.String(), "jane") {
				t.Errorf("a customer's data is logged:\n%s", log.String())
			}
		})
	}
}

// A server whose data is damaged lives: what needs the damaged table answers 500 and says nothing of the data, all else goes on, the health
// check says degraded, and kith check of the running server names the damage.
func TestServerWithADamagedTableLives(t *testing.T) {
	dir := killedFolder(t, true)
	spoil(t, dir, "*.sst", func(b []byte) {
		for at := 0; at < len(b)/2; at += 100 {
			b[at] ^= 1
		}
	})
	var out bytes.Buffer
	p, err := startProgram(t.Context(), &Config{Listen: ownServer, Data: dir, URLLife: duration(time.Hour), quiet: true}, &out)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.close(); err != nil {
			t.Error(err)
		}
	}()
	c := p.local.client()
	search := api.SearchProfilesRequest{KeyName: api.Ptr("mail"), Values: []string{"jane.roe@example.org"}}
	err = c.call(t.Context(), http.MethodPost, "/domains/shop/profiles/search", nil, search, new(api.SearchProfilesResponse))
	if err == nil || strings.Contains(err.Error(), "jane") || !strings.Contains(err.Error(), "could not complete the request") {
		t.Errorf("a search in the damaged table: %v, want an internal error", err)
	}
	var domains api.ListDomainsResponse
	if err := c.call(t.Context(), http.MethodGet, "/domains", nil, nil, &domains); err != nil || len(domains.Items) != 1 {
		t.Errorf("what is not damaged: %v, %v", domains.Items, err)
	}
	if text, err := p.local.health(t.Context()); err != nil || text != server.Degraded {
		t.Errorf("the health check says %q, %v", text, err)
	}
	out.Reset()
	if err := checkRunning(t.Context(), &p.local, dir, &out); err == nil || !strings.Contains(out.String(), "its rows: table key_index of domain shop") {
		t.Errorf("kith check: %v\n%s", err, out.String())
	}
	if left, _ := filepath.Glob(dir + ".check-*"); len(left) > 0 {
		t.Errorf("kith check left %v", left)
	}
}
