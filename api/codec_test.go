package api_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"net/http/httptest"
	"reflect"
	"testing"
	"time"

	jsonx "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"kith/api"
	"kith/internal/restjson"
)

// coded are the requests and answers that have codecs of their own.
func coded() (in []restjson.Input, out []any) {
	for _, op := range api.Operations {
		if x := op.NewInput(); reflect.TypeOf(x).Implements(reflect.TypeFor[restjson.JSONDecoder]()) {
			in = append(in, x)
		}
	}
	return in, []any{
		&api.SearchProfilesResponse{}, &api.BatchGetProfileResponse{}, &api.PutProfileObjectResponse{}, &api.BatchPutProfileObjectResponse{},
		&api.CreateProfileResponse{}, &api.UpdateProfileResponse{}, &api.AddProfileKeyResponse{}, &api.DeleteProfileKeyResponse{}, &api.ListProfileObjectsResponse{},
	}
}

var texts = []string{"", "a", "Zoë", "a\"b\\c", "\n\t\x01", "\u2028<&>", "日本語", "\U0001f600", "bad \xff byte", "e1"}

// fill sets what it can reach to random values, some of it to none.
func fill(rng *rand.Rand, v reflect.Value) {
	if v.Type() == reflect.TypeFor[restjson.Time]() {
		v.Set(reflect.ValueOf(restjson.Time{Time: time.UnixMilli(rng.Int64N(2e12)).UTC()}))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if rng.IntN(4) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(rng, v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fill(rng, v.Field(i))
		}
	case reflect.Slice:
		if rng.IntN(4) > 0 {
			v.Set(reflect.MakeSlice(v.Type(), rng.IntN(3), 3))
			for i := range v.Len() {
				fill(rng, v.Index(i))
			}
		}
	case reflect.Map:
		if rng.IntN(4) > 0 {
			v.Set(reflect.MakeMap(v.Type()))
			for range rng.IntN(4) {
				e := reflect.New(v.Type().Elem()).Elem()
				fill(rng, e)
				v.SetMapIndex(reflect.ValueOf(texts[rng.IntN(len(texts)-2)]), e) // keys that are not UTF-8 may collide
			}
		}
	case reflect.String:
		v.SetString(texts[rng.IntN(len(texts))])
	case reflect.Int32, reflect.Int64:
		v.SetInt(rng.Int64N(2000) - 1000)
	case reflect.Float64:
		v.SetFloat(rng.Float64() * 1e6)
	case reflect.Bool:
		v.SetBool(rng.IntN(2) == 0)
	}
}

// Encoders write what reflection writes.
func TestEncodersAgreeWithReflection(t *testing.T) {
	_, out := coded()
	rng := rand.New(rand.NewPCG(1, 2))
	for _, x := range out {
		if _, ok := x.(restjson.JSONAppender); !ok {
			t.Errorf("%T has no encoder", x)
			continue
		}
		for range 500 {
			v := reflect.New(reflect.TypeOf(x).Elem())
			fill(rng, v.Elem())
			want, err := jsonx.Marshal(v.Interface(), jsonx.Deterministic(true), jsontext.AllowInvalidUTF8(true))
			if err != nil {
				t.Fatal(err)
			}
			got, err := restjson.Encode(v.Interface())
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%T, %v\ngot  %s\nwant %s", x, err, got, want)
			}
		}
	}
}

// agree checks that a body is read as reflection reads it; it says whether the request's own decoder took it.
func agree(t *testing.T, x restjson.Input, body []byte) bool {
	t.Helper()
	own, general := reflect.New(reflect.TypeOf(x).Elem()), reflect.New(reflect.TypeOf(x).Elem())
	fast := restjson.DecodeFast(body, own.Interface().(restjson.Input))
	err := jsonx.Unmarshal(body, general.Interface())
	switch {
	case fast && err != nil:
		t.Fatalf("%T: %q was read, and is wrong: %v", x, body, err)
	case fast && !reflect.DeepEqual(own.Interface(), general.Interface()):
		t.Fatalf("%T: %q\ngot  %#v\nwant %#v", x, body, own.Elem(), general.Elem())
	case !fast && !own.Elem().IsZero():
		t.Fatalf("%T: %q was not read, and left something behind", x, body)
	}
	return fast
}

// Decoders read what reflection reads, or nothing; what clients usually send they read.
func TestDecodersAgreeWithReflection(t *testing.T) {
	in, _ := coded()
	if len(in) < 8 {
		t.Fatalf("%d requests have decoders", len(in))
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for _, x := range in {
		read := 0
		for range 300 {
			v := reflect.New(reflect.TypeOf(x).Elem())
			fill(rng, v.Elem())
			body, err := json.Marshal(v.Interface()) // the standard library's: its names and escapes are others'
			if err != nil {
				t.Fatal(err)
			}
			if agree(t, x, body) {
				read++
			}
			for range 20 {
				agree(t, x, damage(rng, body))
			}
		}
		if read == 0 {
			t.Errorf("%T reads nothing of its own", x)
		}
	}
}

// damage changes a few bytes, most of them to such as mean something in JSON.
func damage(rng *rand.Rand, body []byte) []byte {
	b := bytes.Clone(body)
	const meaning = "{}[]\",:\\ntf0123456789.-eEu \n\x00\xff"
	for range 1 + rng.IntN(3) {
		at := rng.IntN(len(b))
		switch rng.IntN(4) {
		case 0:
			b = append(b[:at], b[min(len(b), at+1+rng.IntN(4)):]...)
		case 1:
			b = append(b[:at:at], append([]byte{meaning[rng.IntN(len(meaning))]}, b[at:]...)...)
		case 2:
			b[at] = meaning[rng.IntN(len(meaning))]
		case 3:
			b = append(b, b[at:]...)
		}
		if len(b) == 0 {
			return []byte("{")
		}
	}
	return b
}

// What clients send is read without reflection.
func TestUsualRequestsAreReadByTheirDecoders(t *testing.T) {
	for _, c := range []struct {
		in   restjson.Input
		body string
	}{
		{&api.SearchProfilesRequest{}, `{"KeyName": "_email", "Values": ["a@example.com"]}`},
		{&api.SearchProfilesRequest{}, `{"KeyName":"_phone","Values":["+1"],"LogicalOperator":"AND","AdditionalSearchKeys":[{"KeyName":"a","Values":["b"]}]}`},
		{&api.BatchGetProfileRequest{}, ` {"ProfileIds":["0","1"]}` + "\n"},
		{&api.PutProfileObjectRequest{}, `{"ObjectTypeName":"o","Object":"{\"a\":\"\\u00fc\"}"}`},
		{&api.CreateProfileRequest{}, `{"FirstName":"Zo\u00eb","Attributes":{"a":"b"},"Address":{"City":"Graz"},"PartyType":null}`},
	} {
		if !agree(t, c.in, []byte(c.body)) {
			t.Errorf("%T leaves %s to reflection", c.in, c.body)
		}
		r := httptest.NewRequest("POST", "/", nil)
		if err := new(restjson.Reader).Decode(r, r, []byte(c.body), c.in); err != nil {
			t.Error(err)
		}
	}
}

func FuzzDecoders(f *testing.F) {
	in, _ := coded()
	f.Add(0, []byte(`{"KeyName":"_email","Values":["a@example.com"]}`))
	f.Add(1, []byte(`{"ProfileIds":["0"],"ProfileIds":null}`))
	f.Add(2, []byte(`{"Address":{"City":"\ud83d\ude00"},"Attributes":{"a":"b","a":"c"}} `))
	f.Fuzz(func(t *testing.T, i int, body []byte) {
		if len(body) > 0 {
			agree(t, in[uint(i)%uint(len(in))], body)
		}
	})
}
