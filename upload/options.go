package upload

import (
	"context"

	"kith/api"
	"kith/domain"
	"kith/fault"
	"kith/upload/table"
)

// PutUploadJobOptions says how the file of a job that has not been started is to be read: its encoding, what separates its cells, the line of its
// header, the sheet of a workbook, the country that its phone numbers are written in, and what becomes of values that are too long. What is not said is found out, or has a
// default. It replaces what was said before.
func (s *Service) PutUploadJobOptions(ctx context.Context, in *api.PutUploadJobOptionsRequest) (*api.PutUploadJobOptionsResponse, error) {
	rec, err := s.Domains.Lookup(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	o := Options{Encoding: api.Val(in.Encoding), Delimiter: api.Val(in.Delimiter), HeaderLine: int64(api.Val(in.HeaderLine)), Sheet: api.Val(in.Sheet), TooLong: api.Val(in.TooLong)}
	if o.Country, err = domain.CountryOf(in.Country); err != nil {
		return nil, err
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	if s.StrictAWS && o != (Options{}) {
		return nil, fault.BadRequestf("Options of a file are not obeyed while the server runs with --strict-aws.")
	}
	_, err = s.change(ctx, rec, *in.JobId, func(j *Job) error {
		if j.Status != api.UploadJobStatusCreated {
			return fault.BadRequestf("Upload job %s is %s; its options can only be said before it starts.", j.ID, j.Status)
		}
		j.Options = o
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.PutUploadJobOptionsResponse{}, nil
}

// check returns what is wrong with options.
func (o Options) check() error {
	if o.Encoding != "" {
		if _, err := table.Named(o.Encoding); err != nil {
			return fault.BadRequestf("%s", err)
		}
	}
	if d := o.Delimiter; d != "" && !table.MaySeparate(d[0]) {
		return fault.BadRequestf("Delimiter must be one ASCII character that is no quote and no line end.")
	}
	return nil
}

// layout is what the options say about the header.
func (o Options) layout() table.Layout {
	l := table.Layout{Line: o.HeaderLine}
	if o.Delimiter != "" {
		l.Delimiter = o.Delimiter[0]
	}
	return l
}
