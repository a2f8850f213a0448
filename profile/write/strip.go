package write

import (
	"context"
	"errors"
	"slices"

	"kith/fault"
	"kith/profile/fold"
)

// StripTypes removes the objects of some incarnations of types from a profile, and takes back what they said.
func (w *Writer) StripTypes(ctx context.Context, domain, by string, id fold.ID, incarnations []uint64) error {
	return w.strip(ctx, domain, by, id, func(ctx context.Context, d *Draft) error {
		gone, err := d.dropObjects(ctx, func(o *fold.ObjectRef) bool { return slices.Contains(incarnations, o.Incarnation) })
		if err != nil {
			return err
		}
		if len(gone) == 0 {
			return errNothing
		}
		d.Note(DeletedType, gone[0].Type, "", "")
		return nil
	})
}

// strip changes the head of a profile itself, be it a member of a person or not. One that has been deleted is left alone.
func (w *Writer) strip(ctx context.Context, domain, by string, id fold.ID, rule Rule) error {
	pick := func(p *Person) (*rows, error) {
		if r := p.all[id]; r != nil {
			return r, nil
		}
		return nil, errNothing // its main profile was deleted
	}
	_, err := w.change(ctx, domain, by, func() fold.ID { return id }, pick, rule)
	if errors.Is(err, fault.NotFound) {
		return nil
	}
	return err
}
