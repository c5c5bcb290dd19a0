package storage

import "github.com/cockroachdb/pebble/v2/vfs"

type planted struct{ plant func(*disk, *Options) }

var _ vfs.FS = (*disk)(nil)
