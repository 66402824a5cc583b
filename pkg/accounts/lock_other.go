//go:build !unix

package accounts

import (
	"context"
	"os"
)

// lock does nothing where there is no flock.
func lock(context.Context, string) (unlock func(), err error) { return func() {}, nil }

// likeFolder does nothing where files have no such owner.
func likeFolder(*os.File, string) error { return nil }

// folderLikeParent does nothing there either.
func folderLikeParent(string) {}
