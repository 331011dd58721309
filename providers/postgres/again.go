package postgres

import (
	"context"

	"github.com/with-creds/with-creds/providers/sqluser"
)

// again repeats what can be repeated without harm (sqluser.Again).
func again(ctx context.Context, f func() error) error { return sqluser.Again(ctx, contended, f) }
