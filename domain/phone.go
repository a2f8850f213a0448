package domain

import (
	"context"
	"slices"

	"kith/api"
	"kith/fault"
	"kith/schema"
)

// PutPhoneSettings says in which country the phone numbers of a domain are written: those that API writes bring from now on, and imports
// that name no country. Without one, numbers are compared by their digits. What is there keeps the reading that it was written with, and is found by
// both spellings (Phones).
func (s *Service) PutPhoneSettings(ctx context.Context, in *api.PutPhoneSettingsRequest) (*api.PutPhoneSettingsResponse, error) {
	country, err := CountryOf(in.Country)
	if err != nil {
		return nil, err
	}
	rec, err := s.Update(ctx, *in.DomainName, 0, func(rec *Record) error {
		rec.Country = country
		rec.noteCountry(country)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return (*api.PutPhoneSettingsResponse)(rec.phoneSettings()), nil
}

// GetPhoneSettings tells in which country the phone numbers of a domain are written, and in which others they have been.
func (s *Service) GetPhoneSettings(ctx context.Context, in *api.GetPhoneSettingsRequest) (*api.GetPhoneSettingsResponse, error) {
	rec, err := s.Lookup(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	return rec.phoneSettings(), nil
}

func (rec *Record) phoneSettings() *api.GetPhoneSettingsResponse {
	out := &api.GetPhoneSettingsResponse{Countries: slices.Clone(rec.Countries)}
	if rec.Country != "" {
		out.Country = &rec.Country
	}
	return out
}

// CountryOf returns the two letters of a country that a caller names; nil or "" is none. The error is fault.BadRequest.
func CountryOf(named *string) (string, error) {
	if api.Val(named) == "" {
		return "", nil
	}
	c, ok := schema.ParseCountry(*named)
	if !ok {
		return "", fault.BadRequestf("Country %q is none whose phone numbers are known. Give its two letters (ISO 3166), such as DE or FR.", *named)
	}
	return c.String(), nil
}

func (rec *Record) noteCountry(country string) {
	if country != "" && !slices.Contains(rec.Countries, country) {
		rec.Countries = append(rec.Countries, country)
	}
}

// WrittenIn returns the country in which phone numbers are written that API writes bring; 0: nobody knows.
func (rec *Record) WrittenIn() schema.Country {
	c, _ := schema.ParseCountry(rec.Country)
	return c
}

// Phones appends the index forms of a phone number that is looked for, in whichever spelling: as it is read in each country that numbers of the domain were
// written in, the domain's own first; by its digits alone; and as it is written in the domain's country in values that came before
// that was known. What is found must confirm one of them.
func (rec *Record) Phones(dst []string, written string) []string {
	if rec.Country == "" && len(rec.Countries) == 0 { // most domains
		if form := schema.Normalize(schema.Phone, written); form != "" {
			dst = append(dst, form)
		}
		return dst
	}
	from, own := len(dst), rec.WrittenIn()
	add := func(form string) {
		if form != "" && !slices.Contains(dst[from:], form) {
			dst = append(dst, form)
		}
	}
	for _, c := range rec.Origins() {
		form := schema.NormalizeIn(c, schema.Phone, written)
		add(form)
		for _, national := range schema.NationalForms(form, own) {
			add(national)
		}
	}
	return dst
}

// Origins are the countries in which phone numbers of the domain may have been written, its own first; the last is 0: nobody knew.
func (rec *Record) Origins() (all []schema.Country) {
	for _, name := range append([]string{rec.Country}, rec.Countries...) {
		if c, ok := schema.ParseCountry(name); ok && !slices.Contains(all, c) {
			all = append(all, c)
		}
	}
	return append(all, 0)
}
