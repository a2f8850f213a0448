package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// mayWrite refuses, before any work is done, an output that can't be written, is an input, or is there already, unless force says that it may be
// written over. What is no regular file, such as /dev/null, may be written to.
func mayWrite(flag, path string, force bool, inputs ...string) error {
	if path == "" {
		return nil
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		folder, err := os.Stat(filepath.Dir(path))
		if err == nil && !folder.IsDir() || errors.Is(err, fs.ErrNotExist) {
			return usageError("%s %s: there is no folder %s; make it, or name another file", flag, path, filepath.Dir(path))
		}
		return err
	}
	if err != nil {
		return usageError("%s: %w", flag, err)
	}
	for _, input := range inputs {
		if other, err := os.Stat(input); err == nil && os.SameFile(info, other) {
			return usageError("%s %s is the file that is read; name another one", flag, path)
		}
	}
	switch {
	case info.IsDir():
		return usageError("%s %s is a folder; name a file", flag, path)
	case info.Mode().IsRegular() && !force:
		return usageError("%s %s is there already; name another file, or say --force to replace it", flag, path)
	}
	return nil
}

// wholeFile makes a file that is there when it has been written whole.
func wholeFile(path string, write func(io.Writer) error) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return errors.Join(write(f), f.Close())
	}
	part := path + ".part"
	f, err := os.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		return os.Rename(part, path)
	}
	return errors.Join(err, os.Remove(part))
}

// inputFile returns the path of a file to be read several times: the argument, or, of standard input (-) and of what is no regular file, a copy
// in a temporary folder, which done removes.
func inputFile(arg string, stdin io.Reader) (path string, done func() error, err error) {
	none := func() error { return nil }
	src := stdin
	if arg != "-" {
		f, err := os.Open(arg)
		if err != nil {
			return "", none, usageError("%w", err)
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil || info.Mode().IsRegular() {
			return arg, none, err
		}
		if info.IsDir() {
			return "", none, usageError("%s is a folder; name a file", arg)
		}
		src = f
	}
	dir, err := os.MkdirTemp("", "kith-input-")
	if err != nil {
		return "", none, err
	}
	done = func() error { return os.RemoveAll(dir) }
	path = filepath.Join(dir, "standard input")
	if arg != "-" {
		path = filepath.Join(dir, filepath.Base(arg))
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return "", none, errors.Join(err, done())
	}
	if _, err = io.Copy(f, src); err != nil {
		err = fmt.Errorf("copy %s to the folder of temporary files: %w", arg, err)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", none, errors.Join(err, done())
	}
	return path, done, nil
}
