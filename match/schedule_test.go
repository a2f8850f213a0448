package match

import (
	"testing"
	"time"

	"kith/api"
	"kith/domain"
)

func TestSchedule(t *testing.T) {
	at := func(text string) time.Time { // 2026-11-28 is a Saturday
		t.Helper()
		got, err := time.Parse("2006-01-02 15:04", text)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	monday := &api.JobSchedule{DayOfTheWeek: api.Ptr(api.JobScheduleDayOfTheWeekMonday), Time: api.Ptr("8:05")}
	saturday := &api.JobSchedule{DayOfTheWeek: api.Ptr(api.JobScheduleDayOfTheWeekSaturday), Time: api.Ptr("00:00")}
	for _, c := range []struct {
		name             string
		schedule         *api.JobSchedule
		since, now, next string
		last             string // "": none
	}{
		{"the first within a day", nil, "2026-11-24 10:00", "2026-11-24 10:00", "2026-11-25 00:00", ""},
		{"the day before is too far", monday, "2026-11-24 10:00", "2026-11-24 10:01", "2026-11-25 08:05", ""},
		{"the first on the same day", monday, "2026-11-24 08:00", "2026-11-24 08:01", "2026-11-24 08:05", ""},
		{"at its minute it is due", monday, "2026-11-24 08:00", "2026-11-24 08:05", "2026-11-30 08:05", "2026-11-24 08:05"},
		{"then in a week", nil, "2026-11-24 10:00", "2026-11-25 00:00", "2026-11-28 00:00", "2026-11-25 00:00"},
		{"absent is Saturday at midnight", saturday, "2026-11-24 10:00", "2026-11-25 00:00", "2026-11-28 00:00", "2026-11-25 00:00"},
		{"weekly", nil, "2026-11-24 10:00", "2026-11-28 00:00", "2026-12-05 00:00", "2026-11-28 00:00"},
		{"of weeks that passed only the last", nil, "2026-11-24 10:00", "2026-12-24 12:00", "2026-12-26 00:00", "2026-12-19 00:00"},
		{"enabled at its very time", nil, "2026-11-28 00:00", "2026-11-28 00:00", "2026-11-29 00:00", ""},
		{"the first is not behind the second", nil, "2026-11-27 10:00", "2026-11-28 00:00", "2026-12-05 00:00", "2026-11-28 00:00"},
	} {
		t.Run(c.name, func(t *testing.T) {
			rec := &domain.Record{Incarnation: 7, MatchingSince: at(c.since).UnixMicro(), MatchingChanged: at(c.since).UnixMicro(),
				Matching: &api.MatchingResponse{Enabled: api.Ptr(true), JobSchedule: c.schedule}}
			if got := upcoming(rec, at(c.now)); got.at != at(c.next).UnixMicro() {
				t.Errorf("the next is at %s, want %s", time.UnixMicro(got.at).UTC(), c.next)
			}
			got, ok := due(rec, at(c.now))
			if ok != (c.last != "") || ok && got.at != at(c.last).UnixMicro() {
				t.Errorf("due: %s, %t, want %s", time.UnixMicro(got.at).UTC(), ok, c.last)
			}
		})
	}
	rec := &domain.Record{Incarnation: 7, MatchingSince: at("2026-11-24 10:00").UnixMicro(), MatchingChanged: at("2026-11-29 12:00").UnixMicro(),
		Matching: &api.MatchingResponse{Enabled: api.Ptr(true), JobSchedule: monday}}
	if got, ok := due(rec, at("2026-11-29 13:00")); ok {
		t.Errorf("a schedule that was set today has missed a job of %s", time.UnixMicro(got.at).UTC())
	}
	if a, b := newPlanned(7, at("2026-11-24 10:00")), newPlanned(8, at("2026-11-24 10:00")); a.id == b.id || len(a.id) != 32 {
		t.Error(a, b)
	}
}
