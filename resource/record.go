package resource

import (
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"

	"kith/store"
)

// Record is a resource: what every kind has, and the Data of its own. Times are microseconds.
type Record[R any] struct {
	Name string
	// Revision is 1 when the resource is created, and one more with each change but those of tags.
	Revision             int64
	CreatedAt, UpdatedAt int64
	Tags                 map[string]string
	// Default says that the resource is the default of its kind; at most one is. Setting it ends that of another.
	Default bool
	// Data is stored as JSON. It may hold the API's shapes, which only ever gain members.
	Data R

	version uint64
	calls   store.Calls // that changed it last, but for tags
	text    *textName
	newText *string
}

// SetText makes s the text of the resource. A resource without a text has "".
func (r *Record[R]) SetText(s string) { r.newText = &s }

// row is the stored form of a record.
type row[R any] struct {
	Revision  int64
	CreatedAt int64
	UpdatedAt int64
	Tags      map[string]string `json:",omitzero"`
	Default   bool              `json:",omitzero"`
	Text      *textName         `json:",omitzero"`
	Calls     store.Calls       `json:",omitzero"`
	Data      R
}

// state is what is stored of all records of a kind together.
type state struct {
	Count   int
	Default string `json:",omitzero"` // its name
	Turns   int64  `json:",omitzero"` // changes of a Serial kind

	version uint64
}

const (
	stateKey      = "k"
	recordPrefix  = "r/"
	pendingPrefix = "x/"
)

// format is the first byte of every value. A change of the stored forms that older programs can't read gets another one.
const format = 1

func encode(v any) ([]byte, error) {
	b, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return nil, fmt.Errorf("encode a resource: %w", err)
	}
	return append([]byte{format}, b...), nil
}

func decode(b []byte, v any) error {
	if len(b) == 0 || b[0] != format {
		return fmt.Errorf("a resource of an unknown format: %w", store.ErrFormat)
	}
	if err := json.Unmarshal(b[1:], v); err != nil {
		return fmt.Errorf("decode a resource: %w", err)
	}
	return nil
}

// Exists says whether the record has been stored before.
func (r *Record[R]) Exists() bool { return r.version != 0 }

func (r *Record[R]) encode() ([]byte, error) {
	return encode(row[R]{Revision: r.Revision, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt, Tags: r.Tags, Default: r.Default, Text: r.text, Calls: r.calls, Data: r.Data})
}

func decodeRecord[R any](from store.Row) (*Record[R], error) {
	var v row[R]
	if err := decode(from.Value, &v); err != nil {
		return nil, err
	}
	return &Record[R]{
		Name: strings.TrimPrefix(string(from.Key), recordPrefix), Revision: v.Revision, CreatedAt: v.CreatedAt, UpdatedAt: v.UpdatedAt,
		Tags: v.Tags, Default: v.Default, Data: v.Data, text: v.Text, calls: v.Calls, version: from.Version,
	}, nil
}

func partition(inc store.Incarnation, kind string) store.Partition {
	return store.Partition{Table: store.Resource, Incarnation: inc, Key: "k/" + kind}
}

func recordKey(name string) []byte { return []byte(recordPrefix + name) }
