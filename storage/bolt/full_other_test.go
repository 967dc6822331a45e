//go:build !unix

package bolt

import (
	"context"
	"errors"
)

// fillUntilFull needs a limit on the size of files, which only Unix has.
func fillUntilFull(context.Context, string) error { return errors.ErrUnsupported }
