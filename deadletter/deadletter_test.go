package deadletter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"kith/api"
	"kith/domain"
	"kith/fault"
	"kith/job"
	"kith/store"
	"kith/store/faulty"
	"kith/store/mem"
)

// world is a service with a domain "d", whose clock moves by a second with every letter.
type world struct {
	*Service
	t     *testing.T
	store *faulty.Store
	now   time.Time
	rec   *domain.Record
}

func newWorld(t *testing.T, c Config) *world {
	w := &world{t: t, store: &faulty.Store{Store: mem.New()}, now: time.Date(2026, 3, 1, 23, 50, 0, 0, time.UTC)}
	now := func() time.Time { return w.now }
	w.Service = &Service{Store: w.store, Domains: &domain.Service{Store: w.store, Now: now}, Now: now, Log: slog.New(slog.DiscardHandler), Config: c}
	if _, err := w.Domains.CreateDomain(t.Context(), &api.CreateDomainRequest{DomainName: api.Ptr("d"), DefaultExpirationDays: api.Ptr(int32(1))}); err != nil {
		t.Fatal(err)
	}
	w.useQueue("")
	return w
}

func (w *world) useQueue(url string) {
	w.t.Helper()
	if _, err := w.Domains.UpdateDomain(w.t.Context(), &api.UpdateDomainRequest{DomainName: api.Ptr("d"), DeadLetterQueueUrl: &url}); err != nil {
		w.t.Fatal(err)
	}
	rec, err := w.Domains.Read(w.t.Context(), "d")
	if err != nil {
		w.t.Fatal(err)
	}
	w.rec = rec
}

func (w *world) keepLetter(objectType, object string) {
	w.t.Helper()
	w.now = w.now.Add(time.Second)
	if err := w.Keep(w.t.Context(), w.rec, Letter{ObjectType: objectType, Reason: "No profile has its keys.", Object: object}); err != nil {
		w.t.Fatal(err)
	}
}

// list returns the objects that are listed, in pages of a size, and the ids of their letters.
func (w *world) list(objectType string, page int32) (objects, ids []string) {
	w.t.Helper()
	in := &api.ListDeadLettersRequest{DomainName: api.Ptr("d"), MaxResults: &page}
	if objectType != "" {
		in.ObjectTypeName = &objectType
	}
	for {
		out, err := w.ListDeadLetters(w.t.Context(), in)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, l := range out.Items {
			objects, ids = append(objects, *l.Object), append(ids, *l.DeadLetterId)
		}
		if in.NextToken = out.NextToken; in.NextToken == nil {
			return objects, ids
		}
	}
}

func (w *world) want(objects ...string) {
	w.t.Helper()
	if got, _ := w.list("", 500); !slices.Equal(got, objects) {
		w.t.Fatalf("there are the letters %q, want %q", got, objects)
	}
}

// rowsLeft counts the rows of letters, whatever they are.
func (w *world) rowsLeft() (n int) {
	w.t.Helper()
	for row, err := range w.store.Sweep(w.t.Context(), store.SweepRange{Table: store.Resource}) {
		if err != nil {
			w.t.Fatal(err)
		}
		if strings.HasPrefix(row.Partition.Key, partitionPrefix) {
			n++
		}
	}
	return n
}

// Letters are listed as they came, over the end of a day, in pages of every size, and by type.
func TestListing(t *testing.T) {
	w := newWorld(t, Config{})
	w.now = time.Date(2026, 3, 1, 23, 59, 55, 0, time.UTC)
	var all, orders []string
	for i := range 12 {
		object := fmt.Sprintf(`{"n":%d}`, i)
		kind := []string{"contact", "order"}[i%2]
		w.keepLetter(kind, object)
		if all = append(all, object); kind == "order" {
			orders = append(orders, object)
		}
	}
	for page := int32(1); page < 14; page++ {
		if got, _ := w.list("", page); !slices.Equal(got, all) {
			t.Errorf("in pages of %d: %q", page, got)
		}
		if got, _ := w.list("order", page); !slices.Equal(got, orders) {
			t.Errorf("orders in pages of %d: %q", page, got)
		}
	}
	if got, _ := w.list("nope", 3); got != nil {
		t.Errorf("letters of a type that has none: %q", got)
	}
	_, ids := w.list("", 500)
	w.now = w.now.Add(DefaultKeep - 5500*time.Millisecond)
	w.want(all[6:]...)
	if _, err := w.ReplayDeadLetters(t.Context(), &api.ReplayDeadLettersRequest{DomainName: api.Ptr("d"), DeadLetterIds: ids[:1]}); !errors.Is(err, fault.NotFound) {
		t.Errorf("a letter that is too old is replayed: %v", err)
	}
}

// A page of large objects ends early, and all of them come.
func TestLargePages(t *testing.T) {
	w := newWorld(t, Config{})
	for range 10 {
		w.keepLetter("contact", strings.Repeat("x", 1<<20))
	}
	out, err := w.ListDeadLetters(t.Context(), &api.ListDeadLettersRequest{DomainName: api.Ptr("d")})
	if err != nil || len(out.Items) > 5 || out.NextToken == nil {
		t.Fatalf("a page has %d large letters, %v", len(out.Items), err)
	}
	if got, _ := w.list("", 500); len(got) != 10 {
		t.Fatalf("%d letters in all", len(got))
	}
}

// The oldest letters go when there are too many, or too large ones; also those of the years before a setting was changed.
func TestRoom(t *testing.T) {
	w := newWorld(t, Config{MaxLetters: 5})
	for i := range 20 {
		w.keepLetter("contact", fmt.Sprint(i))
	}
	w.want("15", "16", "17", "18", "19")
	if n := w.rowsLeft(); n != 10 {
		t.Errorf("%d rows for 5 letters", n)
	}
	if kept, crowded, _, _ := w.Stats(); kept != 20 || crowded != 15 {
		t.Errorf("%d kept, %d crowded out", kept, crowded)
	}

	w = newWorld(t, Config{MaxBytes: 10 << 10})
	for i := range 20 {
		w.keepLetter("contact", strings.Repeat(string(rune('a'+i)), 1<<10))
	}
	if got, _ := w.list("", 500); len(got) != 10 || got[9][0] != 't' {
		t.Errorf("%d letters of 1 KiB in 10 KiB", len(got))
	}

	w = newWorld(t, Config{Keep: 300 * day})
	for i := range 20 {
		w.keepLetter("contact", fmt.Sprint(i))
		w.now = w.now.Add(10 * day)
	}
	w.Service = &Service{Store: w.store, Domains: w.Domains, Now: w.Now, Log: w.Log, Config: Config{Keep: 5 * day}} // a restart with another setting
	if err := w.CleanUp(t.Context(), w.rec); err != nil || w.rowsLeft() != 0 {
		t.Errorf("%d rows are left of letters that are too old, %v", w.rowsLeft(), err)
	}
}

// While letters come in parallel there is never much more than the room, and the newest are never lost.
func TestRoomInParallel(t *testing.T) {
	w := newWorld(t, Config{MaxLetters: 64})
	done := make(chan error)
	for i := range 8 {
		go func() {
			var err error
			for j := range 100 {
				err = errors.Join(err, w.Keep(context.Background(), w.rec, Letter{At: w.now.UnixMicro() + int64(j), ObjectType: "contact", Object: fmt.Sprint(i, "/", j)}))
			}
			done <- err
		}()
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	got, _ := w.list("", 500)
	if len(got) > 64+8+64/16 {
		t.Fatalf("%d letters are kept where there is room for 64", len(got))
	}
	for i := range 8 {
		if !slices.Contains(got, fmt.Sprint(i, "/", 99)) {
			t.Errorf("the newest letter of %d is gone", i)
		}
	}
}

// What a replay attaches is gone; what it can't attach stays as it is, once; an error of the moment ends it with nothing lost.
func TestReplay(t *testing.T) {
	w := newWorld(t, Config{})
	var put []string
	broken := errors.New("the disk is gone")
	var down error
	w.Put = func(ctx context.Context, in *api.PutProfileObjectRequest) (*api.PutProfileObjectResponse, error) {
		if down != nil {
			return nil, down
		}
		switch *in.Object {
		case "refused":
			return nil, fault.BadRequestf("Its type wants a key.")
		case "typeless":
			return nil, fault.NotFoundf("There is no such type.")
		case "dead":
			return &api.PutProfileObjectResponse{}, w.Keep(ctx, w.rec, Letter{ObjectType: *in.ObjectTypeName, Reason: "Still no profile.", Object: *in.Object})
		}
		put = append(put, *in.DomainName+" "+*in.ObjectTypeName+" "+*in.Object)
		return &api.PutProfileObjectResponse{}, nil
	}
	for _, object := range []string{"a", "refused", "b", "dead", "typeless", "c"} {
		w.keepLetter("contact", object)
	}
	w.keepLetter("order", "d")
	_, ids := w.list("", 500)

	down = broken
	if _, err := w.ReplayDeadLetters(t.Context(), &api.ReplayDeadLettersRequest{DomainName: api.Ptr("d")}); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	down = nil
	w.want("a", "refused", "b", "dead", "typeless", "c", "d")

	replay := func(in api.ReplayDeadLettersRequest) (attached int64, failed []string) {
		t.Helper()
		in.DomainName = api.Ptr("d")
		for {
			out, err := w.ReplayDeadLetters(t.Context(), &in)
			if err != nil {
				t.Fatal(err)
			}
			attached += *out.Attached
			for _, f := range out.Failed {
				failed = append(failed, *f.Reason)
			}
			if in.NextToken = out.NextToken; in.NextToken == nil {
				return attached, failed
			}
		}
	}
	if n, failed := replay(api.ReplayDeadLettersRequest{DeadLetterIds: []string{ids[2], ids[2]}}); n != 1 || failed != nil {
		t.Fatal(n, failed)
	}
	w.want("a", "refused", "dead", "typeless", "c", "d")
	if _, err := w.ReplayDeadLetters(t.Context(), &api.ReplayDeadLettersRequest{DomainName: api.Ptr("d"), DeadLetterIds: ids[:3]}); !errors.Is(err, fault.NotFound) {
		t.Fatal(err)
	}
	if n, failed := replay(api.ReplayDeadLettersRequest{ObjectTypeName: api.Ptr("contact"), MaxResults: api.Ptr(int32(2))}); n != 2 || !slices.Equal(failed, []string{"Its type wants a key.", "Still no profile.", "There is no such type."}) {
		t.Fatal(n, failed)
	}
	w.want("refused", "dead", "typeless", "d")
	if n, _ := replay(api.ReplayDeadLettersRequest{}); n != 1 {
		t.Fatal(n)
	}
	if want := []string{"d contact b", "d contact a", "d contact c", "d order d"}; !slices.Equal(put, want) {
		t.Fatalf("put were %q, want %q", put, want)
	}
	if n := w.rowsLeft(); n != 6 {
		t.Fatalf("%d rows for 3 letters", n)
	}
}

func TestDeleting(t *testing.T) {
	w := newWorld(t, Config{})
	w.useQueue("https://sqs.us-east-1.amazonaws.com/1/q")
	for i := range 2500 {
		w.keepLetter([]string{"contact", "order"}[i%2], fmt.Sprint(i))
	}
	_, ids := w.list("", 3)
	del := func(in api.DeleteDeadLettersRequest, want int64) {
		t.Helper()
		in.DomainName = api.Ptr("d")
		out, err := w.DeleteDeadLetters(t.Context(), &in)
		if err != nil || *out.Deleted != want {
			t.Fatalf("%v deleted, %v, want %d", out, err, want)
		}
	}
	del(api.DeleteDeadLettersRequest{DeadLetterIds: ids[:3]}, 3)
	del(api.DeleteDeadLettersRequest{ObjectTypeName: api.Ptr("order")}, 1249)
	del(api.DeleteDeadLettersRequest{All: api.Ptr(true)}, 1248)
	if n := w.rowsLeft(); n != 0 {
		t.Fatalf("%d rows are left", n)
	}
	for _, in := range []api.DeleteDeadLettersRequest{
		{}, {All: api.Ptr(false)}, {All: api.Ptr(true), ObjectTypeName: api.Ptr("order")}, {All: api.Ptr(true), DeadLetterIds: ids[:1]},
		{DeadLetterIds: ids[:1], ObjectTypeName: api.Ptr("order")},
	} {
		in.DomainName = api.Ptr("d")
		if _, err := w.DeleteDeadLetters(t.Context(), &in); !errors.Is(err, fault.BadRequest) {
			t.Errorf("%+v: %v", in, err)
		}
	}
}

// fakeQueue takes messages, but for those that no names.
type fakeQueue struct {
	got   []Envelope
	calls int
	down  error
	no    func(body string) bool
}

func (q *fakeQueue) Send(_ context.Context, url string, batch []Envelope) (map[int]error, error) {
	q.calls++
	if q.down != nil {
		return nil, q.down
	}
	size := 0
	failed := map[int]error{}
	for i, e := range batch {
		size += len(e.Body)
		if q.no != nil && q.no(e.Body) {
			failed[i] = errors.New("no")
			continue
		}
		q.got = append(q.got, e)
	}
	if len(batch) > 10 || size > 256<<10 || url != "https://queue" {
		return nil, fmt.Errorf("%d messages of %d bytes to %s", len(batch), size, url)
	}
	return failed, nil
}

func (w *world) sendAll(q *fakeQueue) error {
	w.Queue = q
	w.once.Do(func() {})
	_, err := w.SendAll(w.t.Context(), &job.Task{Work: job.Work{Incarnation: w.rec.Incarnation}})
	return err
}

// Letters are sent in few calls, once; a queue that is down, refuses some, or whose acknowledgement is lost, loses none.
func TestSending(t *testing.T) {
	w := newWorld(t, Config{})
	w.keepLetter("contact", "before there was a queue")
	woken := 0
	w.Wake = func(store.Incarnation) { woken++ }
	w.useQueue("https://queue")
	idle := func(want bool) {
		t.Helper()
		if got, err := w.Idle(t.Context(), w.rec.Incarnation); got != want || err != nil {
			t.Fatalf("idle: %v, %v", got, err)
		}
	}
	idle(true)
	for i := range 25 {
		w.keepLetter("contact", fmt.Sprintf(`{"n":%d}`, i))
	}
	idle(false)
	if woken != 25 {
		t.Errorf("the sender was woken %d times", woken)
	}

	q := &fakeQueue{down: errors.New("connection refused")}
	if err := w.sendAll(q); err == nil || q.calls != 1 {
		t.Fatalf("%v after %d calls", err, q.calls)
	}
	q = &fakeQueue{no: func(body string) bool { return strings.Contains(body, `{\"n\":7}`) }}
	if err := w.sendAll(q); err == nil || len(q.got) != 24 || q.calls != 3 {
		t.Fatalf("%v, %d sent by %d calls", err, len(q.got), q.calls)
	}
	idle(false)
	q.no = nil
	w.store.Before(func(op faulty.Op, p store.Partition) error {
		if op == faulty.Write && strings.HasPrefix(p.Key, partitionPrefix) {
			return errors.New("injected")
		}
		return nil
	})
	if err := w.sendAll(q); err == nil || len(q.got) != 25 {
		t.Fatalf("%v, %d sent", err, len(q.got))
	}
	w.store.Before(nil)
	if err := w.sendAll(q); err != nil || len(q.got) != 26 || q.got[25].ID != q.got[24].ID {
		t.Fatalf("%v, %d sent", err, len(q.got)) // it had it, and gets it again
	}
	idle(true)
	if got, _ := w.list("", 500); len(got) != 26 {
		t.Errorf("%d letters are left", len(got))
	}

	// Deleted letters are not sent, nor those of a domain whose queue was taken away.
	w.keepLetter("contact", "gone")
	if _, err := w.DeleteDeadLetters(t.Context(), &api.DeleteDeadLettersRequest{DomainName: api.Ptr("d"), All: api.Ptr(true)}); err != nil {
		t.Fatal(err)
	}
	w.keepLetter("contact", "kept")
	w.useQueue("")
	idle(true)
	q = &fakeQueue{}
	if err := w.sendAll(q); err != nil || q.calls != 0 {
		t.Fatal(err, q.calls)
	}
	w.useQueue("https://queue")
	if err := w.sendAll(q); err != nil || len(q.got) != 1 || !strings.Contains(q.got[0].Body, "kept") {
		t.Fatal(err, q.got)
	}
}

// Messages are what docs/operations.md says, and what SQS takes: no larger than 256 KiB, without U+FFFE and U+FFFF.
func TestMessages(t *testing.T) {
	rec := &domain.Record{Name: "shop"}
	m := &meta{id: letterID{0, 6, 0x4c, 1}, Type: "contact", Reason: "No profile has its keys.", Bytes: 3}
	text, err := body(rec, m, "{\"a\":\"\uFFFE\uFFFF\x7f😀\"}")
	want := `{"Version":1,"DomainName":"shop","DeadLetterId":"00064c01000000000000000000000000","ReceivedAt":"2026-03-02T02:03:58.942208Z","ObjectTypeName":"contact",` +
		`"Reason":"No profile has its keys.","ObjectBytes":3,"Object":"{\"a\":\"\ufffe\uffff` + "\x7f" + `😀\"}"}`
	if err != nil || text != want {
		t.Errorf("%s\nwant\n%s\n%v", text, want, err)
	}
	for _, object := range []string{strings.Repeat("x", 256<<10), strings.Repeat("\uFFFF", 60<<10), strings.Repeat(`"`, 140<<10)} {
		text, err := body(rec, m, object)
		if err != nil || len(text) > 1000 || strings.Contains(text, `"Object":`) || !strings.Contains(text, `"ObjectBytes":3`) {
			t.Errorf("a large object makes a message of %d bytes, %v", len(text), err)
		}
	}
}
