package match

import (
	"context"
	"errors"
	"io"
	"os"
	"path"
	"strings"

	"kith/fault"
)

// Folder is Exports into a folder of the operator: a folder in it for each bucket.
type Folder struct{ Dir string }

// May implements Exports.
func (f Folder) May(_ context.Context, bucket, prefix string) error {
	name := path.Join(bucket, prefix)
	for part := range strings.SplitSeq(bucket+"/"+prefix, "/") {
		if part == ".." || part == "." || part == "" {
			return fault.BadRequestf("ExportingConfig names %q, which is no place in a folder: a part of it is empty, or made of dots.", bucket+"/"+prefix)
		}
	}
	root, err := os.OpenRoot(f.Dir)
	if err == nil {
		defer func() { _ = root.Close() }()
		err = root.MkdirAll(name, 0o700)
	}
	if err == nil {
		err = f.write(root, path.Join(name, ".may"), strings.NewReader(""))
	}
	if err == nil {
		err = root.Remove(path.Join(name, ".may"))
	}
	if err != nil {
		return fault.BadRequestf("This server can't write to %s in its folder for exports: %s. Ask its operator (docs/operations.md, --exports).", name, reason(err))
	}
	return nil
}

// reason is what the system says, without the path.
func reason(err error) string {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return e.Err.Error()
	}
	return err.Error()
}

// Put implements Exports.
func (f Folder) Put(_ context.Context, bucket, key string, r io.Reader) error {
	root, err := os.OpenRoot(f.Dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	name := path.Join(bucket, key)
	if err := root.MkdirAll(path.Dir(name), 0o700); err != nil {
		return err
	}
	return f.write(root, name, r)
}

func (f Folder) write(root *os.Root, name string, r io.Reader) (err error) {
	part := name + ".part"
	w, err := root.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	if err == nil {
		err = w.Sync()
	}
	if err := errors.Join(err, w.Close()); err != nil {
		return errors.Join(err, root.Remove(part))
	}
	return root.Rename(part, name)
}
