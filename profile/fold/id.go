package fold

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// ID is a profile id; its text is 32 hex digits.
type ID [16]byte

// Compare is the order of ids, in which the store has profiles.
func (id ID) Compare(other ID) int { return bytes.Compare(id[:], other[:]) }

// String returns the 32 hex digits of the API.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// MarshalText implements encoding.TextMarshaler.
func (id ID) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, id[:]), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *ID) UnmarshalText(b []byte) error {
	parsed, ok := ParseID(string(b))
	if !ok {
		return fmt.Errorf("%q is no profile id", b)
	}
	*id = parsed
	return nil
}

// ParseID reads 32 lower-case hex digits.
func ParseID(s string) (id ID, ok bool) {
	if len(s) != 32 {
		return id, false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return id, false
		}
	}
	_, err := hex.Decode(id[:], []byte(s))
	return id, err == nil
}

// MaxBuckets bounds the bucket number in an imported profile's id.
const MaxBuckets = 1 << 12

// ImportID mints the id of the n-th profile that a bucket of an import creates: a UUIDv7 (RFC 9562) whose time is the job's,
// followed by the bucket, the counter and 30 bits drawn from the job's random seed. Ascending counters give ascending ids,
// behind all older jobs' ids; the same arguments give the same id, so that a run names it by its counter.
func ImportID(jobTime int64, bucket int, n uint32, seed uint64) (id ID) {
	// The finalizer of SplitMix64 (Steele, Lea, Flood 2014).
	x := seed + (uint64(bucket)<<32|uint64(n))*0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	binary.BigEndian.PutUint64(id[:8], uint64(jobTime/1000)<<16|0x7000|uint64(bucket&0xfff))
	binary.BigEndian.PutUint64(id[8:], 2<<62|uint64(n)<<30|(x^x>>31)>>34)
	return id
}

// ParseImportID returns the bucket and the counter of an id that ImportID may have minted.
func ParseImportID(id ID) (bucket int, n uint32, ok bool) {
	hi, lo := binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint64(id[8:])
	return int(hi & 0xfff), uint32(lo >> 30), hi>>12&0xf == 7 && lo>>62 == 2
}
