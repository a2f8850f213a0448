package main

import (
	"encoding/csv"
	"io"

	"github.com/go-json-experiment/json"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"kith/api"
	"kith/schema"
	"kith/upload"
)

// formats are those of exports.
var formats = []string{"ndjson", "csv", "parquet"}

// customColumn begins the columns of custom attributes.
const customColumn = "Attributes."

// encoder writes profiles in a format.
type encoder interface {
	write(*api.Profile) error
	close() error
}

func newEncoder(format string, w io.Writer, columns []string, safe bool) (encoder, error) {
	switch format {
	case "csv":
		e := &csvEncoder{csv.NewWriter(w), columns, safe}
		return e, e.w.Write(upload.Neutralise(columns, true, safe))
	case "parquet":
		return newParquet(w, columns), nil
	}
	return ndjsonEncoder{w}, nil
}

type ndjsonEncoder struct{ w io.Writer }

func (e ndjsonEncoder) write(p *api.Profile) error {
	b, err := json.Marshal(p, json.Deterministic(true))
	if err != nil {
		return err
	}
	_, err = e.w.Write(append(b, '\n'))
	return err
}

func (ndjsonEncoder) close() error { return nil }

type csvEncoder struct {
	w       *csv.Writer
	columns []string
	safe    bool
}

func (e *csvEncoder) write(p *api.Profile) error {
	of := cells(p)
	row := make([]string, len(e.columns))
	for i, c := range e.columns {
		row[i] = of[c]
	}
	return e.w.Write(upload.Neutralise(row, false, e.safe))
}

func (e *csvEncoder) close() error {
	e.w.Flush()
	return e.w.Error()
}

// rowGroup is how many profiles a Parquet file keeps together, and this program in memory.
const rowGroup = 20_000

// parquetEncoder writes a column of optional texts for each attribute. The format orders columns by their names.
type parquetEncoder struct {
	w       *parquet.Writer
	columns []string
	rows    int
}

func newParquet(w io.Writer, columns []string) *parquetEncoder {
	group := parquet.Group{}
	for _, c := range columns {
		group[c] = parquet.Optional(parquet.String())
	}
	s := parquet.NewSchema("profile", group)
	e := &parquetEncoder{w: parquet.NewWriter(w, s, parquet.Compression(&zstd.Codec{}))}
	for _, path := range s.Columns() {
		e.columns = append(e.columns, path[0])
	}
	return e
}

func (e *parquetEncoder) write(p *api.Profile) error {
	of := cells(p)
	row := make(parquet.Row, len(e.columns))
	for i, c := range e.columns {
		if text, ok := of[c]; ok {
			row[i] = parquet.ByteArrayValue([]byte(text)).Level(0, 1, i)
		} else {
			row[i] = parquet.NullValue().Level(0, 0, i)
		}
	}
	if _, err := e.w.WriteRows([]parquet.Row{row}); err != nil {
		return err
	}
	if e.rows++; e.rows%rowGroup == 0 {
		return e.w.Flush()
	}
	return nil
}

func (e *parquetEncoder) close() error { return e.w.Close() }

// cells returns what a profile shows by column.
func cells(p *api.Profile) map[string]string {
	all := map[string]string{}
	set := func(path string, v *string) {
		if v != nil {
			all[path] = *v
		}
	}
	set("ProfileId", p.ProfileId)
	for path, v := range map[uint16]*string{
		schema.AccountNumber: p.AccountNumber, schema.AdditionalInformation: p.AdditionalInformation, schema.PartyType: (*string)(p.PartyType),
		schema.BusinessName: p.BusinessName, schema.FirstName: p.FirstName, schema.MiddleName: p.MiddleName, schema.LastName: p.LastName,
		schema.BirthDate: p.BirthDate, schema.Gender: (*string)(p.Gender), schema.PhoneNumber: p.PhoneNumber,
		schema.MobilePhoneNumber: p.MobilePhoneNumber, schema.HomePhoneNumber: p.HomePhoneNumber, schema.BusinessPhoneNumber: p.BusinessPhoneNumber,
		schema.EmailAddress: p.EmailAddress, schema.PersonalEmailAddress: p.PersonalEmailAddress, schema.BusinessEmailAddress: p.BusinessEmailAddress,
		schema.PartyTypeString: p.PartyTypeString, schema.GenderString: p.GenderString, schema.ProfileType: (*string)(p.ProfileType),
	} {
		set(schema.Attr{ID: path}.Path(), v)
	}
	for base, a := range map[uint16]*api.Address{schema.Address: p.Address, schema.ShippingAddress: p.ShippingAddress, schema.MailingAddress: p.MailingAddress, schema.BillingAddress: p.BillingAddress} {
		if a == nil {
			continue
		}
		for part, v := range []*string{a.Address1, a.Address2, a.Address3, a.Address4, a.City, a.County, a.State, a.Province, a.Country, a.PostalCode} {
			set(schema.Attr{ID: base + uint16(part)}.Path(), v)
		}
	}
	if e := p.EngagementPreferences; e != nil {
		for id, list := range map[uint16][]api.ContactPreference{schema.EngagementPhone: e.Phone, schema.EngagementEmail: e.Email} {
			if list != nil {
				b, _ := json.Marshal(list, json.Deterministic(true)) // there is nothing in it that could fail
				all[schema.Attr{ID: id}.Path()] = string(b)
			}
		}
	}
	for name, v := range p.Attributes {
		all[customColumn+name] = v
	}
	return all
}
