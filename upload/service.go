package upload

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"kith/access"
	"kith/api"
	"kith/blob"
	"kith/domain"
	"kith/fault"
	"kith/internal/extsort"
	"kith/job"
	"kith/profile"
	"kith/profile/change"
	"kith/profile/write"
	"kith/sigv4"
	"kith/store"
	"kith/upload/stage"
)

// Service owns the upload jobs.
type Service struct {
	Store    store.Store
	Blobs    blob.Store
	Domains  *domain.Service
	Profiles *profile.Service
	// Feed is told of imports, and Writer brings them together with what objects created meanwhile.
	Feed   *change.Feed
	Writer *write.Writer
	Sealer *access.Sealer
	Now    func() time.Time
	Log    *slog.Logger
	// Room tells how much of the disk is free; nil is enough.
	Room Room
	// Wake is told when a job waits for its turn.
	Wake func()

	Config

	progress sync.Map // job id → *progress, of the jobs this node works on
	dryRuns  sync.Map // job id → *dryRun, of the dry runs on this node

	lookingOnce sync.Once
	lookingNow  chan struct{}
}

// Config are the operator's settings. Zero values are replaced by the defaults in brackets.
type Config struct {
	URLLife       time.Duration  // of a pre-signed URL [15 minutes]
	MaxFileBytes  int64          // of an uploaded file; 0 is unlimited
	KeepUnstarted time.Duration  // uploaded files of jobs that are not started [URLLife and a day]
	KeepFiles     time.Duration  // uploaded files, after the job's end [7 days]
	KeepRejects   time.Duration  // rejects and runs, after the job's end [30 days]
	BucketBytes   int64          // of the file per bucket [8 MiB; less where nodes share the work]
	MemoryBytes   int64          // bytes of a file's rows that wait in memory [48 MiB of all files]
	TableRows     int64          // rows of a file from which on the engine builds tables aside, if it can [20,000]
	Arena         *extsort.Arena // memory of rows that wait [one of all jobs of the process, of 48 MiB]
	ScratchDir    string         // where rows wait that have no room in memory, in files without a name [the system's folder for temporary files]
	Workers       int            // [number of cores]
	BatchBytes    int            // of the file per unit of parallel reading [256 KiB]
	StrictAWS     bool           // read files and judge them as AWS does
	RoomPollEvery time.Duration  // how soon it is noticed that a full disk has room again [1 s]
	StopPollEvery time.Duration  // how soon a stop by another node is noticed [500 ms]
	CacheWait     time.Duration  // how long other nodes may not know of a changed domain [domain.MaxStaleness]
}

// CreateUploadJob validates the mapping and creates a job.
func (s *Service) CreateUploadJob(ctx context.Context, in *api.CreateUploadJobRequest) (*api.CreateUploadJobResponse, error) {
	rec, err := s.Domains.Lookup(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	if _, err := stage.Compile(in.Fields, *in.UniqueKey); err != nil {
		return nil, err
	}
	var random [48]byte
	_, _ = rand.Read(random[:])
	random[6], random[8] = random[6]&0x0f|0x40, random[8]&0x3f|0x80 // a UUIDv4
	id := hex.EncodeToString(random[:16])
	j := &Job{
		Domain: rec.Name, DisplayName: *in.DisplayName, Fields: in.Fields, UniqueKey: *in.UniqueKey,
		DataExpiry: stage.DefaultExpiry, CreatedAt: s.Now().UnixMicro(), Status: api.UploadJobStatusCreated,
		Token: s.Sealer.Seal("client token", id, random[16:]),
	}
	if in.DataExpiry != nil {
		j.DataExpiry = *in.DataExpiry
	}
	op, err := j.swap()
	if err != nil {
		return nil, err
	}
	// The list row first: one without a record is passed over, a record without one would never be listed.
	err = s.Store.Write(ctx, listPartition(rec.Incarnation), []store.Mutation{{Key: listKey(j.CreatedAt, id), Time: j.CreatedAt}})
	if err != nil {
		return nil, fmt.Errorf("list an upload job: %w", err)
	}
	if _, err := store.Certain(ctx, s.Store, job.Partition(rec.Incarnation, id), []store.Swap{op}, anything); err != nil {
		return nil, fmt.Errorf("create an upload job: %w", err)
	}
	return &api.CreateUploadJobResponse{JobId: &id}, nil
}

type baseURLKey struct{}

// WithBaseURL returns a context that carries the scheme and host a client reaches the server by.
func WithBaseURL(ctx context.Context, base string) context.Context {
	return context.WithValue(ctx, baseURLKey{}, base)
}

// URLKeyID is the access key id in pre-signed upload URLs. Its secret is derived from the master key.
const URLKeyID = "KITHUPLOAD"

// URLSecret returns the secret that signs upload URLs.
func (s *Service) URLSecret() string { return hex.EncodeToString(s.Sealer.Subkey("upload urls")) }

// Headers of SSE-C, as S3 names them.
const (
	HeaderAlgorithm = "x-amz-server-side-encryption-customer-algorithm"
	HeaderKey       = "x-amz-server-side-encryption-customer-key"
	HeaderKeyMD5    = "x-amz-server-side-encryption-customer-key-MD5"
)

// maxURL is the most the model allows.
const maxURL = 2048

// GetUploadJobPath returns a fresh pre-signed URL for the job's file, and the job's client token.
func (s *Service) GetUploadJobPath(ctx context.Context, in *api.GetUploadJobPathRequest) (*api.GetUploadJobPathResponse, error) {
	rec, j, err := s.find(ctx, in.DomainName, in.JobId)
	if err != nil {
		return nil, err
	}
	if j.Status != api.UploadJobStatusCreated {
		return nil, fault.BadRequestf("Upload job %s is %s; a file can be uploaded only while it is CREATED. Create a new job.", j.ID, j.Status)
	}
	key, err := s.clientToken(j)
	if err != nil {
		return nil, err
	}
	base, _ := ctx.Value(baseURLKey{}).(string)
	scheme, host, _ := strings.Cut(base, "://")
	at := s.Now().UTC().Truncate(time.Second)
	region := access.From(ctx).Region
	if region == "" {
		region = "us-east-1"
	}
	life := s.urlLife()
	signed := sigv4.Presign{
		Method: "PUT", Scheme: scheme, Host: host, Path: "/upload/" + url.PathEscape(rec.Name) + "/" + j.ID,
		AccessKeyID: URLKeyID, Secret: s.URLSecret(), Region: region, At: at, Expires: life,
		Headers: map[string]string{HeaderAlgorithm: "AES256"},
	}.URL()
	if len(signed) > maxURL {
		return nil, fault.Internalf("The upload URL would be longer than %d characters; configure a shorter public URL.", maxURL)
	}
	token := base64.StdEncoding.EncodeToString(key[:])
	return &api.GetUploadJobPathResponse{Url: &signed, ClientToken: &token, ValidUntil: wireTime(at.Add(life).UnixMicro())}, nil
}

func (s *Service) urlLife() time.Duration {
	if s.URLLife == 0 {
		return 15 * time.Minute
	}
	return min(s.URLLife, sigv4.MaxExpires)
}

// The ways an upload can be refused, for the edge to word as S3 does.
var (
	ErrNotCreated = errors.New("the upload job takes no file any more")
	ErrWrongKey   = errors.New("the key is not this job's client token")
	ErrTooLarge   = errors.New("the file is over the size limit")
)

// ReceiveFile stores the body as the job's file, sealed with the client's key. verify is asked when the body has ended and
// before the file counts. A body that fails leaves the file there was. It returns the file's entity tag.
func (s *Service) ReceiveFile(ctx context.Context, domainName, id string, key blob.Key, body io.Reader, verify func() error) (etag string, err error) {
	rec, j, err := s.find(ctx, &domainName, &id)
	if err != nil {
		return "", err
	}
	if j.Status != api.UploadJobStatusCreated {
		return "", ErrNotCreated
	}
	token, err := s.clientToken(j)
	if err != nil {
		return "", err
	}
	if subtle.ConstantTimeCompare(token[:], key[:]) != 1 {
		return "", ErrWrongKey
	}
	etag = randomName()
	w, err := s.Blobs.Create(ctx, blobDir(rec.Incarnation, id)+"file-"+etag, key)
	if err != nil {
		return "", err
	}
	defer w.Abort()
	limit := s.FileLimit()
	if limit > 0 {
		body = io.LimitReader(body, limit+1)
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{w}, &roomReader{r: body, s: s}, make([]byte, 256<<10))
	if isFull(err) {
		return "", ErrNoRoom
	}
	if err != nil {
		return "", fmt.Errorf("receive a file: %w", err)
	}
	if limit > 0 && n > limit {
		return "", ErrTooLarge
	}
	if err := verify(); err != nil {
		return "", err
	}
	info, err := w.Commit()
	if err != nil {
		return "", err
	}
	if err := s.setFile(ctx, rec, id, &File{Blob: info.Name, Size: info.Size}, nil); err != nil {
		return "", err
	}
	// Parts of another upload are void now; what can't be deleted is by the next clean-up.
	_ = s.dropPartial(context.WithoutCancel(ctx), rec, id)
	return etag, nil
}

// FileLimit is the most bytes a file may have, or 0.
func (s *Service) FileLimit() int64 {
	if s.StrictAWS && s.MaxFileBytes == 0 {
		return 1<<30 - 1
	}
	return s.MaxFileBytes
}

func randomName() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// StartUploadJob hands the job to the background. Of two concurrent calls one succeeds.
func (s *Service) StartUploadJob(ctx context.Context, in *api.StartUploadJobRequest) (*api.StartUploadJobResponse, error) {
	rec, err := s.Domains.Lookup(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	if err := s.notHalf(ctx, rec, *in.JobId); err != nil {
		return nil, err
	}
	j, err := s.change(ctx, rec, *in.JobId, func(j *Job) error {
		if j.Status != api.UploadJobStatusCreated {
			return fault.BadRequestf("Upload job %s is %s; only a job that is CREATED can be started.", j.ID, j.Status)
		}
		if j.File == nil {
			return j.noFile()
		}
		j.Status, j.StartedAt = api.UploadJobStatusInProgress, s.Now().UnixMicro()
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.endDry(ctx, rec, j.ID)
	if err := s.enqueue(ctx, rec.Incarnation, j); err != nil {
		return nil, err // the next clean-up queues it
	}
	return &api.StartUploadJobResponse{}, nil
}

// noFile says that a job has no file, and why.
func (j *Job) noFile() error {
	if j.FileDeletedAt != 0 {
		return fault.BadRequestf("The file of upload job %s was deleted %s, because the job was not started in time. PUT it to the Url of GetUploadJobPath again.",
			j.ID, wireTime(j.FileDeletedAt).Format("2006-01-02 15:04 MST"))
	}
	return fault.BadRequestf("Upload job %s has no file yet: PUT the file to the Url of GetUploadJobPath first.", j.ID)
}

func (s *Service) enqueue(ctx context.Context, inc store.Incarnation, j *Job) error {
	return s.queue(ctx, job.Work{Kind: Kind, ID: j.ID, Incarnation: inc, Arrived: j.StartedAt}, job.Enqueue)
}

// queue puts work into its domain's queue by job.Enqueue or job.Ensure. Where too much waits it stays out for now: a later clean-up puts it at its place, which
// is that of its arrival.
func (s *Service) queue(ctx context.Context, w job.Work, put func(context.Context, store.Store, job.Work) error) error {
	n, err := job.Waiting(ctx, s.Store, w.Incarnation)
	if err != nil {
		return err
	}
	if n >= job.MaxWaiting {
		s.Log.Warn("very much work of a domain waits for its turn; what is added is queued later", "waiting", n, "kind", w.Kind, "work", w.ID)
		return nil
	}
	err = put(ctx, s.Store, w)
	if err == nil && s.Wake != nil {
		s.Wake()
	}
	return err
}

// StopUploadJob ends a job. What its published runs hold is still applied; there is no rollback.
func (s *Service) StopUploadJob(ctx context.Context, in *api.StopUploadJobRequest) (*api.StopUploadJobResponse, error) {
	rec, err := s.Domains.Lookup(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	tried, err := s.tryAsked(ctx, rec, *in.JobId)
	if err != nil {
		return nil, err
	}
	j, err := s.change(ctx, rec, *in.JobId, func(j *Job) error {
		switch j.Status {
		case api.UploadJobStatusStopped:
			return nil
		case api.UploadJobStatusCreated:
			j.Final, j.Tried = true, tried
		case api.UploadJobStatusInProgress:
		default:
			return fault.BadRequestf("Upload job %s is %s and can't be stopped any more.", j.ID, j.Status)
		}
		j.Status, j.CompletedAt = api.UploadJobStatusStopped, s.Now().UnixMicro()
		return nil
	})
	if err != nil {
		return nil, err
	}
	if j.StartedAt == 0 {
		s.endDry(ctx, rec, j.ID)
	}
	if p, ok := s.progress.Load(j.ID); ok {
		p.(*progress).stop()
	}
	return &api.StopUploadJobResponse{}, nil
}

// GetUploadJob returns a job with its counters.
func (s *Service) GetUploadJob(ctx context.Context, in *api.GetUploadJobRequest) (*api.GetUploadJobResponse, error) {
	rec, j, err := s.find(ctx, in.DomainName, in.JobId)
	if err != nil {
		return nil, err
	}
	out := &api.GetUploadJobResponse{
		JobId: &j.ID, DisplayName: &j.DisplayName, Status: &j.Status, StatusReason: j.reason(),
		CreatedAt: wireTime(j.CreatedAt), CompletedAt: wireTime(j.CompletedAt),
		Fields: j.Fields, UniqueKey: &j.UniqueKey, DataExpiry: &j.DataExpiry,
	}
	if j.Status != api.UploadJobStatusCreated {
		c, err := s.counters(ctx, rec.Incarnation, j)
		if err != nil {
			return nil, err
		}
		out.ResultsSummary = &api.ResultsSummary{CreatedRecords: &c.Created, UpdatedRecords: &c.Updated, FailedRecords: &c.Failed}
	}
	return out, nil
}

func (j *Job) reason() *api.StatusReason {
	if j.StatusReason == "" {
		return nil
	}
	return &j.StatusReason
}

// ListUploadJobs lists the jobs of a domain, newest first.
func (s *Service) ListUploadJobs(ctx context.Context, in *api.ListUploadJobsRequest) (*api.ListUploadJobsResponse, error) {
	rec, err := s.Domains.Lookup(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	limit := 100
	if in.MaxResults != nil {
		limit = int(*in.MaxResults)
	}
	r := store.Range{}
	if in.NextToken != nil {
		if r.Start, err = hex.DecodeString(*in.NextToken); err != nil {
			return nil, fault.BadRequestf("NextToken is not valid.")
		}
	}
	out := &api.ListUploadJobsResponse{Items: []api.UploadJobItem{}}
	for row, err := range s.Store.Scan(ctx, listPartition(rec.Incarnation), r) {
		if err != nil {
			return nil, err
		}
		if len(out.Items) == limit {
			out.NextToken = api.Ptr(hex.EncodeToString(row.Key))
			break
		}
		j, err := s.load(ctx, rec, string(row.Key[8:]))
		if errors.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out.Items = append(out.Items, api.UploadJobItem{
			JobId: &j.ID, DisplayName: &j.DisplayName, Status: &j.Status, StatusReason: j.reason(),
			CreatedAt: wireTime(j.CreatedAt), CompletedAt: wireTime(j.CompletedAt), DataExpiry: &j.DataExpiry,
		})
	}
	return out, nil
}

// tooLongColumns tells which columns had values that were longer than their attributes.
func tooLongColumns(counted []stage.TooLong) (all []api.TooLongColumn) {
	for _, c := range counted {
		limit := int32(c.Limit)
		all = append(all, api.TooLongColumn{Column: &c.Column, Values: &c.Values, Limit: &limit})
	}
	return all
}

// GetUploadJobDetails tells what the API has no member for: the stage, what was detected, and why a job failed.
func (s *Service) GetUploadJobDetails(ctx context.Context, in *api.GetUploadJobDetailsRequest) (*api.GetUploadJobDetailsResponse, error) {
	rec, j, err := s.find(ctx, in.DomainName, in.JobId)
	if err != nil {
		return nil, err
	}
	out := &api.GetUploadJobDetailsResponse{
		JobId: &j.ID, Status: api.Ptr(string(j.Status)), StartedAt: wireTime(j.StartedAt), DryRun: j.triedOnly(),
		FileDeletedAt: wireTime(j.FileDeletedAt), RejectsDeletedAt: wireTime(j.RejectsDeletedAt),
		WorkedMilliseconds: wireMilliseconds(j.Took),
	}
	if j.Reason != "" {
		out.Reason = &j.Reason
	}
	if j.File != nil {
		out.FileBytes, out.FileUploadedAt = &j.File.Size, wireTime(j.File.UploadedAt)
	}
	if j.Time != 0 {
		out.ProfilesExpireAt = wireTime(j.expires())
	}
	if j.Country != "" {
		out.Country = &j.Country
	}
	if j.Merged > 0 {
		out.MergedRecords = &j.Merged
	}
	read, runs, err := s.published(ctx, rec.Incarnation, j.ID)
	if err != nil {
		return nil, err
	}
	if read != nil {
		out.RowsRead, out.Header, out.KeptRejects = &read.Rows, read.Header, api.Ptr(max(read.KeptRejects, j.KeptRejects))
		out.Encoding, out.Delimiter = &read.Encoding, api.Ptr(string(rune(read.Delim())))
		if read.OrElse != "" {
			out.OtherEncodings = strings.Split(read.OrElse, ",")
		}
		out.LineEnd, out.HeaderLine = &read.LineEnd, &read.HeaderLine
		out.RepeatedHeaderRows, out.ShortRows = &read.Repeated, &read.Short
		c := j.Counters
		if !j.Final {
			c = stage.Sum(read, runs)
		}
		out.UnchangedRecords, out.RepeatedKeyRows, out.TooLongColumns = &c.Unchanged, &c.Repeated, tooLongColumns(read.TooLong)
		if read.Compression != "" {
			out.Compression = &read.Compression
		}
		if read.Sheet != "" {
			out.Sheet, out.UncalculatedCells = &read.Sheet, &read.Uncalculated
		}
		if read.ByteOrder {
			out.ByteOrderMark = &read.ByteOrder
		}
	}
	if j.UndoAt != 0 {
		status, percent := s.undoProgress(j)
		out.UndoStatus, out.UndoPercentComplete, out.UndoneAt = &status, &percent, wireTime(j.UndoneAt)
		if j.UndoReason != "" {
			out.UndoReason = &j.UndoReason
		}
	}
	out.CompactedAt = wireTime(j.CompactedAt)
	applied := 0
	if read != nil && read.Shared && !j.Final {
		done, err := s.applied(ctx, rec.Incarnation, j.ID)
		if err != nil {
			return nil, err
		}
		applied = len(done)
	}
	stage, percent := j.stage(read, len(runs), applied)
	if p, ok := s.progress.Load(j.ID); ok && p.(*progress).paused.Load() && !j.Final {
		stage = "paused: the server's disk is nearly full"
	}
	if p, ok := s.progress.Load(j.ID); ok && stage == "reading" && j.File.Size > 0 {
		rows := p.(*progress).rows.Load()
		out.RowsRead, percent = &rows, int32(int64(guessWeights(p.(*progress).shared).read)*min(p.(*progress).bytes.Load(), j.File.Size)/j.File.Size)
	}
	out.Stage, out.PercentComplete = &stage, &percent
	return out, nil
}

// weights are how much of a job is done, in percent, when it has been read and when it has been resolved.
type weights struct{ read, resolved int }

// guessWeights returns them: on a cluster, where nodes share the work, nearly all of it is applying.
func guessWeights(shared bool) weights {
	if shared {
		return weights{1, 5}
	}
	return weights{40, 80}
}

// stage names where a job is and guesses how much of it is done.
func (j *Job) stage(read *stage.ReadResult, runs, applied int) (string, int32) {
	of := guessWeights(read != nil && read.Shared)
	switch {
	case j.Status == api.UploadJobStatusCreated && j.File == nil:
		return "waiting for the file", 0
	case j.Status == api.UploadJobStatusCreated:
		return "waiting for the start", 0
	case j.Final:
		return "finished", 100
	case j.Time == 0:
		return "waiting for its turn", 0
	case j.Applying || j.Status == api.UploadJobStatusStopped:
		return "applying", int32(of.resolved + (99-of.resolved)*min(applied, runs)/max(1, runs))
	case read == nil:
		return "reading", 0
	}
	return "resolving", int32(of.read + (of.resolved-of.read)*runs/max(1, read.Buckets))
}

// expires is when the contributions of the job expire, in microseconds.
func (j *Job) expires() int64 {
	return j.Time + int64(j.DataExpiry)*24*int64(time.Hour/time.Microsecond)
}

func encode(v any) ([]byte, error) { return json.Marshal(v, json.Deterministic(true)) }

// triedOnly is true of a job that was given up after a dry run, else nil.
func (j *Job) triedOnly() *bool {
	if !j.Tried {
		return nil
	}
	return &j.Tried
}
