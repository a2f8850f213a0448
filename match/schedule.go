package match

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"kith/api"
	"kith/domain"
	"kith/store"
)

// A job runs once in a week, and the first time within a day after matching was enabled, at the same time of the day.

// schedule is when jobs begin, in UTC.
type schedule struct {
	day          time.Weekday
	hour, minute int
}

var weekdays = map[api.JobScheduleDayOfTheWeek]time.Weekday{
	api.JobScheduleDayOfTheWeekSunday: time.Sunday, api.JobScheduleDayOfTheWeekMonday: time.Monday, api.JobScheduleDayOfTheWeekTuesday: time.Tuesday,
	api.JobScheduleDayOfTheWeekWednesday: time.Wednesday, api.JobScheduleDayOfTheWeekThursday: time.Thursday,
	api.JobScheduleDayOfTheWeekFriday: time.Friday, api.JobScheduleDayOfTheWeekSaturday: time.Saturday,
}

// scheduleOf reads a domain's setting; nil is Saturday at midnight.
func scheduleOf(s *api.JobSchedule) schedule {
	if s == nil {
		return schedule{day: time.Saturday}
	}
	hour, minute, _ := strings.Cut(*s.Time, ":")
	h, _ := strconv.Atoi(hour)
	m, _ := strconv.Atoi(minute)
	return schedule{weekdays[*s.DayOfTheWeek], h, m}
}

// daily returns the first time behind another that has the schedule's time of the day.
func (s schedule) daily(after time.Time) time.Time {
	after = after.UTC()
	t := time.Date(after.Year(), after.Month(), after.Day(), s.hour, s.minute, 0, 0, time.UTC)
	if !t.After(after) {
		t = t.AddDate(0, 0, 1)
	}
	return t
}

// weekly returns the first time behind another that is of the schedule.
func (s schedule) weekly(after time.Time) time.Time {
	t := s.daily(after)
	return t.AddDate(0, 0, (int(s.day)-int(t.Weekday())+7)%7)
}

// next returns when the first job behind a time begins; since is when matching was enabled.
func (s schedule) next(since, after time.Time) time.Time {
	if first := s.daily(since); after.Before(first) {
		return first
	}
	return s.weekly(after)
}

// last returns when the last job until now was to begin, and false if there was none.
func (s schedule) last(since, now time.Time) (time.Time, bool) {
	first := s.daily(since)
	if now.Before(first) {
		return time.Time{}, false
	}
	if t := s.weekly(now).AddDate(0, 0, -7); t.After(first) {
		return t, true
	}
	return first, true
}

// planned is a job of the schedule that has not begun.
type planned struct {
	id string
	at int64 // microseconds
}

func newPlanned(inc store.Incarnation, at time.Time) planned {
	micros := at.UnixMicro()
	h := sha256.New()
	_ = binary.Write(h, binary.BigEndian, []int64{int64(inc), micros})
	return planned{hex.EncodeToString(h.Sum(nil)[:16]), micros}
}

// upcoming returns the job that a domain's schedule has next.
func upcoming(rec *domain.Record, now time.Time) planned {
	return newPlanned(rec.Incarnation, scheduleOf(rec.Matching.JobSchedule).next(time.UnixMicro(rec.MatchingSince), now))
}

// due returns the job that a domain's schedule had last, if it was to begin after matching was enabled and the schedule set.
func due(rec *domain.Record, now time.Time) (planned, bool) {
	at, ok := scheduleOf(rec.Matching.JobSchedule).last(time.UnixMicro(rec.MatchingSince), now)
	return newPlanned(rec.Incarnation, at), ok && at.UnixMicro() > rec.MatchingChanged
}
