package e2e

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kith/access"
	"kith/api"
	"kith/fault"
	"kith/store"
	"kith/store/faulty"
	"kith/store/mem"
	"kith/upload"
)

// diary notes what calls of all kinds said, and what there was to see after them.
type diary struct {
	*rig
	lines []string
}

// call makes a call and notes how it ended.
func (d *diary) call(what string, do func() error) {
	d.t.Helper()
	if err := do(); err != nil {
		what += ": " + strings.ReplaceAll(err.Error(), "\n", " ")
	}
	d.lines = append(d.lines, what)
}

func (d *diary) see(format string, args ...any) {
	d.lines = append(d.lines, "  "+fmt.Sprintf(format, args...))
}

// live makes calls of all kinds that write.
func (d *diary) live() []string {
	d.domains()
	d.keys()
	d.profiles()
	d.files()
	d.imports()
	name := api.Ptr("lost")
	d.call("delete a domain", func() error {
		_, err := d.Domains.DeleteDomain(ctx, &api.DeleteDomainRequest{DomainName: name})
		return err
	})
	d.call("create it again", func() error {
		_, err := d.Domains.CreateDomain(ctx, &api.CreateDomainRequest{DomainName: name, DefaultExpirationDays: api.Ptr(int32(5))})
		return err
	})
	d.see("account 1 is %q", d.search("lost", "_account", "1"))
	return d.lines
}

func (d *diary) domains() {
	name := api.Ptr("lost")
	d.call("create a domain", func() error {
		_, err := d.Domains.CreateDomain(ctx, &api.CreateDomainRequest{DomainName: name, DefaultExpirationDays: api.Ptr(int32(366))})
		return err
	})
	d.call("create it twice", func() error {
		_, err := d.Domains.CreateDomain(ctx, &api.CreateDomainRequest{DomainName: name, DefaultExpirationDays: api.Ptr(int32(366))})
		return err
	})
	d.call("update", func() error {
		_, err := d.Domains.UpdateDomain(ctx, &api.UpdateDomainRequest{DomainName: name, DefaultExpirationDays: api.Ptr(int32(77))})
		return err
	})
	arn := api.Ptr("arn:aws:profile:us-east-1:000000000000:domains/lost")
	d.call("tag", func() error {
		_, err := d.Domains.TagResource(ctx, &api.TagResourceRequest{ResourceArn: arn, Tags: map[string]string{"a": "1", "b": "2"}})
		return err
	})
	d.call("untag", func() error {
		_, err := d.Domains.UntagResource(ctx, &api.UntagResourceRequest{ResourceArn: arn, TagKeys: []string{"a"}})
		return err
	})
	got, err := d.Domains.GetDomain(ctx, &api.GetDomainRequest{DomainName: name})
	if err != nil {
		d.t.Fatal(err)
	}
	d.see("%d days, tags %v", *got.DefaultExpirationDays, got.Tags)
	d.coreTypes("lost")
	d.call("query on", func() error {
		_, err := d.Query.PutQuerySettings(ctx, &api.PutQuerySettingsRequest{DomainName: name, Enabled: api.Ptr(true)})
		return err
	})
}

func (d *diary) keys() {
	root := access.With(ctx, access.Identity{Root: true})
	policy := api.Ptr(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`)
	var made, child string
	d.call("create a key", func() error {
		out, err := d.Access.CreateAccessKey(root, &api.CreateAccessKeyRequest{Policy: policy})
		if err == nil {
			made = *out.AccessKeyId
		}
		return err
	})
	maker := access.With(ctx, access.Identity{KeyID: made})
	d.call("create a key with it", func() error {
		out, err := d.Access.CreateAccessKey(maker, &api.CreateAccessKeyRequest{Policy: policy})
		if err == nil {
			child = *out.AccessKeyId
		}
		return err
	})
	for _, id := range []string{child, made} {
		d.call("delete a key", func() error {
			_, err := d.Access.DeleteAccessKey(root, &api.DeleteAccessKeyRequest{AccessKeyId: &id})
			return err
		})
	}
	left, err := d.Access.ListAccessKeys(root, &api.ListAccessKeysRequest{})
	if err != nil {
		d.t.Fatal(err)
	}
	d.see("%d keys", len(left.Items))
}

func (d *diary) profiles() {
	name := api.Ptr("lost")
	var ids []string
	for i := range 4 {
		d.call("create a profile", func() error {
			out, err := d.Profiles.CreateProfile(ctx, &api.CreateProfileRequest{DomainName: name, AccountNumber: api.Ptr(fmt.Sprint(i)), EmailAddress: api.Ptr(fmt.Sprintf("e%d@x.com", i))})
			if err == nil {
				ids = append(ids, *out.ProfileId)
			}
			return err
		})
	}
	if len(ids) < 4 {
		d.t.Fatal(d.lines)
	}
	for _, o := range []corePut{{"maker", "m1", map[string]string{"EmailAddress": "e1@x.com"}}, {"maker", "m2", map[string]string{"PhoneNumber": "5550001002"}}, {"maker", "m1", map[string]string{"EmailAddress": "e2@x.com"}}} {
		d.call("put "+o.id, func() error {
			_, err := d.Profiles.PutProfileObject(ctx, &api.PutProfileObjectRequest{DomainName: name, ObjectTypeName: &o.objectType, Object: api.Ptr(object(o.id, o.values))})
			return err
		})
	}
	d.call("update a profile", func() error {
		_, err := d.Profiles.UpdateProfile(ctx, &api.UpdateProfileRequest{DomainName: name, ProfileId: &ids[0], FirstName: api.Ptr("Ann")})
		return err
	})
	d.call("add a key", func() error {
		_, err := d.Profiles.AddProfileKey(ctx, &api.AddProfileKeyRequest{DomainName: name, ProfileId: &ids[0], KeyName: api.Ptr("_orderId"), Values: []string{"77"}})
		return err
	})
	merge := func(from ...string) {
		d.call("merge", func() error {
			_, err := d.Profiles.MergeProfiles(ctx, &api.MergeProfilesRequest{DomainName: name, MainProfileId: &ids[0], ProfileIdsToBeMerged: from})
			return err
		})
	}
	merge(ids[1])
	merge(ids[2])
	d.seeProfiles()
	d.call("delete a key of a profile", func() error {
		_, err := d.Profiles.DeleteProfileKey(ctx, &api.DeleteProfileKeyRequest{DomainName: name, ProfileId: &ids[0], KeyName: api.Ptr("_orderId"), Values: []string{"77"}})
		return err
	})
	d.call("delete a profile", func() error {
		_, err := d.Profiles.DeleteProfile(ctx, &api.DeleteProfileRequest{DomainName: name, ProfileId: &ids[3]})
		return err
	})
	d.call("delete it twice", func() error {
		_, err := d.Profiles.DeleteProfile(ctx, &api.DeleteProfileRequest{DomainName: name, ProfileId: &ids[3]})
		if err != nil {
			err = fmt.Errorf("%w", fault.NotFound)
		}
		return err
	})
	d.seeProfiles()
}

func (d *diary) seeProfiles() {
	d.t.Helper()
	for _, key := range []string{"_account=0", "_account=1", "_account=2", "_account=3", "_email=e1@x.com", "_email=e2@x.com", "_phone=5550001002", "_orderId=77", "maker_id=m1", "maker_id=m2"} {
		k, v, _ := strings.Cut(key, "=")
		d.see("%s finds %q", key, d.search("lost", k, v))
	}
}

// files makes the calls of uploads in pieces.
func (d *diary) files() {
	id := d.job()
	path, err := d.Uploads.GetUploadJobPath(upload.WithBaseURL(ctx, "http://h"), &api.GetUploadJobPathRequest{DomainName: api.Ptr("lost"), JobId: &id})
	if err != nil {
		d.t.Fatal(err)
	}
	key := decodeKey(d.t, *path.ClientToken)
	const text = "a,e,p,f,l\n5,e5@x.com,,Zoe,\n"
	part := func(from, to int) {
		d.call(fmt.Sprint("part ", from), func() error {
			at, err := d.Uploads.ReceivePart(ctx, "lost", id, key, int64(from), int64(len(text)), strings.NewReader(text[from:to]), nil)
			d.see("at %d", at)
			return err
		})
	}
	part(0, 10)
	d.call("drop", func() error { return d.Uploads.DropPart(ctx, "lost", id) })
	part(0, 12)
	part(12, 20)
	part(20, len(text))
	d.call("start", func() error { return d.startJob("lost", id) })
	d.see("%s", outcome(d.wait("lost", id)))
	d.see("account 5 is %q", d.search("lost", "_account", "5"))
}

// job creates an import with options.
func (d *diary) job() (id string) {
	d.call("create a job", func() error {
		out, err := d.Uploads.CreateUploadJob(ctx, guestSpec.request("lost"))
		if err == nil {
			id = *out.JobId
		}
		return err
	})
	if id == "" {
		d.t.Fatal(d.lines)
	}
	d.call("options", func() error {
		_, err := d.Uploads.PutUploadJobOptions(ctx, &api.PutUploadJobOptionsRequest{DomainName: api.Ptr("lost"), JobId: &id, Delimiter: api.Ptr(",")})
		return err
	})
	return id
}

func (d *diary) imports() {
	id := d.job()
	for _, text := range []string{"a,e,p,f,l\n9,e9@x.com,,,\n", "a,e,p,f,l\n0,,,Bob,\n6,,,Zoe,\n,,,no key,\n"} {
		d.call("file", func() error { return d.tryPut("lost", id, strings.NewReader(text)) })
	}
	for deadline := time.Now().Add(patience); *d.askDry("lost", id).Status == api.DryRunStatusRunning && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	d.see("dry run: %d, %d", api.Val(d.askDry("lost", id).WouldCreate), api.Val(d.askDry("lost", id).WouldUpdate))
	d.call("start", func() error { return d.startJob("lost", id) })
	d.see("%s", outcome(d.wait("lost", id)))
	d.call("start twice", func() error {
		err := d.startJob("lost", id)
		if err != nil {
			err = fmt.Errorf("%w", fault.BadRequest)
		}
		return err
	})
	undone := func() *api.UndoUploadJobResponse {
		out, err := d.Uploads.UndoUploadJob(ctx, &api.UndoUploadJobRequest{DomainName: api.Ptr("lost"), JobId: &id})
		if err != nil {
			d.t.Fatalf("undo: %v\n%s", err, strings.Join(d.lines, "\n"))
		}
		return out
	}
	for deadline := time.Now().Add(patience); *undone().UndoStatus == api.UndoStatusRunning && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	d.see("undo: %s", *undone().UndoStatus)
	stopped := d.job()
	d.call("stop", func() error {
		_, err := d.Uploads.StopUploadJob(ctx, &api.StopUploadJobRequest{DomainName: api.Ptr("lost"), JobId: &stopped})
		return err
	})
	d.seeProfiles()
	d.see("accounts %q", d.search("lost", "_account", "6", "9"))
}

// Whoever loses the answer of a conditional write finds out what became of it: when one of every four is lost, and each has its turn, all calls say and
// leave what they say and leave when none is. Which one it is differs from four to four: a call that is tried again takes as many writes each time, and
// could lose the same one for ever.
func TestLostAnswersAreFoundOut(t *testing.T) {
	t.Parallel()
	const every = 4
	run := func(t *testing.T, phase int64, happened bool) []string {
		st := &faulty.Store{Store: mem.New(), Apart: true}
		var swaps atomic.Int64
		lose := faulty.Hook(func(op faulty.Op, p store.Partition) error {
			if op != faulty.Swap || phase < 0 {
				return nil
			}
			if n := swaps.Add(1); n%every == (phase+rand.New(rand.NewPCG(uint64(n/every), 3)).Int64N(every))%every {
				return fmt.Errorf("%w: of %s", store.ErrUnknown, p.Table)
			}
			return nil
		})
		d := &diary{rig: newRig(t, st, upload.Config{})}
		if happened {
			st.After(lose)
		} else {
			st.Before(lose)
		}
		lines := d.live()
		st.Before(nil)
		st.After(nil)
		return lines
	}
	var want []string
	t.Run("none", func(t *testing.T) { want = run(t, -1, false) })
	for phase := range int64(every) {
		for _, happened := range []bool{true, false} {
			t.Run(fmt.Sprintf("phase %d, happened %t", phase, happened), func(t *testing.T) {
				if got := run(t, phase, happened); !slices.Equal(got, want) {
					t.Errorf("%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
			})
		}
	}
}
