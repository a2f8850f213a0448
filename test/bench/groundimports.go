package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"kith/api"
	"kith/blob"
	"kith/internal/sample"
	"kith/profile"
	"kith/profile/fold"
	"kith/schema"
	"kith/store"
	"kith/upload"
)

// imports measures passes over imported profiles, and undos.
func (g *ground) imports() error {
	if err := g.start(); err != nil {
		return err
	}
	defer g.Stop()
	first, err := g.file("ground.csv", g.groundRows, sample.Options{})
	if err != nil {
		return err
	}
	changed, err := g.changedFile(first, 10, 1)
	if err != nil {
		return err
	}
	var undos [3][]spent // alone, of which the same file came later, and another one
	for n := range g.rounds {
		for kind, later := range []string{"", first, changed} {
			name := fmt.Sprintf("round%d.%d", n, kind)
			s, err := g.undoOf(name, first, later)
			if err == nil && n == 0 && later == first {
				err = g.passes(name)
			}
			if err == nil {
				_, err = g.Domains.DeleteDomain(g.ctx, &api.DeleteDomainRequest{DomainName: &name})
			}
			if err != nil {
				return err
			}
			undos[kind] = append(undos[kind], s)
		}
	}
	what := fmt.Sprintf("undo of an import of %d rows", g.groundRows)
	g.add(what+", the last one", medianSpent(undos[0]).String(), "", "", "0.6 s")
	g.add(what+", of which the same file was imported again later", medianSpent(undos[1]).String(), "", "", "2 s")
	g.add(what+", of whose customers a later file changes a tenth", medianSpent(undos[2]).String(), "", "", "2 s")
	return nil
}

// undoOf imports a file into a new domain, and one after it if that is named, and measures the undo of the first import.
func (g *ground) undoOf(domain, file, later string) (spent, error) {
	if _, err := g.Domains.CreateDomain(g.ctx, &api.CreateDomainRequest{DomainName: &domain, DefaultExpirationDays: api.Ptr(int32(366))}); err != nil {
		return spent{}, err
	}
	id, err := g.importHere(domain, file)
	if err == nil && later != "" {
		_, err = g.importHere(domain, later)
	}
	if err != nil {
		return spent{}, err
	}
	g.idle()
	return spend(func() error {
		if _, err := g.Uploads.UndoUploadJob(g.ctx, &api.UndoUploadJobRequest{DomainName: &domain, JobId: &id}); err != nil {
			return err
		}
		return g.until(domain, id, func(d *api.GetUploadJobDetailsResponse) (bool, error) {
			if api.Val(d.UndoStatus) == api.UndoStatusFailed {
				return false, errors.New(api.Val(d.UndoReason))
			}
			return api.Val(d.UndoStatus) == api.UndoStatusUndone, nil
		})
	})
}

// idle waits until no compaction has been running for a second: none of what is measured next.
func (g *ground) idle() {
	for since := time.Now(); time.Since(since) < time.Second; time.Sleep(20 * time.Millisecond) {
		if running, _ := g.store.Pending(); running > 0 {
			since = time.Now()
		}
	}
}

// until waits until a job's details are as wanted.
func (g *ground) until(domain, id string, done func(*api.GetUploadJobDetailsResponse) (bool, error)) error {
	for {
		d, err := g.Uploads.GetUploadJobDetails(g.ctx, &api.GetUploadJobDetailsRequest{DomainName: &domain, JobId: &id})
		if err != nil {
			return err
		}
		if ok, err := done(d); ok || err != nil {
			return err
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// groundTargets is where the columns of a sample go, and of what type they are.
var groundTargets = map[string][2]string{
	"customer_id": {"AccountNumber"}, "first_name": {"FirstName"}, "last_name": {"LastName"}, "email": {"EmailAddress", "EMAIL_ADDRESS"},
	"phone": {"PhoneNumber", "PHONE_NUMBER"}, "mobile": {"MobilePhoneNumber", "PHONE_NUMBER"}, "birth_date": {"BirthDate"},
	"gender": {"GenderString"}, "company": {"BusinessName"}, "street": {"Address.Address1"}, "city": {"Address.City"}, "state": {"Address.State"},
	"postal_code": {"Address.PostalCode"}, "country": {"Address.Country"}, "loyalty_tier": {"Attributes.loyalty_tier"}, "notes": {"AdditionalInformation"},
}

// importHere imports a file in this process and returns the job.
func (g *ground) importHere(domain, path string) (id string, err error) {
	in := &api.CreateUploadJobRequest{DomainName: &domain, DisplayName: api.Ptr("bench"), UniqueKey: api.Ptr("customer_id"), Fields: map[string]api.ObjectTypeField{}}
	for column, to := range groundTargets {
		f := api.ObjectTypeField{Source: api.Ptr("_source." + column), Target: api.Ptr("_profile." + to[0])}
		if to[1] != "" {
			f.ContentType = api.Ptr(api.FieldContentType(to[1]))
		}
		in.Fields[column] = f
	}
	job, err := g.Uploads.CreateUploadJob(g.ctx, in)
	if err != nil {
		return "", err
	}
	id = *job.JobId
	to, err := g.Uploads.GetUploadJobPath(upload.WithBaseURL(g.ctx, "http://bench"), &api.GetUploadJobPathRequest{DomainName: &domain, JobId: &id})
	if err != nil {
		return "", err
	}
	key, err := base64.StdEncoding.DecodeString(*to.ClientToken)
	if err != nil || len(key) != len(blob.Key{}) {
		return "", fmt.Errorf("the key of the file: %w", err)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if _, err := g.Uploads.ReceiveFile(g.ctx, domain, id, blob.Key(key), f, func() error { return nil }); err != nil {
		return "", err
	}
	if _, err := g.Uploads.StartUploadJob(g.ctx, &api.StartUploadJobRequest{DomainName: &domain, JobId: &id}); err != nil {
		return "", err
	}
	err = g.until(domain, id, func(d *api.GetUploadJobDetailsResponse) (bool, error) { return api.Val(d.Stage) == "finished", nil })
	if err != nil {
		return "", err
	}
	end, err := g.Uploads.GetUploadJob(g.ctx, &api.GetUploadJobRequest{DomainName: &domain, JobId: &id})
	if err == nil && *end.Status != api.UploadJobStatusSucceeded {
		err = fmt.Errorf("the import ended as %s", *end.Status)
	}
	return id, err
}

// passes measures passes over a domain whose profiles have one import each, before and after a fifth of them are merged into others.
func (g *ground) passes(domain string) error {
	rec, err := g.Domains.Lookup(g.ctx, domain)
	if err != nil {
		return err
	}
	var ids []fold.ID
	for row, err := range g.store.Sweep(g.ctx, store.SweepRange{Table: store.Profile, Incarnation: rec.Incarnation}) {
		if err != nil {
			return err
		}
		if id := fold.ID([]byte(row.Partition.Key)); len(ids) == 0 || ids[len(ids)-1] != id {
			ids = append(ids, id)
		}
	}
	for _, merged := range []bool{false, true} {
		persons, what, must := len(ids), fmt.Sprintf("pass over %d profiles of one import each", len(ids)), "1.5 million/s"
		if merged {
			if err := g.mergeAFifth(rec.Incarnation, ids); err != nil {
				return err
			}
			persons, what, must = len(ids)-len(ids)/5, what+", a fifth merged into others", "half of that"
		}
		g.idle()
		s, err := g.pass(rec.Incarnation, persons)
		if err != nil {
			return err
		}
		rate := func(d time.Duration) float64 { return float64(len(ids)) / 1e6 / d.Seconds() }
		each := s.by(len(ids))
		g.add(what, fmt.Sprintf("%.2f million/s; CPU %s a profile: %.2f million/s on two cores", rate(s.wall), short(each.cpu), 2*rate(s.cpu)), "", "", must)
	}
	return nil
}

// pass measures passes that ask for two attributes.
func (g *ground) pass(inc store.Incarnation, persons int) (spent, error) {
	p := profile.Pass{Incarnation: inc, Now: time.Now().UnixMicro(), Attrs: fold.NewAttrSet(schema.Attr{ID: schema.LastName}, schema.Attr{ID: schema.Address + 4})}
	return g.often(func() error {
		var counts [64]struct {
			n int
			_ [120]byte // a line of cache of its own
		}
		if err := g.Profiles.Each(g.ctx, p, func(worker int, _ *fold.Profile) error { counts[worker].n++; return nil }); err != nil {
			return err
		}
		n := 0
		for _, c := range counts {
			n += c.n
		}
		if n != persons {
			return fmt.Errorf("a pass meets %d profiles, not %d", n, persons)
		}
		return nil
	})
}

// mergeAFifth makes a fifth of all profiles members of as many others. It writes the state rows that merges leave behind, since
// hundreds of thousands of merges would take minutes.
func (g *ground) mergeAFifth(inc store.Incarnation, ids []fold.ID) error {
	var rows []store.RunRow
	row := func(id fold.ID, st *fold.State) {
		rows = append(rows, store.RunRow{Incarnation: inc, Partition: []byte(strings.Clone(string(id[:]))), Mutation: store.Mutation{Key: []byte(fold.StateKey), Value: st.Append(nil), Time: 1}})
	}
	order, at := rand.New(rand.NewPCG(1, 1)).Perm(len(ids)), time.Now().UnixMicro()
	for n := range len(ids) / 5 {
		main, from := ids[order[2*n]], ids[order[2*n+1]]
		m := fold.Merge{ID: fold.NewMergeID(at, uint32(n)), At: at, From: []fold.ID{from}}
		row(main, &fold.State{Merges: []fold.Merge{m}})
		row(from, &fold.State{Into: &fold.Link{Merge: m.ID, Main: main, At: at}})
	}
	return g.store.WriteRun(g.ctx, store.Run{Table: store.Profile, Rows: store.SortRows(rows)})
}
