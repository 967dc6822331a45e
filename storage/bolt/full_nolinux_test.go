//go:build !linux

package bolt

import (
	"context"
	"errors"
)

// fillFileSystem needs a file system that only the child sees.
func fillFileSystem(context.Context, string) error { return errors.ErrUnsupported }
