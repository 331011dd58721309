package step

// files are the run's private files.
type files struct{}

func (f *files) remove() {}

func (r *run) placeFiles() error { return nil }
