package objecttype

import (
	"testing"
	"time"
)

func TestTimeFormats(t *testing.T) {
	for _, c := range []struct{ pattern, text, want string }{
		{"EpochMilli", "1700000000123", "2023-11-14T22:13:20.123Z"},
		{"EpochMilli", " -1 ", "1969-12-31T23:59:59.999Z"},
		{"EpochMilli", "1.5", ""}, {"EpochMilli", "", ""}, {"EpochMilli", "99999999999999999", ""},
		{"yyyy-MM-dd'T'HH:mm:ss'Z'", "2024-02-29T13:14:15Z", "2024-02-29T13:14:15Z"},
		{"yyyy-MM-dd'T'HH:mm:ss'Z'", "2023-02-29T13:14:15Z", ""},
		{"yyyy-MM-dd'T'HH:mm:ss'Z'", "2024-02-29 13:14:15Z", ""},
		{"yyyy-MM-dd'T'HH:mm:ss'Z'", "2024-02-29T24:14:15Z", ""},
		{"yyyy-MM-dd'T'HH:mm:ss'Z'", "2024-02-29T13:14:15Z ", "2024-02-29T13:14:15Z"},
		{"yyyy-MM-dd'T'HH:mm:ss'Z'", "2024-02-29T13:14:15Zx", ""},
		{"yyyy-MM-dd'T'HH:mm:ss.SSSZ", "2024-02-29T13:14:15.250+0100", "2024-02-29T12:14:15.25Z"},
		{"yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "2024-02-29T13:14:15.25-08:30", "2024-02-29T21:44:15.25Z"},
		{"yyyy-MM-dd'T'HH:mm:ss.SSSSSSX", "2024-02-29T13:14:15.123456Z", "2024-02-29T13:14:15.123456Z"},
		{"yyyy-MM-dd'T'HH:mm:ssX", "2024-02-29T13:14:15+05", "2024-02-29T08:14:15Z"},
		{"yyyy-MM-dd'T'HH:mm:ssX", "2024-02-29T13:14:15PST", ""},
		{"yyyyMMddHHmmss", "20240229131415", "2024-02-29T13:14:15Z"},
		{"yyyyMMddHHmmss", "2024022913141", "2024-02-29T13:14:01Z"},
		{"yyyyMMdd", "2024022", "2024-02-02T00:00:00Z"},
		{"yyyyMMdd", "202402", ""},
		{"M/d/yyyy h:mm a", "2/9/2024 12:05 am", "2024-02-09T00:05:00Z"},
		{"M/d/yyyy h:mm a", "12/31/2024 12:05 PM", "2024-12-31T12:05:00Z"},
		{"M/d/yyyy h:mm a", "12/31/2024 13:05 PM", ""},
		{"dd.MM.yy kk:mm", "01.02.24 24:10", "2024-02-01T00:10:00Z"},
		{"dd.MM.yy", "01.02.99", "1999-02-01T00:00:00Z"},
		{"EEE, d MMM yyyy HH:mm:ss z", "Thu, 29 Feb 2024 13:14:15 GMT", "2024-02-29T13:14:15Z"},
		{"EEEE, MMMM d, yyyy", "thursday, february 29, 2024", "2024-02-29T00:00:00Z"},
		{"EEE MMM dd HH:mm:ss zzz yyyy", "Thu Feb 29 13:14:15 PST 2024", "2024-02-29T21:14:15Z"},
		{"yyyy-MM-dd HH:mm z", "2024-02-29 13:14 GMT+02:00", "2024-02-29T11:14:00Z"},
		{"yyyy-DDD", "2024-060", "2024-02-29T00:00:00Z"},
		{"yyyy 'o''clock' ''HH''", "2024 o'clock '07'", "2024-01-01T07:00:00Z"},
		{"yyyy", "1e3", ""}, {"yyyy", "", ""},
	} {
		f, err := parseTimeFormat(c.pattern)
		if err != nil {
			t.Errorf("%s: %v", c.pattern, err)
			continue
		}
		got := ""
		if micros, ok := f.parse(c.text); ok {
			got = time.UnixMicro(micros).UTC().Format(time.RFC3339Nano)
		}
		if got != c.want {
			t.Errorf("%s of %q: %q, want %q", c.pattern, c.text, got, c.want)
		}
	}
	for _, pattern := range []string{"", "epochmilli", "ISO8601", "yyyy-MM-dd'T", "HH:mm", "'yyyy'", "YYYY-MM-dd", "yyyy-MM-ddTHH", "yyyy w", "yyyy-MM-ddXXXX"} {
		if _, err := parseTimeFormat(pattern); err == nil {
			t.Errorf("%q was accepted", pattern)
		}
	}
}

func FuzzTimeFormat(f *testing.F) {
	f.Add("yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "2024-02-29T13:14:15.250+01:00")
	f.Add("EEE, d MMM yy h:mm a z G", "Thu, 29 Feb 24 1:14 PM GMT-03:00 AD")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if format, err := parseTimeFormat(pattern); err == nil {
			format.parse(text)
		}
	})
}
