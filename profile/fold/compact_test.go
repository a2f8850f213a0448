package fold

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"kith/schema"
)

const second = int64(time.Second / time.Microsecond)

// TestCompactionKeepsTheFold writes random histories into two worlds, of which one compacts and the other keeps everything, and compares
// what callers see of the two, now and at later times. KITH_CASES sets the number of histories, KITH_CASE names one that failed.
func TestCompactionKeepsTheFold(t *testing.T) {
	from, cases := uint64(0), uint64(1500)
	if text := os.Getenv("KITH_CASES"); text != "" {
		cases, _ = strconv.ParseUint(text, 10, 64)
	}
	if text := os.Getenv("KITH_CASE"); text != "" {
		from, _ = strconv.ParseUint(text, 10, 64)
		cases = 1
	}
	kept, all := 0, 0
	for n := from; n < from+cases; n++ {
		h := newHistory(n)
		if err := h.run(12 + h.rng.IntN(30)); err != nil {
			t.Fatalf("KITH_CASE=%d: %v\n%s", n, err, strings.Join(h.log, "\n"))
		}
		for _, p := range h.profiles {
			all += len(p.full)
			kept += len(p.head.Values)
			for _, part := range p.parts {
				all += len(part.Values)
			}
			for _, part := range p.compacted {
				kept += len(part.Values)
			}
		}
	}
	t.Logf("%d values were written in %d histories, %d are kept", all, cases, kept)
	if cases > 1000 && kept > all*3/4 {
		t.Error("hardly anything is compacted: this test shows little")
	}
}

// history is a random history of some profiles, in two worlds.
type history struct {
	rng      *rand.Rand
	now      int64
	lastJob  int64 // the job that holds the turn
	undoable map[int64]bool
	merges   uint32
	texts    int
	profiles []*twin
	log      []string
}

// twin is a profile in both worlds.
type twin struct {
	id    ID
	state State
	last  int64 // the profile's time
	// The world that keeps everything.
	full    []Value
	objects map[string]int // the object that said a text
	parts   []Part
	expires int64
	// The world that compacts.
	head      Head
	compacted []Part
}

func newHistory(seed uint64) *history {
	h := &history{rng: rand.New(rand.NewPCG(seed, 77)), now: 1000 * second, undoable: map[int64]bool{}}
	for i := range 2 + h.rng.IntN(3) {
		h.profiles = append(h.profiles, &twin{id: ID{byte(i + 1)}, objects: map[string]int{}})
	}
	return h
}

func (h *history) note(format string, args ...any) {
	h.log = append(h.log, fmt.Sprintf("%5d  ", h.now/second)+fmt.Sprintf(format, args...))
}

// some returns a profile, every other time the first, so that much happens to one.
func (h *history) some() *twin { return h.profiles[h.rng.IntN(2)*h.rng.IntN(len(h.profiles))] }

// expiry returns when something that is written now expires: few moments, so that much expires together.
func (h *history) expiry() int64 {
	const step = 100 * second
	return (h.now/step+1+h.rng.Int64N(5))*step + h.rng.Int64N(2)
}

func (h *history) of(id ID) *twin { return h.profiles[id[0]-1] }

// run makes events happen, and compares the worlds in between. Each history has its own mix of events, so that some see much of one and
// nothing of another.
func (h *history) run(events int) error {
	kinds := []struct {
		weight int
		do     func()
	}{
		{9, h.write}, {1, h.deleteObject}, {4, h.imports}, {1, h.undo}, {2, h.compactImports}, {2, h.merge}, {1, h.unmerge},
		{1, func() { h.now += h.rng.Int64N(200 * second) }},
	}
	var mix []func()
	for _, k := range kinds {
		for range k.weight * h.rng.IntN(4) {
			mix = append(mix, k.do)
		}
	}
	if h.rng.IntN(2) == 0 {
		h.merge()
	}
	for n := range events {
		h.now += h.rng.Int64N(15*second) + 10
		if len(mix) > 0 {
			mix[h.rng.IntN(len(mix))]()
		}
		if n%10 == 9 {
			if err := h.compare(h.now); err != nil {
				return err
			}
		}
	}
	for _, later := range []int64{0, 1, 7, 50, 200, 400} {
		if err := h.compare(h.now + later*second + h.rng.Int64N(20*second)); err != nil {
			return err
		}
	}
	return nil
}

var compactAttrs = []schema.Attr{first, {ID: schema.BillingAddress + 1}, {ID: schema.BillingAddress + 2}}

// values returns values of some attributes, in order.
func (h *history) values(kind Kind, stamp Stamp, expires int64) (values []Value) {
	for _, a := range compactAttrs {
		if h.rng.IntN(3) > 0 {
			h.texts++
			v := Value{Attr: a, Kind: kind, Text: fmt.Sprint(string(rune(kind)), h.texts), Stamp: stamp, Expires: expires}
			if kind == Manual && h.rng.IntN(4) == 0 {
				v.Text, v.Blank = "", true
			}
			values = append(values, v)
		}
	}
	return values
}

// write is an API write to a main profile.
func (h *history) write() {
	p := h.some()
	if p.state.Into != nil {
		return
	}
	p.last = WriteTime(h.now, h.newest(p), h.lastJob)
	expires := h.expiry()
	kind, stamp := Manual, Stamp{Time: p.last}
	if h.rng.IntN(3) > 0 {
		kind, stamp.Priority = Object, max(0, h.rng.Int64N(5)-2)
		if h.rng.IntN(2) == 0 {
			stamp.SourceTime = p.last - h.rng.Int64N(100*second)
		}
	}
	values := h.values(kind, stamp, expires)
	object := h.rng.IntN(4)
	for _, v := range values {
		p.objects[v.Text] = object
	}
	h.note("%v writes %c %+v", p.id[0], kind, values)
	p.full = append(p.full, values...)
	p.expires = max(p.expires, expires)
	p.head.Time, p.head.Expires = p.last, p.expires
	p.head.Write(values, h.barriers(p))
}

// newest is the latest time in the person of a main profile.
func (h *history) newest(p *twin) int64 {
	return max(p.last, h.member(p, h.now, false).Newest())
}

func (h *history) barriers(p *twin) Barriers {
	return h.member(p, h.now, true).Barriers(h.now, h.lastJob)
}

// mergeTimes lists the merges of a profile, and of its main ones.
func (h *history) mergeTimes(p *twin) (times []int64) {
	for {
		times = p.state.MergeTimes(times)
		if p.state.Into == nil {
			slices.Sort(times)
			return times
		}
		p = h.of(p.state.Into.Main)
	}
}

// deleteObject takes back all that an object has said: the head is rebuilt from what the others say.
func (h *history) deleteObject() {
	p := h.some()
	if p.state.Into != nil {
		return
	}
	object := h.rng.IntN(4)
	h.note("%v loses object %d", p.id[0], object)
	p.full = slices.DeleteFunc(p.full, func(v Value) bool { return v.Kind == Object && p.objects[v.Text] == object })
	p.head.Rebuild(slices.DeleteFunc(slices.Clone(p.full), func(v Value) bool { return v.Kind == Manual }), h.barriers(p))
}

// imports lets the running job write to a profile, or another one begin.
func (h *history) imports() {
	if h.lastJob == 0 || h.rng.IntN(4) == 0 {
		h.takeTurn()
		h.undoable[h.lastJob] = true
	}
	if !h.undoable[h.lastJob] { // undone, or a compaction
		return
	}
	p := h.some()
	row := h.rng.Int64N(1000)
	stamp := Stamp{Time: h.lastJob, Row: row}
	c := &Contribution{Stamp: stamp, Expires: h.expiry(), Values: h.values(Import, stamp, 0)}
	if h.rng.IntN(3) == 0 {
		c.Private = []Key{{"upload:x", fmt.Sprint(h.rng.IntN(3))}}
	}
	part := Part{Source: fmt.Sprint("i", h.lastJob, "/", row), Contribution: c}
	if slices.ContainsFunc(p.parts, func(o Part) bool { return o.Source == part.Source }) {
		return
	}
	h.note("%v is imported %+v", p.id[0], *c)
	p.parts, p.compacted = append(p.parts, part), append(p.compacted, part)
}

// takeTurn gives the turn to a job whose node's clock may be behind.
func (h *history) takeTurn() {
	h.lastJob = max(h.lastJob+1, h.now-h.rng.Int64N(19)*second)
	for slices.ContainsFunc(h.profiles, func(p *twin) bool {
		return slices.ContainsFunc(p.full, func(v Value) bool { return v.Stamp.Time == h.lastJob }) || slices.Contains(h.mergeTimes(p), h.lastJob)
	}) {
		h.lastJob++
	}
	h.note("job %d", h.lastJob)
}

func (h *history) undo() {
	jobs := slices.Sorted(maps.Keys(h.undoable))
	if len(jobs) == 0 {
		return
	}
	job := jobs[h.rng.IntN(len(jobs))]
	delete(h.undoable, job)
	h.note("job %d is undone", job)
	for _, p := range h.profiles {
		of := func(part Part) bool { return strings.HasPrefix(part.Source, fmt.Sprint("i", job, "/")) }
		p.parts, p.compacted = slices.DeleteFunc(p.parts, of), slices.DeleteFunc(p.compacted, of)
	}
}

// compactImports compacts some contributions of a profile, whose jobs can't be undone any more.
func (h *history) compactImports() {
	p := h.some()
	h.takeTurn()
	var old, rest []Part
	for _, part := range p.compacted {
		if part.Expires <= h.now { // the sweep has been here
			continue
		}
		if h.rng.IntN(4) == 0 {
			rest = append(rest, part)
		} else {
			old = append(old, part)
		}
	}
	p.compacted = rest
	for i, group := range BetweenMerges(old, h.mergeTimes(p)) {
		if len(group) < 2 {
			p.compacted = append(p.compacted, group...)
			continue
		}
		for _, part := range group {
			var at int64
			if _, err := fmt.Sscanf(part.Source, "i%d/", &at); err == nil {
				delete(h.undoable, at)
			}
		}
		made := Part{Source: fmt.Sprint("f", h.lastJob, "/", i), Contribution: CompactImports(group, h.now)}
		h.note("%v compacts %d imports into %+v", p.id[0], len(group), *made.Contribution)
		p.compacted = append(p.compacted, made)
	}
}

// merge makes one or two main profiles members of another.
func (h *history) merge() {
	main := h.some()
	var from []ID
	at := WriteTime(h.now, h.newest(main), h.lastJob)
	for range 1 + h.rng.IntN(2) {
		if p := h.some(); p != main && p.state.Into == nil && !slices.Contains(from, p.id) {
			from = append(from, p.id)
			at = max(at, h.newest(p)+1)
		}
	}
	if main.state.Into != nil || len(from) == 0 {
		return
	}
	h.merges++
	g := Merge{ID: NewMergeID(at, h.merges), At: at, From: from, Fields: map[string]ID{}}
	for _, field := range []string{"FirstName", "BillingAddress"} {
		if n := h.rng.IntN(4); n <= len(from) {
			g.Fields[field] = append([]ID{main.id}, from...)[n]
		}
	}
	h.note("merge %d at %d: %v into %v, %v", h.merges, at, from, main.id[0], g.Fields)
	main.state.Merges = append(main.state.Merges, g)
	for _, id := range from {
		h.of(id).state.Into = &Link{Merge: g.ID, Main: main.id, At: at}
	}
}

// unmerge takes any merge back.
func (h *history) unmerge() {
	p := h.some()
	if len(p.state.Merges) == 0 {
		return
	}
	g := p.state.Merges[h.rng.IntN(len(p.state.Merges))]
	h.note("merge %v is taken back", g.ID)
	p.state.Unlink(g.ID)
	for _, id := range g.From {
		h.of(id).state.Unlink(g.ID)
	}
}

// member returns what is visible of a profile and its members in one of the worlds, as read from its rows.
func (h *history) member(p *twin, now int64, compacted bool) *Member {
	m := &Member{ID: p.id, State: &p.state, Of: map[ID]*Member{}}
	head, parts := Head{Time: p.last, Expires: p.expires, Values: slices.Clone(p.full)}, p.parts
	if compacted {
		head, parts = p.head, p.compacted
	}
	slices.SortStableFunc(head.Values, byAttr)
	if view, err := DecodeHeadView(head.Append(nil), now); err != nil {
		panic(err)
	} else if view.Expires != 0 {
		m.Head = view
	}
	for _, part := range parts {
		c := &Contribution{}
		if err := c.Decode(part.Append(nil), now); err != nil {
			panic(err)
		}
		if c.Expires > now {
			m.Parts = append(m.Parts, Part{Source: part.Source, Contribution: c})
		}
	}
	for _, g := range p.state.Merges {
		for _, id := range g.From {
			m.Of[id] = h.member(h.of(id), now, compacted)
		}
	}
	return m
}

// compare says how the two worlds differ at a time.
func (h *history) compare(now int64) error {
	for _, p := range h.profiles {
		if p.state.Into != nil {
			continue
		}
		want, got := show(h.member(p, now, false).Profile()), show(h.member(p, now, true).Profile())
		if got != want {
			return fmt.Errorf("profile %v at %d\nwith compaction: %s\nwithout:         %s", p.id[0], now/second, got, want)
		}
	}
	return nil
}

// show returns all that a profile shows.
func show(p *Profile) string {
	if p == nil {
		return "nothing"
	}
	var b strings.Builder
	add := func(values []Value) {
		for _, v := range values {
			fmt.Fprintf(&b, " %s=%s%+v", v.Attr.Path(), v.Text, v.Stamp)
		}
		b.WriteString(";")
	}
	add(p.Values)
	for _, values := range p.Branches {
		add(values)
	}
	private := slices.Clone(p.Private)
	slices.SortFunc(private, func(a, b Key) int { return cmp.Compare(a.Value, b.Value) })
	fmt.Fprintf(&b, " %v until %d", slices.Compact(private), p.Expires)
	return b.String()
}
