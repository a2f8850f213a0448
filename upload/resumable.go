package upload

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json"

	"kith/api"
	"kith/blob"
	"kith/domain"
	"kith/fault"
	"kith/job"
	"kith/store"
)

// Segment is a part of a file that was uploaded in pieces: a blob of its own, sealed with a fresh salt.
type Segment struct {
	Blob string
	Size int64
}

// segmentBytes is after how many bytes of one request a segment is made durable, so that a server that dies loses no more.
const segmentBytes = 64 << 20

var partialKey = []byte("partial")

// Partial is a file of which only the beginning has arrived. The offset belongs to the job, not to a URL.
type Partial struct {
	Length    int64
	Offset    int64
	Segments  []Segment `json:",omitzero"`
	UpdatedAt int64

	version uint64
}

// The ways a part of a file can be refused, besides those of ReceiveFile.
var (
	// ErrOffset says that a part does not begin where the one before ended.
	ErrOffset = errors.New("the offset is not where the upload stands")
	// ErrLength says that the length of a file is missing, or another than was said first, or exceeded.
	ErrLength = errors.New("the length of the file does not fit")
)

// PartialFile tells how much of a job's file has arrived. A nil Partial: nothing has, or the file came in one piece.
func (s *Service) PartialFile(ctx context.Context, domainName, id string) (*Partial, error) {
	rec, j, err := s.find(ctx, &domainName, &id)
	if err != nil {
		return nil, err
	}
	p, err := s.loadPartial(ctx, rec, id)
	if p == nil && err == nil && j.File != nil && j.File.Segments != nil {
		p = &Partial{Length: j.File.Size, Offset: j.File.Size}
	}
	return p, err
}

func (s *Service) loadPartial(ctx context.Context, rec *domain.Record, id string) (*Partial, error) {
	row, err := s.Store.Get(ctx, job.Partition(rec.Incarnation, id), partialKey)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read an upload: %w", err)
	}
	p := &Partial{version: row.Version}
	return p, json.Unmarshal(row.Value, p)
}

func (s *Service) savePartial(ctx context.Context, rec *domain.Record, id string, p *Partial) error {
	p.UpdatedAt = s.Now().UnixMicro()
	value, err := encode(p)
	if err != nil {
		return err
	}
	v, err := store.Certain(ctx, s.Store, job.Partition(rec.Incarnation, id), []store.Swap{{Key: partialKey, Value: value, Expect: p.version}}, nil)
	if errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrUnknown) {
		return ErrOffset // another request was faster
	}
	if err == nil {
		p.version = v
	}
	return err
}

// ReceivePart appends the body to the job's file at offset. The first part says the length of the whole, later ones may (else
// length is -1). A body that ends early is kept as far as it came; verify, when given, decides before anything is kept. The
// file exists when the offset reaches the length. It returns where the upload stands, also with an error of the body.
func (s *Service) ReceivePart(ctx context.Context, domainName, id string, key blob.Key, offset, length int64, body io.Reader, verify func() error) (int64, error) {
	rec, j, err := s.find(ctx, &domainName, &id)
	if err != nil {
		return 0, err
	}
	if j.Status != api.UploadJobStatusCreated {
		return 0, ErrNotCreated
	}
	token, err := s.clientToken(j)
	if err != nil {
		return 0, err
	}
	if subtle.ConstantTimeCompare(token[:], key[:]) != 1 {
		return 0, ErrWrongKey
	}
	p, err := s.loadPartial(ctx, rec, id)
	if err != nil {
		return 0, err
	}
	if p == nil {
		// Of a file that has come in parts, whole, a part is most likely a repetition; what says another length begins a newer file.
		if f := j.File; f != nil && f.Segments != nil && (offset != 0 || length < 0 || length == f.Size) {
			if offset != f.Size {
				return f.Size, ErrOffset
			}
			if length >= 0 && length != f.Size {
				return f.Size, ErrLength
			}
			return f.Size, nothingMore(body)
		}
		switch {
		case offset != 0:
			return 0, ErrOffset
		case length < 0:
			return 0, ErrLength
		case s.FileLimit() > 0 && length > s.FileLimit():
			return 0, ErrTooLarge
		}
		p = &Partial{Length: length}
	}
	if offset != p.Offset {
		return p.Offset, ErrOffset
	}
	if length >= 0 && length != p.Length {
		return p.Offset, ErrLength
	}
	// What has arrived is kept even when the client is gone.
	ctx = context.WithoutCancel(ctx)
	body = io.LimitReader(&roomReader{r: body, s: s}, p.Length-p.Offset+1) // one more shows a body that is too long
	for {
		n, bodyErr, err := s.receiveSegment(ctx, rec, id, key, p, body, verify)
		if err != nil {
			return p.Offset, err
		}
		if bodyErr != nil || n == 0 || p.Offset == p.Length {
			if bodyErr == nil && p.Offset == p.Length {
				bodyErr = s.completeFile(ctx, rec, id, p)
			}
			return p.Offset, bodyErr
		}
	}
}

// nothingMore returns ErrLength if there is anything in a body.
func nothingMore(body io.Reader) error {
	var one [1]byte
	if n, _ := io.ReadFull(body, one[:]); n > 0 {
		return ErrLength
	}
	return nil
}

// receiveSegment stores the next segment. bodyErr is how the body ended early, or nil.
func (s *Service) receiveSegment(ctx context.Context, rec *domain.Record, id string, key blob.Key, p *Partial, body io.Reader, verify func() error) (n int64, bodyErr, err error) {
	w, err := s.Blobs.Create(ctx, blobDir(rec.Incarnation, id)+"file-"+randomName(), key)
	if err != nil {
		return 0, nil, err
	}
	defer w.Abort()
	most := p.Length - p.Offset
	step := io.Reader(io.LimitReader(body, min(most, segmentBytes)))
	if verify != nil {
		step = io.LimitReader(body, most)
	}
	tee := &sinkError{w: w}
	n, bodyErr = io.CopyBuffer(struct{ io.Writer }{tee}, step, make([]byte, 256<<10))
	if isFull(tee.err) {
		return n, nil, ErrNoRoom
	}
	if tee.err != nil {
		return n, nil, tee.err
	}
	if n == most && bodyErr == nil {
		var one [1]byte
		if k, _ := body.Read(one[:]); k > 0 {
			return n, nil, ErrLength
		}
	}
	if verify != nil {
		if bodyErr != nil {
			return 0, bodyErr, nil
		}
		if err := verify(); err != nil {
			return n, nil, err
		}
	}
	if n == 0 && p.Length > 0 {
		return 0, bodyErr, nil
	}
	info, err := w.Commit()
	if err != nil {
		return n, nil, err
	}
	next := *p
	next.Segments = append(p.Segments[:len(p.Segments):len(p.Segments)], Segment{info.Name, n})
	next.Offset += n
	if err := s.savePartial(ctx, rec, id, &next); err != nil {
		if !errors.Is(err, store.ErrUnknown) { // then it may be part of the file; the next clean-up knows
			err = errors.Join(err, s.Blobs.Delete(ctx, info.Name))
		}
		return n, nil, err
	}
	*p = next
	return n, bodyErr, nil
}

// sinkError keeps the errors of a writer apart from those of the reader that io.Copy reads.
type sinkError struct {
	w   io.Writer
	err error
}

func (t *sinkError) Write(b []byte) (int, error) {
	n, err := t.w.Write(b)
	t.err = err
	return n, err
}

// completeFile makes the segments the job's file, if they are still what has arrived of it.
func (s *Service) completeFile(ctx context.Context, rec *domain.Record, id string, p *Partial) error {
	return s.setFile(ctx, rec, id, &File{Segments: p.Segments, Size: p.Length}, p)
}

// notHalf refuses to go on with a job of which a file is half uploaded: the one before it, if there is one, is not meant any more.
func (s *Service) notHalf(ctx context.Context, rec *domain.Record, id string) error {
	p, err := s.loadPartial(ctx, rec, id)
	if p == nil || err != nil {
		return err
	}
	if j, err := s.load(ctx, rec, id); err != nil || j.Status != api.UploadJobStatusCreated || j.File != nil && j.File.UploadedAt > p.UpdatedAt {
		return err
	}
	return fault.BadRequestf("A file of upload job %s is half uploaded: %d of %d bytes have arrived. Send the rest, or give it up with DELETE (tus) to the Url of GetUploadJobPath.", id, p.Offset, p.Length)
}

// DropPart forgets what has arrived of a job's file: of the newest, if one is half there, else the whole file that came in parts. A file that was PUT stays.
func (s *Service) DropPart(ctx context.Context, domainName, id string) error {
	rec, j, err := s.find(ctx, &domainName, &id)
	if err != nil {
		return err
	}
	if j.Status != api.UploadJobStatusCreated {
		return ErrNotCreated
	}
	p, err := s.loadPartial(ctx, rec, id)
	if err != nil {
		return err
	}
	if p != nil {
		return s.dropPartial(ctx, rec, id)
	}
	return s.dropFile(ctx, rec, id)
}

// dropFile takes a file that came in parts from its job.
func (s *Service) dropFile(ctx context.Context, rec *domain.Record, id string) error {
	var old *File
	_, err := s.change(ctx, rec, id, func(j *Job) error {
		if j.Status != api.UploadJobStatusCreated {
			return ErrNotCreated
		}
		if old = nil; j.File == nil || j.File.Segments == nil {
			return errUnchanged
		}
		old, j.File = j.File, nil
		return nil
	})
	if err != nil || old == nil {
		return err
	}
	s.endDry(ctx, rec, id)
	s.deleteFile(ctx, id, old)
	return nil
}

func (s *Service) dropPartial(ctx context.Context, rec *domain.Record, id string) error {
	p, err := s.loadPartial(ctx, rec, id)
	if p == nil || err != nil {
		return err
	}
	_, err = store.Certain(ctx, s.Store, job.Partition(rec.Incarnation, id), []store.Swap{{Key: partialKey, Op: store.Delete, Expect: p.version}}, nil)
	if errors.Is(err, store.ErrConflict) {
		return ErrOffset
	}
	if err != nil {
		return err
	}
	j, err := s.load(ctx, rec, id)
	if err != nil {
		return err
	}
	for _, seg := range p.Segments {
		if j.File.has(seg.Blob) {
			continue // it was completed by a call whose answer was late
		}
		if err := s.Blobs.Delete(ctx, seg.Blob); err != nil {
			return err
		}
	}
	return nil
}

// setFile makes a file the job's, if the job still takes one, and deletes the one it had. arrived, if it is not nil, is what the file was made of:
// its row goes with the same Swap, and ErrOffset says that it has gone or changed.
func (s *Service) setFile(ctx context.Context, rec *domain.Record, id string, f *File, arrived *Partial) error {
	var old *File
	var also []store.Swap
	if arrived != nil {
		also = []store.Swap{{Key: partialKey, Op: store.Delete, Expect: arrived.version}}
	}
	f.UploadedAt = s.Now().UnixMicro()
	_, err := s.change(ctx, rec, id, func(j *Job) error {
		if j.Status != api.UploadJobStatusCreated {
			return ErrNotCreated
		}
		if arrived != nil {
			if now, err := s.loadPartial(ctx, rec, id); err != nil || now == nil || now.version != arrived.version {
				return errors.Join(err, ErrOffset)
			}
		}
		old = j.File
		j.File, j.FileDeletedAt = f, 0
		return nil
	}, also...)
	if err != nil {
		if arrived == nil && (errors.Is(err, ErrNotCreated) || errors.Is(err, fault.NotFound)) {
			s.deleteFile(ctx, id, f)
		}
		return err
	}
	s.endDry(ctx, rec, id)
	if old != nil {
		s.deleteFile(ctx, id, old)
	}
	return nil
}

func (s *Service) deleteFile(ctx context.Context, id string, f *File) {
	for _, name := range f.blobs() {
		if err := s.Blobs.Delete(context.WithoutCancel(ctx), name); err != nil {
			s.Log.Warn("a file could not be deleted; the next clean-up tries again", "job", id, "error", err)
		}
	}
}

// openFile opens the uploaded file of a job.
func (s *Service) openFile(ctx context.Context, j *Job, key blob.Key) (blob.Reader, error) {
	var parts []blob.Reader
	for _, name := range j.File.blobs() {
		r, err := s.Blobs.Open(ctx, name, key)
		if err != nil {
			for _, p := range parts {
				_ = p.Close()
			}
			return nil, fmt.Errorf("open the uploaded file: %w", err)
		}
		parts = append(parts, r)
	}
	return blob.Concat(parts...), nil
}
