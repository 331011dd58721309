package step

// A keeper keeps the credentials alive while the command runs.
type keeper struct{}

func (r *run) keep() *keeper { return &keeper{} }

func (k *keeper) stop() {}
