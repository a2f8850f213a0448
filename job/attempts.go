package job

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"kith/store"
)

// How often work is tried. All counts begin anew when the work has published a row that was not there before: work that gets on is
// never given up.
const (
	// sameFailures in a row end the work: the next attempt would fail in the same way.
	sameFailures = 3
	// anyFailures in all end it, whatever their causes.
	anyFailures = 10
	// crashes are attempts during which the process died by itself (Runner.Died says of what).
	crashes = 3
	// silentEnds are attempts during which the process died of something that left no word, so that nobody can tell whether the
	// work was to blame: a SIGKILL by an operator, a supervisor or the system, a power failure.
	silentEnds = 12
	// freeSilentEnds may follow each other at once. Then the work pauses before each attempt, twice as long every time: a process
	// that is killed from outside dies in these pauses too, where it counts as nothing; one that the work kills does not.
	freeSilentEnds = 5
	// gaveUpInVain are failures to record that work was given up; after that it ends unrecorded, so that its lane goes on.
	gaveUpInVain = 3
)

// attempts is the row beside a lease that says how often the work was tried.
type attempts struct {
	// Kind is that of the work. Kinds share the row where they share an id, one after the other.
	Kind string `json:",omitzero"`
	// Progress tells the rows that the work had published when the counts began.
	Progress string `json:",omitzero"`
	// Open are the takings that have begun and have not ended: each writes its name before it begins, in the Swap that takes the
	// lease, and strikes it out when it ends, however it ends. So a name that stays is that of a process that died (or hangs).
	Open []taking `json:",omitempty"`
	// Failed counts the attempts that ended with an error, Same those at the end that had the cause Cause.
	Failed int    `json:",omitzero"`
	Same   int    `json:",omitzero"`
	Cause  string `json:",omitzero"`
	// Away counts the attempts in a row that ended because an engine was not available. They are only put off.
	Away int `json:",omitzero"`
	// InVain counts the failures to give the work up.
	InVain int `json:",omitzero"`
	// Ended is when standing work ended last, by the time of day of the node that ran it.
	Ended int64 `json:",omitzero"`
}

// taking is one taking of a lease.
type taking struct {
	Name string // owner/life of the process/number
	// Judged says that the owner's next life has looked at it, Died what its process died of, if that is known.
	Judged bool   `json:",omitzero"`
	Died   string `json:",omitzero"`
}

var attemptsKey = []byte("attempts")

func readAttempts(ctx context.Context, s store.Store, p store.Partition) (a attempts, version uint64, err error) {
	row, err := s.Get(ctx, p, attemptsKey)
	if errors.Is(err, store.ErrNotFound) {
		return a, 0, nil
	}
	if err != nil {
		return a, 0, err
	}
	if err := json.Unmarshal(row.Value, &a); err != nil {
		return a, 0, fmt.Errorf("attempts: %w", err)
	}
	return a, row.Version, nil
}

func (a attempts) put(version uint64) (store.Swap, error) {
	value, err := json.Marshal(a)
	return store.Swap{Key: attemptsKey, Value: value, Expect: version}, err
}

// progress names the rows that work has published: it changes when a row comes that was not there before, and not when one is
// written again, so that work which does the same over and over does not seem to get on.
func progress(ctx context.Context, s store.Store, p store.Partition) (string, error) {
	h, n := fnv.New64a(), 0
	for row, err := range s.Scan(ctx, p, store.Range{}) {
		if err != nil {
			return "", err
		}
		if slices.Equal(row.Key, leaseKey) || slices.Equal(row.Key, attemptsKey) || strings.HasPrefix(string(row.Key), PartPrefix) {
			continue
		}
		n++
		_, _ = h.Write(append(row.Key, 0))
	}
	return fmt.Sprintf("%d/%x", n, h.Sum64()), nil
}

// of forgets what was counted of another kind of work: its process died when it had ended, and before it could remove the row.
func (a attempts) of(kind string) attempts {
	if a.Kind == kind {
		return a
	}
	return attempts{Kind: kind, Ended: a.Ended}
}

// since forgets what was counted if the work has got on.
func (a attempts) since(progress string) attempts {
	if a.Progress == progress {
		return a
	}
	return attempts{Kind: a.Kind, Progress: progress, Ended: a.Ended}
}

// judge looks at the takings that seem open to a process that has no such work running: its own have ended, although that could
// not be written; those of the owner's former lives ended with the process, of what it died. changed says that something is new.
func (a attempts) judge(owner, life, died string) (out attempts, changed bool) {
	out = a
	out.Open = nil
	for _, t := range a.Open {
		switch {
		case strings.HasPrefix(t.Name, owner+"/"+life+"/"):
			continue
		case strings.HasPrefix(t.Name, owner+"/") && !t.Judged:
			t.Judged, t.Died, changed = true, died, true
		}
		out.Open = append(out.Open, t)
	}
	return out, changed
}

// strike takes a taking out that has ended.
func (a attempts) strike(name string) attempts {
	a.Open = slices.DeleteFunc(slices.Clone(a.Open), func(t taking) bool { return t.Name == name })
	return a
}

// failed counts an attempt that failed.
func (a attempts) failed(cause string) attempts {
	a.Failed++
	a.Same++
	if a.Cause != cause {
		a.Same, a.Cause = 1, cause
	}
	a.Away = 0
	return a
}

// DiedError says that work was given up because the process died again and again while it did it.
type DiedError struct {
	Times int
	Of    string // what it died of, or "": that left no word
}

func (e *DiedError) Error() string {
	if e.Of == "" {
		return fmt.Sprintf("the process ended %d times while it did this, and left no word", e.Times)
	}
	return fmt.Sprintf("the process died %d times while it did this: %s", e.Times, e.Of)
}

// over returns why the work must not be tried again, or nil.
func (a attempts) over() error {
	of := map[string]int{}
	for _, t := range a.Open {
		if t.Died == "" {
			continue
		}
		if of[t.Died]++; of[t.Died] >= crashes {
			return &DiedError{of[t.Died], t.Died}
		}
	}
	switch {
	case len(a.Open) >= silentEnds:
		return &DiedError{Times: len(a.Open)}
	case a.Same >= sameFailures, a.Failed >= anyFailures, a.InVain > 0:
		return errors.New(a.Cause)
	}
	return nil
}

// pause is how long the work rests, as it is, before the next attempt.
func (a attempts) pause(base time.Duration) time.Duration {
	if n := len(a.Open) - freeSilentEnds; n > 0 {
		return min(base<<min(n-1, 10), time.Minute)
	}
	return 0
}

var variable = regexp.MustCompile(`[0-9a-f]*[0-9][0-9a-f]*`)

// causeOf is the text of an error without what differs from one attempt to the next: numbers and the names of blobs.
func causeOf(err error) string {
	text := variable.ReplaceAllString(err.Error(), "#")
	return text[:min(len(text), 500)]
}
