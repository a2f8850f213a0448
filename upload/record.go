package upload

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/zeebo/xxh3"

	"kith/api"
	"kith/blob"
	"kith/domain"
	"kith/fault"
	"kith/internal/restjson"
	"kith/job"
	"kith/store"
	"kith/upload/stage"
)

// Kind is the kind of background work of an upload job.
const Kind = "upload"

// Job is what is stored of an upload job. Times are microseconds.
type Job struct {
	ID      string `json:"-"`
	Version uint64 `json:"-"` // of the row

	Domain      string
	DisplayName string
	Fields      map[string]api.ObjectTypeField
	UniqueKey   string
	DataExpiry  int32
	CreatedAt   int64
	Token       []byte // the client token, sealed; purpose "client token", context the job id

	Status       api.UploadJobStatus
	StatusReason api.StatusReason `json:",omitzero"`
	// Reason says in a sentence why the job failed. It holds nothing of the customers' data.
	Reason      string `json:",omitzero"`
	StartedAt   int64  `json:",omitzero"`
	CompletedAt int64  `json:",omitzero"`
	// Took is how long the work took; 0 if it was interrupted, or has waited for room on the disk.
	Took int64 `json:",omitzero"`

	File *File `json:",omitzero"`
	// Options say how the file is to be read, where the caller knows it.
	Options Options `json:",omitzero"`

	// Time is the job's write time, taken when it got the turn.
	Time int64 `json:",omitzero"`
	// Country is the one in which the file's phone numbers are written, as the options or the domain said then; "": nobody knows.
	Country string `json:",omitzero"`
	// Applying is set before the first profile is written.
	Applying bool `json:",omitzero"`
	// Final is set when the counters stand.
	Final    bool `json:",omitzero"`
	Counters stage.Counters

	// AmbiguousRejects is the blob of the rows that were rejected while resolving; it is written when the counters stand. KeptRejects
	// is how many rejects there are in it and in that of the rows that were rejected while reading.
	AmbiguousRejects string `json:",omitzero"`
	KeptRejects      int64  `json:",omitzero"`

	// Incomplete says that the job was given up while it wrote: the counters say what would have been written in all.
	Incomplete bool `json:",omitzero"`

	// FeedSince is up to where the feed was settled before the job's first read of the index, AppliedAt when everything it writes was
	// there, and Merged how many profiles that it created were merged with such as objects created meanwhile.
	FeedSince int64 `json:",omitzero"`
	// Known says that every node knows of the job's time and key.
	Known     bool  `json:",omitzero"`
	AppliedAt int64 `json:",omitzero"`
	Merged    int64 `json:",omitzero"`

	// UndoAt is when an undo was asked for, UndoneAt when it was complete.
	UndoAt   int64 `json:",omitzero"`
	UndoneAt int64 `json:",omitzero"`
	// UndoFailedAt is when an undo was given up, UndoReason why; asking again clears both.
	UndoFailedAt int64  `json:",omitzero"`
	UndoReason   string `json:",omitzero"`
	// UndoTime is what the undo writes with, a time like a job's.
	UndoTime int64 `json:",omitzero"`
	// CompactedAt is set before the first contribution of the job is compacted; the job can't be undone any more.
	CompactedAt int64 `json:",omitzero"`

	// Tried says that the job was given up after a dry run: it was never meant to import.
	Tried bool `json:",omitzero"`

	FileDeletedAt    int64 `json:",omitzero"`
	RejectsDeletedAt int64 `json:",omitzero"`

	// Calls are those that changed the record last, its worker's excepted.
	Calls store.Calls `json:",omitzero"`
}

// Options are what a caller says about a file; what is not said is found out.
type Options struct {
	Encoding   string `json:",omitzero"`
	Delimiter  string `json:",omitzero"` // one ASCII character
	HeaderLine int64  `json:",omitzero"` // physical line, or row of a sheet, from 1
	Sheet      string `json:",omitzero"` // of a workbook, by its name or its number, from 1
	Country    string `json:",omitzero"` // in which phone numbers are written, two letters
	// TooLong says what becomes of values that are longer than their attributes; they reject their rows if it does not.
	TooLong api.TooLongValues `json:",omitzero"`
}

// File is the last completely uploaded file: one blob, or several that follow each other.
type File struct {
	Blob       string    `json:",omitzero"`
	Segments   []Segment `json:",omitzero"`
	Size       int64
	UploadedAt int64
}

// blobs names the blobs of the file, in order.
func (f *File) blobs() []string {
	if f.Segments == nil {
		return []string{f.Blob}
	}
	var names []string
	for _, s := range f.Segments {
		names = append(names, s.Blob)
	}
	return names
}

// has says whether a blob is part of the file.
func (f *File) has(name string) bool { return f != nil && slices.Contains(f.blobs(), name) }

// id tells the file apart from all others of the job.
func (f *File) id() string { return f.blobs()[0] }

// trial tells what a dry run of the job tries apart from whatever else it may be made to do; "" without a file.
func (j *Job) trial() string {
	if j.File == nil {
		return ""
	}
	h := xxh3.New()
	text, _ := json.Marshal([]any{j.Fields, j.UniqueKey, j.Options}, json.Deterministic(true)) // plain structures always have a JSON
	_, _ = h.Write(text)
	return fmt.Sprintf("%s/%016x", j.File.id(), h.Sum64())
}

var stateKey, readKey = []byte("state"), []byte("read")

const runPrefix = "run/"

func runKey(bucket int) []byte { return fmt.Appendf(nil, "%s%05d", runPrefix, bucket) }

func listPartition(inc store.Incarnation) store.Partition {
	return store.Partition{Table: store.Jobs, Incarnation: inc, Key: "upload-jobs"}
}

// listKey orders jobs newest first.
func listKey(createdAt int64, id string) []byte {
	return append(binary.BigEndian.AppendUint64(nil, math.MaxUint64-uint64(createdAt)), id...)
}

func blobDir(inc store.Incarnation, id string) string { return inc.Dir() + id + "/" }

// load returns a job, or fault.NotFound.
func (s *Service) load(ctx context.Context, rec *domain.Record, id string) (*Job, error) {
	row, err := s.Store.Get(ctx, job.Partition(rec.Incarnation, id), stateKey)
	if errors.Is(err, store.ErrNotFound) {
		return nil, fault.NotFoundf("Upload job %s is not found in domain %s.", id, rec.Name)
	}
	if err != nil {
		return nil, fmt.Errorf("read an upload job: %w", err)
	}
	return decodeJob(id, row)
}

// find returns a domain and a job of it; the domain is looked for first.
func (s *Service) find(ctx context.Context, domainName, id *string) (*domain.Record, *Job, error) {
	rec, err := s.Domains.Lookup(ctx, *domainName)
	if err != nil {
		return nil, nil, err
	}
	j, err := s.load(ctx, rec, *id)
	return rec, j, err
}

func decodeJob(id string, row store.Row) (*Job, error) {
	j := &Job{ID: id, Version: row.Version}
	if err := json.Unmarshal(row.Value, j); err != nil {
		return nil, fmt.Errorf("upload job record: %w", err)
	}
	return j, nil
}

func (j *Job) swap() (store.Swap, error) {
	value, err := json.Marshal(j, json.Deterministic(true))
	return store.Swap{Key: stateKey, Value: value, Expect: j.Version}, err
}

// errUnchanged makes change return the job as it is.
var errUnchanged = errors.New("nothing to change")

// change loads a job, changes it and writes it back, with other rows of its partition, again when somebody else was faster. change may be called
// several times. The job that is returned may hold what others have changed since.
func (s *Service) change(ctx context.Context, rec *domain.Record, id string, change func(*Job) error, also ...store.Swap) (*Job, error) {
	call := store.NewCall()
	for {
		j, err := s.load(ctx, rec, id)
		if err != nil {
			return nil, err
		}
		if err := change(j); errors.Is(err, errUnchanged) {
			return j, nil
		} else if err != nil {
			return nil, err
		}
		j.Calls = j.Calls.With(call)
		op, err := j.swap()
		if err != nil {
			return nil, err
		}
		j.Version, err = store.Certain(ctx, s.Store, job.Partition(rec.Incarnation, id), append([]store.Swap{op}, also...), changedBy(call))
		if errors.Is(err, store.ErrConflict) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("write an upload job: %w", err)
		}
		if j.Version == 0 {
			return s.load(ctx, rec, id)
		}
		return j, nil
	}
}

// anything tells that a row with a random name has been put.
func anything([]byte) bool { return true }

// changedBy tells records of jobs that a call has changed.
func changedBy(call uint64) func([]byte) bool {
	return func(value []byte) bool {
		j := &Job{}
		return json.Unmarshal(value, j) == nil && j.Calls.Has(call)
	}
}

// published returns what the stages of a job have published.
func (s *Service) published(ctx context.Context, inc store.Incarnation, id string) (*stage.ReadResult, map[int]stage.RunResult, error) {
	var read *stage.ReadResult
	runs := map[int]stage.RunResult{}
	for row, err := range s.Store.Scan(ctx, job.Partition(inc, id), store.Range{Start: readKey, End: store.After([]byte(runPrefix))}) {
		if err != nil {
			return nil, nil, err
		}
		if string(row.Key) == string(readKey) {
			read = &stage.ReadResult{}
			if err := json.Unmarshal(row.Value, read); err != nil {
				return nil, nil, err
			}
			continue
		}
		n, err := strconv.Atoi(string(row.Key[len(runPrefix):]))
		if err != nil {
			return nil, nil, fmt.Errorf("run row: %w", err)
		}
		var run stage.RunResult
		if err := json.Unmarshal(row.Value, &run); err != nil {
			return nil, nil, err
		}
		runs[n] = run
	}
	return read, runs, nil
}

// counters returns the job's counters as they stand.
func (s *Service) counters(ctx context.Context, inc store.Incarnation, j *Job) (stage.Counters, error) {
	if j.Final {
		return j.Counters, nil
	}
	read, runs, err := s.published(ctx, inc, j.ID)
	return stage.Sum(read, runs), err
}

// clientToken opens the job's sealed token: the key of the file and of everything the job writes.
func (s *Service) clientToken(j *Job) (key blob.Key, err error) {
	plain, err := s.Sealer.Open("client token", j.ID, j.Token)
	if err != nil || len(plain) != len(key) {
		return key, fmt.Errorf("client token of upload job %s: %w: was the master key changed?", j.ID, err)
	}
	return blob.Key(plain), nil
}

// undoing says that an undo was asked for and has neither been completed nor given up.
func (j *Job) undoing() bool { return j.UndoAt != 0 && j.UndoneAt == 0 && j.UndoFailedAt == 0 }

func (j *Job) idBytes() (b [16]byte) {
	_, _ = hex.Decode(b[:], []byte(j.ID))
	return b
}

func wireTime(micros int64) *restjson.Time {
	if micros == 0 {
		return nil
	}
	return restjson.At(time.UnixMicro(micros).UTC())
}

// wireMilliseconds is a length of time in microseconds as the wire has it; none for 0.
func wireMilliseconds(us int64) *int64 {
	if us == 0 {
		return nil
	}
	return api.Ptr((us + 999) / 1000)
}
