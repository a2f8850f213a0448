package upload

import (
	"testing"

	"kith/api"
	"kith/upload/stage"
)

// What a job shows of its progress never falls, and reaches 100 only at the end.
func TestStageOnlyAdvances(t *testing.T) {
	for _, shared := range []bool{false, true} {
		read := &stage.ReadResult{Buckets: 4, Shared: shared}
		file := &File{Size: 1}
		applying := func(applied int) func() (string, int32) {
			return func() (string, int32) {
				return (&Job{Status: api.UploadJobStatusInProgress, File: file, Time: 1, Applying: true}).stage(read, 4, applied)
			}
		}
		started := &Job{Status: api.UploadJobStatusInProgress, File: file, Time: 1}
		last := int32(-1)
		for i, c := range []struct {
			at   func() (string, int32)
			want string
		}{
			{func() (string, int32) { return (&Job{Status: api.UploadJobStatusCreated}).stage(nil, 0, 0) }, "waiting for the file"},
			{func() (string, int32) { return (&Job{Status: api.UploadJobStatusCreated, File: file}).stage(nil, 0, 0) }, "waiting for the start"},
			{func() (string, int32) {
				return (&Job{Status: api.UploadJobStatusInProgress, File: file}).stage(nil, 0, 0)
			}, "waiting for its turn"},
			{func() (string, int32) { return started.stage(nil, 0, 0) }, "reading"},
			{func() (string, int32) { return started.stage(read, 0, 0) }, "resolving"},
			{func() (string, int32) { return started.stage(read, 3, 0) }, "resolving"},
			{applying(0), "applying"},
			{applying(2), "applying"},
			{applying(4), "applying"},
			{func() (string, int32) {
				return (&Job{Status: api.UploadJobStatusSucceeded, File: file, Time: 1, Final: true}).stage(read, 4, 0)
			}, "finished"},
		} {
			got, percent := c.at()
			if got != c.want || percent < last || (percent == 100) != (c.want == "finished") {
				t.Errorf("shared %t, step %d: %q at %d %%, want %q at %d %% or more", shared, i, got, percent, c.want, last)
			}
			last = percent
		}
	}
	if _, percent := (&Job{Status: api.UploadJobStatusStopped, Time: 1}).stage(nil, 0, 0); percent >= 100 {
		t.Errorf("a job that was stopped before it was read is at %d %%", percent)
	}
	j := &Job{Status: api.UploadJobStatusInProgress, Time: 1, Applying: true}
	if _, percent := j.stage(&stage.ReadResult{Shared: true}, 64, 32); percent != 52 {
		t.Errorf("half applied is %d %%, want 52", percent)
	}
}
