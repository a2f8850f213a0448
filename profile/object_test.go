package profile

import (
	"context"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"kith/api"
	"kith/store/pebble"
)

// What a batch has answered for survives a crash: its items wait for the disk together, at its end.
func TestBatchIsDurable(t *testing.T) {
	fs := vfs.NewCrashableMem()
	st, err := pebble.Open("db", pebble.Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	w := newShop(t, st)
	in := &api.BatchPutProfileObjectRequest{DomainName: api.Ptr("d"), ObjectTypeName: api.Ptr("Shop")}
	for i := range 10 {
		in.Items = append(in.Items, api.BatchPutProfileObjectRequestItem{Id: api.Ptr(fmt.Sprint("i", i)), Object: api.Ptr(fmt.Sprintf(`{"id":"%d","email":"p%d@x.de"}`, i, i))})
	}
	in.Items[9].Object = api.Ptr("{") // the last one waits for nothing
	out, err := w.BatchPutProfileObject(context.Background(), in)
	if err != nil || len(out.Successful) != 9 || len(out.Failed) != 1 {
		t.Fatalf("%v: %d items are put, %d are not", err, len(out.Successful), len(out.Failed))
	}
	after, err := pebble.Open("db", pebble.Options{FS: fs.CrashClone(vfs.CrashCloneCfg{})})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = after.Close() }()
	w.raw = after
	if n := w.left("Shop"); n != 27 {
		t.Errorf("%d rows and entries of objects are there after a crash, want 27: 9 entries of heads, bodies and index rows", n)
	}
}
